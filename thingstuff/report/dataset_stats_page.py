"""The statistics of a data set as a web page that opens from the disk: figures to look at, tables to sort."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from thingstuff.report.dataset_stats import OCTAVE, ClassStats, DatasetStats, SplitStats
from thingstuff.report.dataset_svg import Bins, bars, dots, heat_map, histogram
from thingstuff.report.dataset_tables import rare_lines, stats_tables
from thingstuff.report.page.compare_page import write_page
from thingstuff.report.page.model import Page, PageFigure, PageTable

_MOST_BARS = 30
_MOST_BINS = 40
_MOST_DOTS = 1500
_FINE_FROM = 5000  # boxes; fewer would make a pattern of single cells

Splits = Mapping[str, SplitStats]


def write_stats_page(stats: DatasetStats, path: Path, title: str = "Data set") -> Path:
    """Write the page, whole or not at all, and return its path. It needs no network."""
    splits = stats.splits
    said = rare_lines(splits)
    tables = [
        PageTable(name, t.headers, t.rows, t.align, [note for note in t.footnotes if note not in said], t.digits)
        for name, t in stats_tables(stats).items()
    ]
    figures = [*_class_figure(splits), *_size_figure(splits), *_count_figure(splits)]
    figures += [*_image_figure(splits), *_centre_figures(splits)]
    return write_page(Page(title, _verdict(splits), tables, figures=figures), Path(path))


def _verdict(splits: Splits) -> list[str]:
    facts = []
    for name, split in splits.items():
        what = f"{split.images} images"
        if split.per_image is not None:
            what += f", {split.instances} instances ({split.per_image.mean:.1f} an image)"
        facts.append(f"{name}: {what}")
    return ["; ".join(facts), *rare_lines(splits)] if facts else ["There are no splits."]


def _class_figure(splits: Splits) -> list[PageFigure]:
    found = {name: {c.name: c for c in split.classes if c.instances} for name, split in splits.items()}
    first = {c.name: c for classes in reversed(found.values()) for c in classes.values()}
    names = sorted(first, key=lambda name: -first[name].instances)
    if not names:
        return []
    shown = names[:_MOST_BARS]
    series = {
        split: [100 * (classes[name].share or 0) if name in classes else 0.0 for name in shown]
        for split, classes in found.items()
    }
    tips = [_class_tip(name, found) for name in shown]
    more = f" The {len(names) - len(shown)} rarer classes are in the table." if len(shown) < len(names) else ""
    return [PageFigure("Classes", bars(series, shown, tips), f"Share of a split's instances.{more}")]


def _class_tip(name: str, found: Mapping[str, Mapping[str, ClassStats]]) -> str:
    counts = [f"{split} {classes[name].instances if name in classes else 0}" for split, classes in found.items()]
    return f"{name}: {', '.join(counts)}"


def _size_figure(splits: Splits) -> list[PageFigure]:
    series = _shares({name: split.by_side for name, split in splits.items()})
    count = max(map(len, series.values()), default=0)
    if not count:
        return []
    first = min(next((n for n, share in enumerate(shares) if share), count) for shares in series.values())
    first = min(first, count - 1) // OCTAVE * OCTAVE
    last = math.ceil(count / OCTAVE) * OCTAVE
    series = {name: [*shares, *[0.0] * (last - count)][first:] for name, shares in series.items()}
    sides = [2 ** (n / OCTAVE) for n in range(first, last + 1)]
    octaves = range(first // OCTAVE, last // OCTAVE + 1)
    every = math.ceil(len(octaves) / 10)
    bins = Bins(
        edges=[_log_place(side, sides) for side in sides],
        names=[f"{low:.3g} to {high:.3g} px" for low, high in itertools.pairwise(sides)],
        ticks=[(_log_place(2**n, sides), f"{2**n:g}") for n in octaves[::every]],
        title="square root of the area in px",
        bounds=[_log_place(side, sides) for side in (32, 96) if sides[0] < side < sides[-1]],
    )
    note = "Share of a split's instances. The dashed lines are COCO's bounds of small, medium and large: 32 and 96 px."
    return [PageFigure("Sizes of objects", histogram(series, bins), note)]


def _log_place(side: float, sides: Sequence[float]) -> float:
    return math.log2(side / sides[0]) / math.log2(sides[-1] / sides[0])


def _count_figure(splits: Splits) -> list[PageFigure]:
    counted = {name: split.by_count for name, split in splits.items() if split.by_count}
    most = max(map(len, counted.values()), default=0)
    if not most:
        return []
    wide = math.ceil(most / _MOST_BINS)
    count = math.ceil(most / wide)
    grouped = {
        name: [sum(numbers[n * wide : (n + 1) * wide]) for n in range(count)] for name, numbers in counted.items()
    }
    every = math.ceil(count / 8)
    starts = [n * wide for n in range(count)]
    bins = Bins(
        edges=[n / count for n in range(count + 1)],
        names=[f"{start} instances" if wide == 1 else f"{start} to {start + wide - 1} instances" for start in starts],
        ticks=[((n + (0.5 if wide == 1 else 0)) / count, str(starts[n])) for n in range(0, count, every)],
        title="instances in an image",
    )
    return [PageFigure("Instances an image", histogram(_shares(grouped), bins), "Share of a split's images.")]


def _shares(counts: Mapping[str, Sequence[int]]) -> dict[str, list[float]]:
    """In percent, all of one length."""
    longest = max(map(len, counts.values()), default=0)
    return {
        name: [100 * n / (sum(numbers) or 1) for n in [*numbers, *[0] * (longest - len(numbers))]]
        for name, numbers in counts.items()
    }


def _image_figure(splits: Splits) -> list[PageFigure]:
    sizes = {name: split.sizes_wh[:_MOST_DOTS] for name, split in splits.items()}
    if not any(sizes.values()):
        return []
    left_out = sum(len(split.sizes_wh) - len(sizes[name]) for name, split in splits.items())
    more = f" {left_out} sizes that few images have are left out." if left_out else ""
    return [PageFigure("Sizes of images", dots(sizes), f"The larger a dot, the more images have this size.{more}")]


def _centre_figures(splits: Splits) -> list[PageFigure]:
    note = "Where the middles of boxes are, over all images stretched to one square."
    return [
        PageFigure(f"Places of objects: {name}", heat_map(_coarse(split.centres), number), note)
        for number, (name, split) in enumerate(splits.items())
        if any(map(sum, split.centres))
    ]


def _coarse(cells: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    """Four cells as one where there is little in them."""
    if sum(map(sum, cells)) >= _FINE_FROM:
        return cells
    pairs = [[a + b for a, b in zip(up, down, strict=True)] for up, down in zip(cells[::2], cells[1::2], strict=True)]
    return [[a + b for a, b in zip(row[::2], row[1::2], strict=True)] for row in pairs]
