"""A store's instances with new masks: each box is a prompt, and what the network makes of it takes the mask's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sam_masks.clip import inside
from thingstuff.data.fingerprint import is_still
from thingstuff.data.images import read_image_bgr
from thingstuff.errors import DataError
from thingstuff.progress import Progress
from thingstuff.store import PredictedImage, Store, StoreMeta, StoreWriter
from thingstuff.structures import Detections, MaskCrops

# an image, H x W x 3 uint8 BGR, and K x 4 float32 boxes within it -> K masks
Refiner = Callable[[np.ndarray, np.ndarray], MaskCrops]


@dataclass(frozen=True)
class RefineOptions:
    """`score_thresh`: what scores less keeps its mask. `boxes_from_masks`: boxes become those of the new masks."""

    score_thresh: float = 0.0
    boxes_from_masks: bool = False


@dataclass
class Refined:
    """What happened, in instances but for the images: `outside` had no part of their box in the image, `empty` no mask.

    Both keep the mask that they had.
    """

    images: int = 0
    already_there: int = 0
    refined: int = 0
    below: int = 0
    outside: int = 0
    empty: int = 0


_PLAIN = RefineOptions()


def refine_store(
    store: Store, refiner: Refiner, folder: Path, meta: StoreMeta, options: RefineOptions = _PLAIN
) -> Refined:
    """Write a store of the same images into `folder`, or go on with one that was stopped.

    `meta` says where the images are. Classes, scores, ids and stuff maps stay; panoptic maps and ledgers, which were
    merged from the old masks, are left out.
    """
    check_store(store, options)
    images = image_paths(store, meta)
    counts = Refined()
    with StoreWriter.open(folder, meta) as writer:
        missing = [entry.key for entry in store.entries if entry.key not in writer]
        counts.already_there = len(store) - len(missing)
        with Progress(len(store), "refining", done=counts.already_there) as progress:
            for key in missing:
                writer.append(_refined(store.read(key, panoptic=False), images[key], refiner, options, counts))
                progress.step()
    counts.images = len(missing)
    return counts


def check_store(store: Store, options: RefineOptions) -> None:
    """Refuse a store without images or boxes before any network is loaded."""
    if not store.entries:
        raise DataError(f"{store.folder} is empty: no image was predicted")
    without = [entry.key for entry in store.entries if not entry.has_detections]
    if without:
        raise DataError(
            f"{store.folder}: {without[0]!r} has no detections, so no boxes to ask about: give a store of instances"
        )
    if options.score_thresh > 0 and not _has_masks(store):
        raise DataError(f"{store.folder} has boxes without masks, which all want one: leave --score-thresh out")


def image_paths(store: Store, meta: StoreMeta) -> dict[str, Path]:
    """The file of every key; the first that is not there is refused, as is a frame of a video."""
    if meta.image_root is None:
        raise DataError(f"{store.folder} does not know where its images are: give --images")
    paths = {entry.key: Path(meta.image_root, entry.key) for entry in store.entries}
    for key, path in paths.items():
        if path.parent.is_file():
            raise DataError(f"{store.folder}: {key!r} is a frame of a video: stores of images can be refined")
        if not path.is_file():
            raise DataError(f"there is no image at {path}, of which {store.folder} has instances: give --images")
    return paths


def _refined(
    image: PredictedImage, path: Path, refiner: Refiner, options: RefineOptions, counts: Refined
) -> PredictedImage:
    if not is_still(path, image.source):
        raise DataError(f"{path} has changed since it was predicted: predict it again, or give --images")
    assert image.detections is not None  # the store was checked
    detections = image.detections
    if len(detections):
        pixels = read_image_bgr(path)
        if pixels.shape[:2] != (image.height, image.width):
            size = f"{pixels.shape[1]} x {pixels.shape[0]}"
            raise DataError(f"{path} is {size}, and the store's {image.key!r} {image.width} x {image.height}")
        detections = refined_detections(detections, pixels, refiner, options, counts)
    return replace(image, detections=_with_masks(detections), ledger=None)


def refined_detections(
    detections: Detections, pixels: np.ndarray, refiner: Refiner, options: RefineOptions, counts: Refined
) -> Detections:
    """The same instances in their order; what was done is added to `counts`."""
    boxes, has_part = inside(detections.boxes_xyxy, detections.height, detections.width)
    above = detections.scores >= options.score_thresh
    asked = np.flatnonzero(above & has_part)
    answers = refiner(pixels, boxes[asked])
    found = [n for n, crop in enumerate(answers.crops) if crop.any()]
    counts.below += int((~above).sum())
    counts.outside += int((above & ~has_part).sum())
    counts.empty += len(asked) - len(found)
    counts.refined += len(found)
    pairs = list(_with_masks(detections).masks)
    tight = answers.tight()
    new_boxes = detections.boxes_xyxy.copy()
    for n in found:
        pairs[asked[n]] = (tight.crops[n], tuple(tight.boxes_xyxy[n].tolist()))
        if options.boxes_from_masks:
            new_boxes[asked[n]] = tight.boxes_xyxy[n]
    masks = MaskCrops.from_boxes(pairs, detections.height, detections.width)
    return replace(detections, masks=masks, boxes_xyxy=new_boxes)


def _with_masks(detections: Detections) -> Detections:
    """Empty masks where there were boxes alone."""
    if detections.masks is not None:
        return detections
    nothing = [(np.zeros((0, 0), np.uint8), (0, 0, 0, 0))] * len(detections)
    return replace(detections, masks=MaskCrops.from_boxes(nothing, detections.height, detections.width))


def _has_masks(store: Store) -> bool:
    """Whether the first image with instances has masks; a store's images are all alike."""
    for entry in store.entries:
        records = store.coco_records(entry.key, 0)
        if records:
            return "segmentation" in records[0]
    return True
