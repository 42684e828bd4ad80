"""The models are Detectron2's: with the same weights they answer as those that its own Python configs build."""

import functools

import pytest
import torch
from detectron2.config import LazyCall, instantiate
from detectron2.model_zoo import get_config
from detectron2.modeling import build_model
from detectron2.modeling.backbone import MViT, SwinTransformer
from modern_cases import CONFIGS, config_of, image_of, model_of, shapes_of, shapes_on_meta, without_memory
from torch import nn

from thingstuff.config import load_config
from thingstuff.engine.lazy_run import load_python_config

SMALL_VIT = {"img_size": 64, "embed_dim": 24, "depth": 3, "num_heads": 3, "window_block_indexes": [0, 2]}
SMALL_VIT_KEYS = (
    *("MODEL.VIT.IMG_SIZE", "64", "MODEL.VIT.EMBED_DIM", "24", "MODEL.VIT.DEPTH", "3", "MODEL.VIT.NUM_HEADS", "3"),
    *("MODEL.VIT.GLOBAL_BLOCKS", "[1]", "MODEL.FPN.SQUARE_PAD", "96"),
    *("INPUT.MAX_SIZE_TEST", "96", "INPUT.JITTER.SIZE", "96"),
)


def coco(name, *overrides):
    return load_config(CONFIGS / f"{name}.yaml", ["MODEL.DEVICE", "cpu", *overrides])


def lazy(path, backbone=None):
    model = get_config(f"common/models/{path}.py").model
    if backbone is not None:
        model.backbone.bottom_up = backbone[0]
        model.backbone.in_features = backbone[1]
        constants = get_config("common/data/constants.py").constants
        model.pixel_mean, model.pixel_std = constants.imagenet_rgb256_mean, constants.imagenet_rgb256_std
    return model


def lazy_mvit():
    norm = functools.partial(nn.LayerNorm, eps=1e-6)
    body = LazyCall(MViT)(depth=10, last_block_indexes=(0, 2, 7, 9), drop_path_rate=0.2, norm_layer=norm)
    return lazy("mask_rcnn_fpn", (body, ["scale2", "scale3", "scale4", "scale5"]))


def lazy_swin():
    return lazy("mask_rcnn_fpn", (LazyCall(SwinTransformer)(), ["p0", "p1", "p2", "p3"]))


def lazy_cascade():
    model = lazy("cascade_rcnn")
    model.backbone = lazy("mask_rcnn_vitdet").backbone
    model.proposal_generator.head.conv_dims = [-1, -1]
    model.roi_heads.mask_head.conv_norm = "LN"
    for head in model.roi_heads.box_heads:
        head.conv_dims, head.fc_dims, head.conv_norm = [256] * 4, [1024], "LN"
    return model


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("coco_vitdet_b", functools.partial(lazy, "mask_rcnn_vitdet")),
        ("coco_cascade_vitdet_b", lazy_cascade),
        ("coco_mvitv2_t", lazy_mvit),
        ("coco_swin_t", lazy_swin),
        ("coco_fcos_R_50_FPN_1x", functools.partial(lazy, "fcos")),
    ],
)
def test_a_recipe_has_the_tensors_of_detectron2s_python_config(name, reference):
    with without_memory():
        expected = shapes_of(instantiate(reference()))
    assert shapes_on_meta(coco(name)) == expected


def small_vitdet():
    model = lazy("mask_rcnn_vitdet")
    model.backbone.net.update(SMALL_VIT)
    model.backbone.square_pad = 96
    return model


def small_mvit():
    model = lazy_mvit()
    model.backbone.bottom_up.update(embed_dim=16, depth=5, last_block_indexes=(0, 1, 2, 4), adaptive_window_size=16)
    return model


def small_swin():
    model = lazy_swin()
    model.backbone.bottom_up.update(embed_dim=12, depths=(2, 1, 1, 1), num_heads=(1, 2, 3, 4), window_size=4)
    return model


