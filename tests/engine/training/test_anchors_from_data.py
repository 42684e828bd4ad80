"""Anchors from data: the overlap is Detectron2's, and what is found is never worse than the recipe."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.structures import Boxes, BoxMode, pairwise_iou

from thingstuff.config import load_config
from thingstuff.engine.training import anchors
from thingstuff.engine.training.anchors import (
    LEAST_GAIN,
    ResizedBoxes,
    _recipe_shape,
    _scale,
    anchors_from_data,
    apply_anchors,
    best_ious,
)
from thingstuff.errors import ConfigError

MASK_RCNN = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
RETINANET = "COCO-Detection/retinanet_R_50_FPN_1x.yaml"
C4 = "COCO-Detection/faster_rcnn_R_50_C4_1x.yaml"
UNRESIZED = ("INPUT.MIN_SIZE_TRAIN", "(0,)")


def cfg_of(name, *overrides):
    return load_config(f"model_zoo://{name}", list(overrides))


def record(boxes, width=640, height=480, mode=BoxMode.XYWH_ABS, **note):
    notes = [{"bbox": list(box), "bbox_mode": mode, **note} for box in boxes]
    return {"width": width, "height": height, "annotations": notes}


def random_records(smallest, largest, images=60, an_image=12, ratio=1.0, seed=3):
    """Boxes with log-uniform sizes, anywhere in images of 640 x 480."""
    rng = np.random.default_rng(seed)
    records = []
    for _ in range(images):
        size = np.exp(rng.uniform(math.log(smallest), math.log(largest), an_image))
        ratios = ratio * np.exp(rng.normal(0, 0.2, an_image))
        wh = np.stack([size / np.sqrt(ratios), size * np.sqrt(ratios)], axis=1)
        xy = rng.uniform(0, 1, (an_image, 2)) * np.maximum(0, (640, 480) - wh)
        records.append(record(np.hstack([xy, wh]).tolist()))
    return records


# ---- the overlap -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [MASK_RCNN, RETINANET, C4])
@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_overlaps_are_those_of_detectron2s_anchors(name, offset):
    cfg = cfg_of(name, "MODEL.ANCHOR_GENERATOR.OFFSET", str(offset))
    shape = _recipe_shape(cfg)
    width, height = 320, 200
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 1, (200, 2)) * (width - 8, height - 8)
    high = np.minimum(low + rng.uniform(4, 150, (200, 2)), (width, height))
    generator = DefaultAnchorGenerator(cfg, [ShapeSpec(stride=stride) for stride in shape.strides_px])
    grids = [torch.zeros(1, 1, math.ceil(height / s), math.ceil(width / s)) for s in shape.strides_px]
    theirs = pairwise_iou(Boxes(torch.tensor(np.hstack([low, high])).float()), Boxes.cat(generator(grids)))
    boxes = ResizedBoxes((low + high) / 2, high - low, np.tile([width, height], (200, 1)))
    ours = best_ious(boxes, shape)
    np.testing.assert_allclose(ours, theirs.max(dim=1).values.numpy(), atol=1e-5)


def test_the_recipes_number_is_the_mean_over_boxes():
    boxes = [(64 - 16, 64 - 16, 32, 32), (64 - 8, 64 - 8, 16, 16)]  # around a point of every grid
    cfg = cfg_of(MASK_RCNN, *UNRESIZED, "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", "[[1.0]]")
    found = anchors_from_data([record(boxes)], cfg)
    assert found.recipe_mean_iou == pytest.approx((1 + 16**2 / 32**2) / 2)
    assert found.boxes == 2


# ---- what is found -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [MASK_RCNN, RETINANET, C4])
@pytest.mark.parametrize(("smallest", "largest", "ratio"), [(6, 14, 1.0), (20, 25, 1.0), (8, 400, 0.5), (30, 60, 4.0)])
def test_never_worse_than_the_recipe_and_of_its_form(name, smallest, largest, ratio):
    cfg = cfg_of(name)
    shape = _recipe_shape(cfg)
    found = anchors_from_data(random_records(smallest, largest, ratio=ratio), cfg)
    assert found.is_of_recipe or found.mean_iou >= found.recipe_mean_iou + LEAST_GAIN
    assert [len(row) for row in found.sizes] == [len(row) for row in shape.sizes]
    assert [len(row) for row in found.aspect_ratios] == [len(row) for row in shape.aspect_ratios]
    firsts = [row[0] for row in found.sizes] if len(found.sizes) > 1 else found.sizes[0]
    assert all(a < b for a, b in pairwise(firsts))
    assert all(a < b for row in (*found.sizes, *found.aspect_ratios) for a, b in pairwise(row))
    longest = 640 * min(sum(cfg.INPUT.MIN_SIZE_TRAIN) / len(cfg.INPUT.MIN_SIZE_TRAIN) / 480, 1333 / 640)
    assert all(4 <= size <= 2 * longest for row in found.sizes for size in row)


def test_small_objects_get_small_anchors():
    found = anchors_from_data(random_records(6, 14), cfg_of(MASK_RCNN, *UNRESIZED))
    assert not found.is_of_recipe
    assert 4 <= found.sizes[0][0] <= 14
    assert found.mean_iou > 2 * found.recipe_mean_iou


def test_tall_objects_get_tall_anchors():
    found = anchors_from_data(random_records(40, 80, ratio=4.0), cfg_of(MASK_RCNN, *UNRESIZED))
    assert max(found.aspect_ratios[0]) > 3


def test_boxes_as_the_recipes_anchors_keep_them():
    boxes = [(x, y, 64, 64) for x in range(32, 400, 64) for y in range(32, 300, 64)]
    found = anchors_from_data([record(boxes)], cfg_of(MASK_RCNN, *UNRESIZED))
    assert found.is_of_recipe
    assert found.sizes == ((32,), (64,), (128,), (256,), (512,))
    assert found.recipe_mean_iou == pytest.approx(1)


def test_boxes_of_one_size_give_ascending_sizes():
    found = anchors_from_data([record([(100, 100, 20, 20)] * 50)], cfg_of(MASK_RCNN, *UNRESIZED))
    assert all(a < b for (a,), (b,) in pairwise(found.sizes))


def test_retinanet_keeps_its_three_sizes_an_octave():
    found = anchors_from_data(random_records(6, 14), cfg_of(RETINANET, *UNRESIZED))
    assert not found.is_of_recipe
    for first, second, third in found.sizes:
        assert second == pytest.approx(first * 2 ** (1 / 3), abs=0.11)
        assert third == pytest.approx(first * 2 ** (2 / 3), abs=0.11)


def test_ratios_of_each_level_and_many_ratios_stay():
    for ratios in ("[[0.5], [1.0], [1.0], [1.0], [2.0]]", "[[0.2, 0.5, 1.0, 2.0, 5.0]]"):
        cfg = cfg_of(MASK_RCNN, "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", ratios, *UNRESIZED)
        found = anchors_from_data(random_records(6, 14), cfg)
        assert not found.is_of_recipe
        assert [list(row) for row in found.aspect_ratios] == cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS


def test_the_same_data_give_the_same_anchors_whatever_the_seed():
    records, cfg = random_records(6, 30), cfg_of(MASK_RCNN)
    np.random.seed(1)
    first = anchors_from_data(records, cfg)
    np.random.seed(2)
    assert anchors_from_data(records, cfg) == first


# ---- boxes -------------------------------------------------------------------------------------------------------


def test_both_ways_to_write_a_box_are_the_same():
    xywh = [(10, 20, 30, 40), (200, 100, 50, 25)]
    xyxy = [(x, y, x + w, y + h) for x, y, w, h in xywh]
    cfg = cfg_of(MASK_RCNN)
    assert anchors_from_data([record(xywh)], cfg) == anchors_from_data([record(xyxy, mode=BoxMode.XYXY_ABS)], cfg)


def test_what_cannot_be_a_box_does_not_count():
    good = record([(10, 20, 30, 40)])
    odd = [
        record([(math.nan, 0, 10, 10), (0, 0, math.inf, 10), (5, 5, 0, 10), (5, 5, -3, 10), (700, 5, 20, 20)]),
        record([(0, 0, 100, 100)], iscrowd=1),
        record([(0, 0, 100, 100, 30)], mode=BoxMode.XYWHA_ABS),
        {"annotations": record([(0, 0, 100, 100)])["annotations"]},
        {"width": 640, "height": 480},
        {"width": 640, "height": 480, "annotations": [{"bbox_mode": 1}]},
    ]
    cfg = cfg_of(MASK_RCNN)
    found = anchors_from_data([good, *odd], cfg)
    assert found == anchors_from_data([good], cfg)
    assert found.boxes == 1


@pytest.mark.parametrize("records", [[], [{"width": 9, "height": 9, "annotations": []}], [record([(1, 1, 0, 5)])]])
def test_no_boxes_are_refused(records):
    with pytest.raises(ConfigError, match="no boxes"):
        anchors_from_data(records, cfg_of(MASK_RCNN))


def test_boxes_are_cut_at_the_border_as_in_training():
    cfg = cfg_of(MASK_RCNN)
    assert anchors_from_data([record([(600, 400, 100, 100)])], cfg) == anchors_from_data(
        [record([(600, 400, 40, 80)])], cfg
    )


def test_many_boxes_are_sampled(monkeypatch):
    monkeypatch.setattr(anchors, "_MOST_BOXES", 1000)
    records = [record([(i % 600, i % 400, 20 + i % 7, 30)] * 30) for i in range(400)]
    assert anchors_from_data(records, cfg_of(MASK_RCNN)).boxes == 1000


# ---- resizing ----------------------------------------------------------------------------------------------------


def scale_of(width, height, *overrides):
    return _scale(width, height, cfg_of(MASK_RCNN, *overrides), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("size", "overrides", "expected"),
    [
        ((640, 480), ("INPUT.MIN_SIZE_TRAIN", "(600, 800)"), 700 / 480),
        ((480, 640), ("INPUT.MIN_SIZE_TRAIN", "(800,)"), 800 / 480),
        ((2000, 500), ("INPUT.MIN_SIZE_TRAIN", "(800,)", "INPUT.MAX_SIZE_TRAIN", "1333"), 1333 / 2000),
        ((640, 480), UNRESIZED, 1),
        ((640, 480), (*UNRESIZED, "INPUT.MAX_PIXELS", "76800"), math.sqrt(76800 / (640 * 480))),
        ((640, 480), (*UNRESIZED, "INPUT.MAX_PIXELS", "1000000"), 1),
        ((640, 480), (*UNRESIZED, "INPUT.MAX_PIXELS", "-1"), 1),
    ],
)
def test_images_are_resized_as_in_training(size, overrides, expected):
    assert scale_of(*size, *overrides) == pytest.approx(expected)


def test_jitter_takes_the_place_of_resizing():
    jitter = ("INPUT.JITTER.ENABLED", "True", "INPUT.JITTER.SIZE", "512")
    fixed = (*jitter, "INPUT.JITTER.MIN_SCALE", "1.5", "INPUT.JITTER.MAX_SCALE", "1.5")
    assert scale_of(640, 480, *fixed) == pytest.approx(1.5 * 512 / 640)
    cfg, rng = cfg_of(MASK_RCNN, *jitter), np.random.default_rng(0)
    drawn = [_scale(512, 512, cfg, rng) for _ in range(300)]
    assert 0.1 <= min(drawn) < 0.3
    assert 1.8 < max(drawn) <= 2.0


# ---- the config --------------------------------------------------------------------------------------------------


def test_found_anchors_stand_in_the_config_and_build_the_same_head(tiny_cfg):
    from detectron2.modeling import build_model

    from thingstuff.data.catalog import register_shapes
    from thingstuff.data.records import load_records

    register_shapes()
    cfg = tiny_cfg("shapes/mask_rcnn.yaml", "MODEL.ANCHOR_GENERATOR.FROM_DATA", "True")
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[64], [128], [256], [384], [512]]
    before = {key: value.shape for key, value in build_model(cfg).state_dict().items()}
    found = anchors_from_data(load_records("shapes_train"), cfg)
    line = apply_anchors(cfg, found)
    node = cfg.MODEL.ANCHOR_GENERATOR
    assert [list(row) for row in found.sizes] == node.SIZES
    assert [list(row) for row in found.aspect_ratios] == node.ASPECT_RATIOS
    assert not node.FROM_DATA
    assert f"{found.mean_iou:.3f} on average, the recipe's by {found.recipe_mean_iou:.3f}" in line
    assert before == {key: value.shape for key, value in build_model(cfg).state_dict().items()}


def test_kept_anchors_leave_the_config_alone():
    cfg = cfg_of(MASK_RCNN, *UNRESIZED, "MODEL.ANCHOR_GENERATOR.FROM_DATA", "True")
    own = cfg.MODEL.ANCHOR_GENERATOR.clone()
    line = apply_anchors(cfg, anchors_from_data([record([(32, 32, 64, 64)])], cfg))
    assert "stay the recipe's" in line
    assert own | {"FROM_DATA": False} == cfg.MODEL.ANCHOR_GENERATOR


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("Misc/semantic_R_50_FPN_1x.yaml", (), "an RPN, or a RetinaNet"),
        (MASK_RCNN, ("MODEL.PROPOSAL_GENERATOR.NAME", "PrecomputedProposals"), "an RPN, or a RetinaNet"),
        (MASK_RCNN, ("MODEL.ANCHOR_GENERATOR.NAME", "RotatedAnchorGenerator"), "an RPN, or a RetinaNet"),
        (MASK_RCNN, ("MODEL.RPN.IN_FEATURES", "['fine']"), "the stride of fine"),
    ],
)
def test_models_without_such_anchors_are_refused(name, overrides, said):
    with pytest.raises(ConfigError, match=said):
        anchors_from_data([record([(1, 1, 9, 9)])], cfg_of(name, *overrides))


def test_strides_are_those_of_the_names():
    assert _recipe_shape(cfg_of(MASK_RCNN)).strides_px == (4, 8, 16, 32, 64)
    assert _recipe_shape(cfg_of(RETINANET)).strides_px == (8, 16, 32, 64, 128)
    assert _recipe_shape(cfg_of(C4)).strides_px == (16,)
    assert _recipe_shape(cfg_of("COCO-Detection/faster_rcnn_R_50_DC5_1x.yaml")).strides_px == (16,)
