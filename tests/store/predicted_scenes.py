"""Predictions to store, and how two of them are compared: everything bit for bit."""

from __future__ import annotations

import numpy as np

from thingstuff.store import PredictedImage, Store, StoreMeta, StoreWriter
from thingstuff.structures import VOID, Categories, Category, Detections, MaskCrops, PanopticMap

CATEGORIES = Categories(
    (
        Category(7, "cat & <dog>"),
        Category(300, 'sky "blue"', isthing=False, color=(1, 2, 255)),
        Category(2, "tree"),
        Category(11, "grass", isthing=False),
    )
)
META = StoreMeta("config1", "weights1", CATEGORIES, {"numpy": "2.0"}, "some_val")


def detections(seed, count=3, height=24, width=32, *, masks=True):
    """Random boxes and scores with all float32 digits; random blobs as masks, the last one without a pixel."""
    rng = np.random.default_rng(seed)
    corners = (rng.random((count, 2)) * (width / 2, height / 2)).astype(np.float32)
    sizes = (rng.random((count, 2)) * (width / 2, height / 2)).astype(np.float32)
    bitmaps = np.zeros((count, height, width), bool)
    for number in range(count - 1):
        bitmaps[number] = blob(rng, height, width)
    return Detections(
        MaskCrops.from_bitmaps(bitmaps) if masks else None,
        np.concatenate([corners, corners + sizes], axis=1),
        rng.random(count).astype(np.float32),
        rng.choice([7, 2], count),
        height,
        width,
    )


def blob(rng, height, width):
    y, x = np.mgrid[:height, :width]
    cy, cx = rng.integers(0, height), rng.integers(0, width)
    angle = np.arctan2(y - cy, x - cx)
    radius = min(height, width) * (0.3 + 0.05 * np.sin(3 * angle + rng.random() * 6))
    return (y - cy) ** 2 + (x - cx) ** 2 < radius**2


def stuff_map(seed, height=24, width=32):
    rows = np.random.default_rng(seed).choice(np.array([0, 1, 2, VOID], np.uint16), height)
    return np.ascontiguousarray(np.broadcast_to(rows[:, None], (height, width)))


def panoptic(seed, height=24, width=32):
    rng = np.random.default_rng(seed)
    ids = np.zeros((height, width), np.uint32)
    ids[: height // 2] = 1
    ids[height // 2 : -2] = 256**3 - 1
    ids[blob(rng, height, width) & (ids != 0)] = 70000
    category_of = {1: 300, 256**3 - 1: 11, 70000: 7}
    used = {number: category_of[number] for number in np.unique(ids).tolist() if number}
    return PanopticMap.from_labels(ids, used, CATEGORIES, scores={70000: float(np.float32(0.1))})


def full(key, seed, **changes):
    """An image with everything."""
    ledger = ({"segment": 1, "why": "kept", "share": 0.25}, {"segment": 2, "why": "dropped", "by": None})
    fields = {
        "detections": detections(seed),
        "stuff_map": stuff_map(seed),
        "panoptic": panoptic(seed),
        "ledger": ledger,
    }
    return PredictedImage(key, 24, 32, **(fields | changes))


def write_store(folder, images, meta=META, **options):
    with StoreWriter.open(folder, meta, **options) as writer:
        for image in images:
            writer.append(image)
    return folder


def stored(folder, *images, meta=META):
    return Store.open(write_store(folder / "store", images, meta))


def assert_same(read, written):
    for name in ("key", "height", "width", "image_id", "ledger"):
        assert getattr(read, name) == getattr(written, name)
        assert type(getattr(read, name)) is type(getattr(written, name))
    _assert_same_detections(read.detections, written.detections)
    _assert_same_array(read.stuff_map, written.stuff_map)
    assert (read.panoptic is None) == (written.panoptic is None)
    if read.panoptic is not None:
        _assert_same_array(read.panoptic.ids, written.panoptic.ids)
        assert read.panoptic.segments == written.panoptic.segments


def _assert_same_detections(read, written):
    assert (read is None) == (written is None)
    if read is None:
        return
    for name in ("boxes_xyxy", "scores", "category_ids"):
        _assert_same_array(getattr(read, name), getattr(written, name))
    assert (read.height, read.width) == (written.height, written.width)
    assert (read.masks is None) == (written.masks is None)
    if read.masks is not None:
        np.testing.assert_array_equal(read.masks.to_bitmaps(), written.masks.to_bitmaps())


def _assert_same_array(read, written):
    assert (read is None) == (written is None)
    if read is not None:
        assert read.dtype == written.dtype
        assert read.shape == written.shape
        assert read.tobytes() == written.tobytes()
