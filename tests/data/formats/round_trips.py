"""What the tests of several formats share: truths to write and read again, their masks, and damaged files."""

from __future__ import annotations

import random

import numpy as np
import pytest
from helpers import SHARED

from thingstuff.data.formats import Source
from thingstuff.data.formats.coco import COCO
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops

WIDTH, HEIGHT = 12, 10


def shapes_truth(small_shapes, split="val"):
    return COCO.read(Source(small_shapes / "annotations" / f"instances_{split}.json", small_shapes / split))


def coco_tiny():
    path = SHARED / "real/coco_tiny/annotations/instances_val2017.json"
    if not path.is_file():
        pytest.skip("../shared/data/real/coco_tiny is not there")
    return COCO.read(Source(path, SHARED / "real/coco_tiny/val2017"))


def without_crowds(truth):
    kept = [note for note in truth.annotations if not note["iscrowd"]]
    return SplitTruth(truth.name, truth.image_root, truth.categories, truth.images, kept)


def first_images(truth, count):
    images = truth.images[:count]
    ids = {image["id"] for image in images}
    notes = [note for note in truth.annotations if note["image_id"] in ids]
    return SplitTruth(truth.name, truth.image_root, truth.categories, images, notes)


def masks_of(truth):
    """file_name -> [(category name, is crowd, H x W bitmap), ...] in their order."""
    names = {category["id"]: category["name"] for category in truth.categories}
    images = {image["id"]: image for image in truth.images}
    found = {image["file_name"]: [] for image in truth.images}
    for note in truth.annotations:
        image = images[note["image_id"]]
        mask = MaskCrops.from_coco([note["segmentation"]], image["height"], image["width"])
        found[image["file_name"]].append((names[note["category_id"]], bool(note["iscrowd"]), mask.bitmap(0)))
    return found


def assert_same_masks(read, written):
    """The same images, and in each the same instances: category, crowd flag and every pixel."""
    got, expected = masks_of(read), masks_of(written)
    assert got.keys() == expected.keys()
    for name, masks in expected.items():
        assert [mask[:2] for mask in got[name]] == [mask[:2] for mask in masks]
        for (_, _, one), (_, _, other) in zip(got[name], masks, strict=True):
            np.testing.assert_array_equal(one, other)


def assert_measured(truth):
    """bbox and area are those of the masks, ids count from 1, and each annotation has a place."""
    masks = [mask for image in masks_of(truth).values() for _, _, mask in image]
    order = [note for image in truth.images for note in truth.annotations if note["image_id"] == image["id"]]
    for note, mask in zip(order, masks, strict=True):
        y, x = np.nonzero(mask)
        assert note["area"] == mask.sum()
        if mask.any():
            assert note["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
    assert [note["id"] for note in truth.annotations] == list(range(1, len(truth.annotations) + 1))
    assert len(truth.annotation_places) == len(truth.annotations)
    assert len(truth.image_places) == len(truth.images)


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


# damaged files


def assert_survives(read, path, files):
    """Whatever is written to `path`, `read()` gives a truth, or refuses it in one line."""
    refused = accepted = 0
    for data in files:
        path.write_bytes(data)
        try:
            truth = read()
        except DataError as error:
            refused += 1
            assert "\n" not in str(error)
            assert 10 < len(str(error)) < 1000
        else:
            accepted += 1
            assert isinstance(truth, SplitTruth)
            assert all(isinstance(note, dict) for note in (*truth.images, *truth.annotations))
    assert refused
    assert accepted


def mutated_bytes(whole, count, seed=0):
    """`count` times a file like `whole`: cut, or with some bytes changed, moved or doubled."""
    rng = random.Random(seed)
    for _ in range(count):
        data = bytearray(whole)
        way = rng.random()
        if way < 0.25:
            yield bytes(data[: rng.randrange(len(data))])
            continue
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(data))
            if way < 0.75:
                data[at] = rng.randrange(256)
            else:
                data[at:at] = data[rng.randrange(len(data)) :][: rng.randint(1, 40)]
        yield bytes(data)
