"""What a data set consists of, in numbers: images, instances, classes, sizes, shapes, stuff and keypoints by split."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.truth import SplitTruth
from thingstuff.report.dataset_columns import Columns
from thingstuff.report.dataset_keypoints import KeypointStats, keypoint_stats
from thingstuff.report.dataset_pixels import Pixels, count_pixels

SMALL_BELOW_PX, LARGE_FROM_PX = 32**2, 96**2  # COCO's bounds; its sizes are areas
RARE_BELOW = 10
GRID = 32  # cells of the map of box centres, across and down
OCTAVE = 4  # bins of the histogram of sizes for each doubling of the side


@dataclass(frozen=True)
class Spread:
    """How some numbers are spread; `p5` to `p95` are their quantiles."""

    mean: float
    least: float
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    most: float

    @classmethod
    def of(cls, values: NDArray[Any]) -> Spread | None:
        """None where there are none; NaN is left out."""
        known = values[np.isfinite(values)]
        if not known.size:
            return None
        return cls(float(known.mean()), *np.percentile(known, (0, 5, 25, 50, 75, 95, 100)).tolist())


@dataclass(frozen=True)
class ClassStats:
    """`images` are those where it is seen; `share` is of the split's instances, `pixel_share` of its known pixels."""

    name: str
    isthing: bool
    instances: int
    images: int
    share: float | None
    pixel_share: float | None = None


@dataclass(frozen=True)
class SplitStats:
    """One split. Crowds are counted apart, and are in none of the other numbers.

    `width_px` and `height_px` are those that the records state, `sizes_wh` how many images have each. `aspect` is a
    box's width by its height, `relative_size` the square root of its share of the image. `by_area` are instances by
    COCO's bounds. For the figures: `by_count` says how many images have 0, 1, 2 ... instances, `by_side` how many
    instances have an area with a square root from 2 ** (n / OCTAVE) px on, for n = 0, 1 ... (what is below is in the
    first), and `centres` where the middles of the boxes are, GRID rows of GRID cells over the image.
    """

    images: int
    annotated_images: int
    instances: int
    crowds: int
    per_image: Spread | None
    width_px: Spread | None
    height_px: Spread | None
    sizes_wh: Sequence[tuple[int, int, int]]
    by_area: Mapping[str, int]
    aspect: Spread | None
    relative_size: Spread | None
    classes: Sequence[ClassStats]
    rare: Sequence[str]
    keypoints: Sequence[KeypointStats]
    pixels: Pixels | None
    by_count: Sequence[int]
    by_side: Sequence[int]
    centres: Sequence[Sequence[int]]
    notes: Sequence[str]


@dataclass(frozen=True)
class DatasetStats:
    """The splits of a data set by name."""

    splits: Mapping[str, SplitStats]

    def to_json(self) -> dict[str, Any]:
        """For `write_json`."""
        return {"splits": {name: asdict(split) for name, split in self.splits.items()}}


def measure(splits: Mapping[str, SplitTruth], *, with_pixels: bool = True) -> DatasetStats:
    """Count all splits. The truth need not be checked: what cannot be counted is left out, and a note says so.

    Instances are annotations, or the thing segments of a panoptic truth without annotations. Without `with_pixels` no
    label map is opened; the pixels of a panoptic truth come from its JSON in any case.
    """
    with np.errstate(all="ignore"):  # what comes of a damaged number is left out where it is summed up
        return DatasetStats({name: _measure(name, truth, with_pixels) for name, truth in splits.items()})