@pytest.mark.parametrize(
    ("name", "keys", "reference"),
    [
        ("coco_vitdet_b", SMALL_VIT_KEYS, small_vitdet),
        (
            "coco_mvitv2_t",
            (
                *("MODEL.MVIT.EMBED_DIM", "16", "MODEL.MVIT.DEPTH", "5", "MODEL.MVIT.LAST_BLOCKS", "[0, 1, 2, 4]"),
                *("MODEL.MVIT.WINDOW_SIZE", "16"),
            ),
            small_mvit,
        ),
        (
            "coco_swin_t",
            (
                *("MODEL.SWIN.EMBED_DIM", "12", "MODEL.SWIN.DEPTHS", "[2, 1, 1, 1]"),
                *("MODEL.SWIN.NUM_HEADS", "[1, 2, 3, 4]", "MODEL.SWIN.WINDOW_SIZE", "4"),
            ),
            small_swin,
        ),
    ],
)
def test_it_answers_as_detectron2s_python_config(name, keys, reference):
    """Boxes, scores, classes and masks of an image whose size is no multiple of anything, to the last bit."""
    scores = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0", "TEST.DETECTIONS_PER_IMAGE", "8", "MODEL.WEIGHTS", "")
    ours = model_of_coco(name, *keys, *scores)
    described = reference()
    described.roi_heads.box_predictor.test_score_thresh = 0.0
    described.roi_heads.box_predictor.test_topk_per_image = 8
    theirs = instantiate(described).eval()
    theirs.load_state_dict(ours.state_dict())
    one = {"image": image_of(70, 90)}
    with torch.inference_mode():
        answer, expected = ours([one])[0]["instances"], theirs([one])[0]["instances"]
    assert len(expected) == 8
    assert torch.equal(answer.pred_boxes.tensor, expected.pred_boxes.tensor)
    for field in ("scores", "pred_classes", "pred_masks"):
        assert torch.equal(answer.get(field), expected.get(field)), field


def model_of_coco(name, *overrides):
    torch.manual_seed(0)
    return build_model(coco(name, *overrides)).eval()


def test_fcos_answers_as_detectron2s_python_config():
    ours = model_of_coco("coco_fcos_R_50_FPN_1x", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0", "MODEL.WEIGHTS", "")
    described = lazy("fcos")
    described.test_score_thresh = 0.0
    theirs = instantiate(described).eval()
    theirs.load_state_dict(ours.state_dict())
    one = {"image": image_of(70, 90)}
    with torch.inference_mode():
        answer, expected = ours([one])[0]["instances"], theirs([one])[0]["instances"]
    assert len(expected) > 20
    assert torch.equal(answer.pred_boxes.tensor, expected.pred_boxes.tensor)
    assert torch.equal(answer.scores, expected.scores)
    assert torch.equal(answer.pred_classes, expected.pred_classes)


def test_the_python_recipe_builds_what_the_yaml_recipe_builds():
    described = load_python_config(str(CONFIGS / "lazy_vitdet_b.py"), [])
    cfg = coco("coco_vitdet_b")
    with without_memory():
        model = instantiate(described.model)
    assert shapes_of(model) == shapes_on_meta(cfg)
    assert described.train.init_checkpoint == cfg.MODEL.WEIGHTS
    assert described.train.max_iter == cfg.SOLVER.MAX_ITER
    assert tuple(described.lr_multiplier.scheduler.milestones) == cfg.SOLVER.STEPS
    assert (described.optimizer.lr, described.optimizer.weight_decay) == (cfg.SOLVER.BASE_LR, cfg.SOLVER.WEIGHT_DECAY)


def test_levels_are_called_by_their_strides():
    for name, levels in {
        "shapes_vitdet": {"p2": 4, "p3": 8, "p4": 16, "p5": 32},
        "shapes_mvitv2": {"p2": 4, "p3": 8, "p4": 16, "p5": 32, "p6": 64},
        "shapes_swin": {"p2": 4, "p3": 8, "p4": 16, "p5": 32, "p6": 64},
    }.items():
        model = model_of(name)
        assert {level: shape.stride for level, shape in model.backbone.output_shape().items()} == levels
        assert set(config_of(name).MODEL.ROI_HEADS.IN_FEATURES) < set(levels)
