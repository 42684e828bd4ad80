"""Crowds on their way into a training: they turn with the image, and are never among the instances."""

from pathlib import Path

import numpy as np
import pytest
from detectron2.structures import BoxMode
from helpers import TINY
from PIL import Image
from pycocotools import mask as rle
from yolact.truth import CROWDS

from thingstuff.config import load_config
from thingstuff.data.mappers import build_mapper
from thingstuff.errors import ConfigError

SHAPES = Path(__file__).parents[1] / "configs/shapes.yaml"
PLAIN = ("INPUT.COPY_PASTE.ENABLED", "False", "INPUT.RANDOM_FLIP", "none", "INPUT.MIN_SIZE_TRAIN", "(20,)")


def note(x, y, width, height, **others):
    x1, y1 = x + width, y + height
    polygon = [float(v) for v in (x, y, x1, y, x1, y1, x, y1)]
    place = {"bbox": [x, y, width, height], "bbox_mode": BoxMode.XYWH_ABS, "segmentation": [polygon]}
    return {**place, "category_id": 1, "iscrowd": 0, **others}


def crowd_rle(x, y, width, height):
    mask = np.zeros((20, 30), np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    return note(x, y, width, height, segmentation=rle.encode(mask), iscrowd=1)


@pytest.fixture
def record(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    notes = [note(2, 2, 6, 6), crowd_rle(10, 4, 12, 8)]
    return {"file_name": str(tmp_path / "a.png"), "height": 20, "width": 30, "image_id": 1, "annotations": notes}


def mapped(record, *overrides):
    return build_mapper(load_config(SHAPES, [*TINY, *PLAIN, *overrides]), [record])(record)


def boxes_of(instances):
    return instances.gt_boxes.tensor.tolist()


def test_crowds_are_apart_from_instances(record):
    found = mapped(record)
    assert boxes_of(found["instances"]) == [[2, 2, 8, 8]]
    assert boxes_of(found[CROWDS]) == [[10, 4, 22, 12]]
    assert found[CROWDS].gt_masks.tensor.sum() == 12 * 8


def test_they_turn_and_grow_with_the_image(record):
    """Mirrored, and in twice the size; RandomFlip flips with a chance of one half."""
    seen = {
        tuple(boxes_of(mapped(record, "INPUT.RANDOM_FLIP", "horizontal", "INPUT.MIN_SIZE_TRAIN", "(40,)")[CROWDS])[0])
        for _ in range(30)
    }
    assert seen == {(20, 8, 44, 24), (16, 8, 40, 24)}


def test_padding_is_no_crowd(record):
    jitter = ("INPUT.JITTER.ENABLED", "True", "INPUT.JITTER.SIZE", "64", "INPUT.JITTER.MIN_SCALE", "0.5")
    found = mapped(record, *jitter, "INPUT.JITTER.MAX_SCALE", "0.5")[CROWDS]
    assert found.image_size == (64, 64)
    area = float(found.gt_masks.tensor.sum())
    assert area == pytest.approx(12 * 8 * (32 / 30) ** 2, rel=0.15)


@pytest.mark.parametrize("segmentation", [None, []])
def test_a_crowd_without_mask_is_its_box(record, segmentation):
    record["annotations"][1] = note(10, 4, 12, 8, iscrowd=1, segmentation=segmentation)
    assert mapped(record)[CROWDS].gt_masks.tensor[0, 4:12, 10:22].all()
    assert mapped(record)[CROWDS].gt_masks.tensor.sum() == 12 * 8


def test_a_crowd_of_polygons(record):
    record["annotations"][1] = note(10, 4, 12, 8, iscrowd=1)
    assert boxes_of(mapped(record)[CROWDS]) == [[10, 4, 22, 12]]


def test_crowds_alone_and_no_crowds(record):
    alone = {**record, "annotations": record["annotations"][1:]}
    mapper = build_mapper(load_config(SHAPES, [*TINY, *PLAIN]), [record, alone])
    assert (len(mapper(alone)["instances"]), len(mapper(alone)[CROWDS])) == (0, 1)
    without = {**record, "annotations": record["annotations"][:1]}
    assert (len(mapper(without)["instances"]), len(mapper(without)[CROWDS])) == (1, 0)


def test_the_record_stays_as_it_was(record):
    before = str(record)
    mapped(record)
    assert str(record) == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"category_id": 6}, "has 7 classes, but MODEL.ROI_HEADS.NUM_CLASSES is 6: set it to 7"),
        ({"segmentation": []}, "has instances without masks, in .*a.png: YOLACT learns masks"),
        ({"iscrowd": 1}, "shapes_train has no instances, which YOLACT learns from"),
    ],
)
def test_what_cannot_be_learnt(record, changed, message):
    record["annotations"][0] |= changed
    with pytest.raises(ConfigError, match=message):
        mapped(record)