def _measure(name: str, truth: SplitTruth, with_pixels: bool) -> SplitStats:
    columns = Columns.of(truth)
    is_instance = ~columns.is_crowd
    per_image = np.bincount(columns.image_rows[is_instance & (columns.image_rows >= 0)], minlength=len(truth.images))
    pixels, pixel_notes = count_pixels(name, truth, with_pixels)
    classes = _classes(truth, columns, pixels)
    boxes, sizes = _boxes_in_images(columns, is_instance)
    areas = columns.areas_px[is_instance & np.isfinite(columns.areas_px)]
    has_instances = truth.annotations is not None or truth.panoptic is not None
    return SplitStats(
        images=len(truth.images),
        annotated_images=np.unique(columns.image_rows[columns.image_rows >= 0]).size,
        instances=int(is_instance.sum()),
        crowds=int(columns.is_crowd.sum()),
        per_image=Spread.of(per_image) if has_instances else None,
        width_px=Spread.of(columns.sizes_hw[:, 1]),
        height_px=Spread.of(columns.sizes_hw[:, 0]),
        sizes_wh=_distinct_sizes(columns.sizes_hw),
        by_area=_by_area(areas),
        aspect=Spread.of(boxes[:, 2] / boxes[:, 3]),
        relative_size=Spread.of(np.sqrt(boxes[:, 2] * boxes[:, 3] / (sizes[:, 0] * sizes[:, 1]))),
        classes=classes,
        rare=[c.name for c in classes if c.isthing and c.instances < RARE_BELOW] if has_instances else [],
        keypoints=keypoint_stats(truth, columns),
        pixels=pixels,
        by_count=np.bincount(per_image).tolist() if has_instances else [],
        by_side=np.bincount((OCTAVE * np.log2(np.sqrt(np.maximum(areas, 1)))).astype(np.int64)).tolist(),
        centres=_centres(boxes, sizes),
        notes=[*_notes(columns, is_instance), *pixel_notes],
    )


def _boxes_in_images(columns: Columns, wanted: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """K x 4 xywh boxes and the K x 2 sizes (height, width) of their images, those that are known."""
    wanted = wanted & (columns.image_rows >= 0)
    boxes, sizes = columns.boxes_xywh[wanted], columns.sizes_hw[columns.image_rows[wanted]]
    known = np.isfinite(boxes).all(axis=1) & np.isfinite(sizes).all(axis=1)
    return boxes[known], sizes[known]


def _classes(truth: SplitTruth, columns: Columns, pixels: Pixels | None) -> list[ClassStats]:
    counted = ~columns.is_crowd & (columns.category_rows >= 0)
    category_rows, image_rows = columns.category_rows[counted], columns.image_rows[counted]
    instances = np.bincount(category_rows, minlength=len(truth.categories)).tolist()
    is_placed, image_count = image_rows >= 0, max(len(truth.images), 1)
    pairs = np.unique(category_rows[is_placed] * image_count + image_rows[is_placed])
    images = np.bincount(pairs // image_count, minlength=len(truth.categories)).tolist()
    total = int((~columns.is_crowd).sum())
    found = []
    for row, category in enumerate(truth.categories):
        isthing = bool(category.get("isthing", 1))
        stuff = pixels.of(category.get("id")) if pixels is not None else None
        found.append(
            ClassStats(
                name=str(category.get("name")),
                isthing=isthing,
                instances=instances[row],
                images=images[row] if stuff is None else max(images[row], stuff.images),
                share=instances[row] / total if total and (isthing or instances[row]) else None,
                pixel_share=None if stuff is None else stuff.share,
            )
        )
    return found


def _distinct_sizes(sizes_hw: NDArray[np.float64]) -> list[tuple[int, int, int]]:
    """Width, height and number of images, the most frequent first."""
    known = sizes_hw[np.isfinite(sizes_hw).all(axis=1)]
    counts = Counter((int(width), int(height)) for height, width in known.tolist())
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [(width, height, count) for (width, height), count in ordered]


def _by_area(areas_px: NDArray[np.float64]) -> dict[str, int]:
    small, large = int((areas_px < SMALL_BELOW_PX).sum()), int((areas_px >= LARGE_FROM_PX).sum())
    return {"small": small, "medium": areas_px.size - small - large, "large": large}


def _centres(boxes_xywh: NDArray[np.float64], sizes_hw: NDArray[np.float64]) -> list[list[int]]:
    middles_xy = (boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2) / sizes_hw[:, ::-1]
    cells = np.clip(middles_xy, 0, math.nextafter(1, 0)) * GRID
    column, row = cells.astype(np.int64).T
    return np.bincount(row * GRID + column, minlength=GRID * GRID).reshape(GRID, GRID).tolist()


def _notes(columns: Columns, is_instance: NDArray[np.bool_]) -> list[str]:
    unusable = {
        "annotations are of no image in the list": columns.image_rows < 0,
        "annotations are of no class in the list, and count to none": columns.category_rows < 0,
        "annotations have no box": is_instance & ~np.isfinite(columns.boxes_xywh).all(axis=1),
        "annotations have no area": is_instance & ~np.isfinite(columns.areas_px),
        "images state no size": ~np.isfinite(columns.sizes_hw).all(axis=1),
    }
    return [f"{int(found.sum())} {what}" for what, found in unusable.items() if found.any()]
