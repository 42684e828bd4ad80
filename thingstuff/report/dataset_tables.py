"""The statistics of a data set as tables, a column or a row for each split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thingstuff.report.dataset_stats import RARE_BELOW, ClassStats, DatasetStats, SplitStats, Spread
from thingstuff.report.table import Table

_MOST_NAMED = 12


def stats_tables(stats: DatasetStats, most_classes: int | None = None) -> dict[str, Table]:
    """Title -> table; without those that would be empty. Beyond `most_classes` the rarest classes are left out."""
    splits = stats.splits
    tables = {
        "Images": _images(splits),
        "Instances": _instances(splits),
        "Boxes": _boxes(splits),
        "Classes": _classes(splits, most_classes),
        "Stuff": _stuff(splits, most_classes),
        "Keypoints": _keypoints(splits),
    }
    return {title: table for title, table in tables.items() if table.rows}


def rare_lines(splits: Mapping[str, SplitStats]) -> list[str]:
    """One line a split that has rare classes, the rarest first."""
    lines = []
    for name, split in splits.items():
        count_of = {c.name: c.instances for c in split.classes}
        rarest = [f"{rare} ({count_of[rare]})" for rare in sorted(split.rare, key=lambda rare: count_of[rare])]
        if rarest:
            lines.append(f"Fewer than {RARE_BELOW} instances in {name}: {_some(rarest)}")
    return lines


def _images(splits: Mapping[str, SplitStats]) -> Table:
    rows = [
        [
            *(name, split.images, split.annotated_images, len(split.sizes_wh)),
            *(_range(split.width_px), _range(split.height_px)),
        ]
        for name, split in splits.items()
    ]
    headers = ["split", "images", "annotated", "sizes", "width: least, median, most", "height: least, median, most"]
    notes = [f"{name}: {note}" for name, split in splits.items() for note in split.notes]
    return Table(rows, headers, "lrrrrr", footnotes=notes)


def _range(spread: Spread | None) -> str | None:
    return None if spread is None else ", ".join(f"{v:g}" for v in (spread.least, spread.median, spread.most))


def _instances(splits: Mapping[str, SplitStats]) -> Table:
    rows = [
        [
            *(name, split.instances, split.crowds),
            *((each.mean, f"{each.median:g}", f"{each.most:g}") if (each := split.per_image) else (None,) * 3),
            *(_percent(count, sum(split.by_area.values())) for count in split.by_area.values()),
        ]
        for name, split in splits.items()
        if split.per_image is not None
    ]
    headers = ["split", "instances", "crowds", "an image", "median", "most", "small %", "medium %", "large %"]
    return Table(rows, headers, "lrrrrrrrr", 1, ["Small is below 32² px of area, large from 96² px on."])


def _boxes(splits: Mapping[str, SplitStats]) -> Table:
    rows: list[list[Any]] = []
    for name, split in splits.items():
        for what, spread in (("width / height", split.aspect), ("side / image side", split.relative_size)):
            if spread is not None:
                rows.append([name, what, spread.p5, spread.p25, spread.median, spread.p75, spread.p95])
    note = "The side of a box is the square root of its area, that of an image too."
    return Table(rows, ["split", "boxes", "5 %", "25 %", "median", "75 %", "95 %"], digits=2, footnotes=[note])


def _classes(splits: Mapping[str, SplitStats], most: int | None) -> Table:
    by_split = _by_name(splits, lambda c: c.isthing or c.instances > 0)
    names = _most_frequent_first(by_split, lambda c: c.instances)
    rows = [[name, *(v for found in by_split.values() for v in _class_cells(found.get(name)))] for name in names[:most]]
    headers = ["class", *(h for n in splits for h in (f"{n} instances", f"{n} %", f"{n} images"))]
    if not any(split.per_image is not None for split in splits.values()):
        rows = []
    return Table(rows, headers, "l" + "r" * (len(headers) - 1), 2, [*_left_out(names, most), *rare_lines(splits)])


def _class_cells(found: ClassStats | None) -> tuple[Any, ...]:
    if found is None:
        return None, None, None
    return found.instances, None if found.share is None else 100 * found.share, found.images


def _stuff(splits: Mapping[str, SplitStats], most: int | None) -> Table:
    known = {name: split for name, split in splits.items() if split.pixels is not None}
    by_split = _by_name(known, lambda c: c.pixel_share is not None)
    names = _most_frequent_first(by_split, lambda c: c.pixel_share or 0.0)
    rows = [[name, *(v for found in by_split.values() for v in _stuff_cells(found.get(name)))] for name in names[:most]]
    headers = ["stuff", *(h for name in known for h in (f"{name} % of pixels", f"{name} images"))]
    notes = [
        f"{name}: {p.images} maps; things are {100 * p.things_share:.1f} % of the known pixels, "
        f"{100 * p.void_share:.1f} % of all pixels are void"
        for name, split in known.items()
        if (p := split.pixels) is not None
    ]
    return Table(rows, headers, "l" + "r" * (len(headers) - 1), 2, [*_left_out(names, most), *notes])


def _stuff_cells(found: ClassStats | None) -> tuple[Any, ...]:
    if found is None or found.pixel_share is None:
        return None, None
    return 100 * found.pixel_share, found.images


def _by_name(
    splits: Mapping[str, SplitStats], wanted: Callable[[ClassStats], bool]
) -> dict[str, dict[str, ClassStats]]:
    return {name: {c.name: c for c in split.classes if wanted(c)} for name, split in splits.items()}


def _most_frequent_first(
    by_split: Mapping[str, Mapping[str, ClassStats]], number: Callable[[ClassStats], float]
) -> list[str]:
    """By the first split that has a class, as this is most often the one that is learned from."""
    first: dict[str, ClassStats] = {}
    for found in by_split.values():
        first = {**found, **first}
    return sorted(first, key=lambda name: -number(first[name]))


def _left_out(names: Sequence[str], most: int | None) -> list[str]:
    return [] if most is None or len(names) <= most else [f"{len(names) - most} rarer classes are not shown"]


def _keypoints(splits: Mapping[str, SplitStats]) -> Table:
    by_split = {name: {(k.class_name, k.name): k for k in split.keypoints} for name, split in splits.items()}
    keys = dict.fromkeys(key for found in by_split.values() for key in found)
    rows = []
    for key in keys:
        cells: list[Any] = []
        for found in by_split.values():
            k = found.get(key)
            cells += (
                [None] * 3 if k is None else [k.instances, *(_percent(n, k.instances) for n in (k.visible, k.hidden))]
            )
        rows.append([*key, *cells])
    headers = ["class", "keypoint", *(h for n in splits for h in (f"{n} instances", f"{n} visible %", f"{n} hidden %"))]
    return Table(rows, headers, "ll" + "r" * (len(headers) - 2), 1)


def _percent(count: float, total: float) -> float | None:
    return 100 * count / total if total else None


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
