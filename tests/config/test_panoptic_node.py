"""What PANOPTIC in a config makes of Detectron2's own keys, and what it refuses."""

import pytest

from thingstuff.config import load_config
from thingstuff.errors import ConfigError

MASK = "thingstuff://shapes/mask_rcnn.yaml"


def test_a_config_without_the_node_means_what_it_meant():
    cfg = load_config(MASK)
    assert cfg.MODEL.META_ARCHITECTURE == "GeneralizedRCNN"
    assert not cfg.PANOPTIC.ENABLED


def test_one_key_turns_a_mask_rcnn_into_a_panoptic_fpn():
    cfg = load_config(MASK, ["PANOPTIC.ENABLED", "True"])
    assert cfg.MODEL.META_ARCHITECTURE == "PanopticFPN"


@pytest.mark.parametrize("source", [("model", "STUFF_CONFIG"), ("files", "STUFF_DIR")])
def test_other_sources_leave_the_instance_model_as_it_is(source):
    stuff, key = source
    cfg = load_config(MASK, ["PANOPTIC.ENABLED", "True", "PANOPTIC.STUFF", stuff, f"PANOPTIC.{key}", "there"])
    assert cfg.MODEL.META_ARCHITECTURE == "GeneralizedRCNN"


def test_a_panoptic_fpn_of_the_zoo_is_panoptic_without_the_node():
    cfg = load_config("model_zoo://COCO-PanopticSegmentation/panoptic_fpn_R_50_3x.yaml")
    assert cfg.PANOPTIC.ENABLED
    assert cfg.PANOPTIC.STUFF == "head"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["PANOPTIC.STUFF", "heads"], ("PANOPTIC.STUFF is 'heads'", "head, model, files")),
        (["PANOPTIC.STUFF", "model"], ("PANOPTIC.STUFF_CONFIG",)),
        (["PANOPTIC.STUFF", "files"], ("PANOPTIC.STUFF_DIR",)),
        (["PANOPTIC.STUFF_FORMAT", "coco"], ("STUFF_FORMAT is 'coco'", "contiguous, ids")),
        (["MODEL.MASK_ON", "False"], ("MODEL.MASK_ON True",)),
        (["MODEL.META_ARCHITECTURE", "RetinaNet"], ("Mask R-CNN or one of its kin", "RetinaNet")),
        (["MODEL.KEYPOINT_ON", "True"], ("KEYPOINT_ON",)),
        (["PANOPTIC.OVERLAP_TRESH", "0.3"], ("did you mean PANOPTIC.OVERLAP_THRESH",)),
    ],
)
def test_contradictions_are_named(overrides, words):
    with pytest.raises(ConfigError) as refusal:
        load_config(MASK, ["PANOPTIC.ENABLED", "True", *overrides])
    assert all(word in str(refusal.value) for word in words)


def test_weights_of_the_zoos_mask_rcnn_fit_and_leave_the_semantic_head():
    from thingstuff.modeling.zoo_check import build_without_weights

    name = "model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
    instance = build_without_weights(load_config(name)).state_dict()
    panoptic = build_without_weights(load_config(name, ["PANOPTIC.ENABLED", "True"])).state_dict()
    assert {key: value.shape for key, value in instance.items()}.items() <= {
        key: value.shape for key, value in panoptic.items()
    }.items()
    new = set(panoptic) - set(instance)
    assert new
    assert all(key.startswith("sem_seg_head.") for key in new)


@pytest.mark.parametrize(("given", "value"), [("50", 50), ("0.02", 0.02), ("None", None)])
def test_a_limit_is_pixels_or_a_fraction_whatever_the_file_says(given, value):
    recipe = "thingstuff://shapes/panoptic_fpn.yaml"
    assert value == load_config(recipe, ["PANOPTIC.STUFF_AREA_LIMIT", given]).PANOPTIC.STUFF_AREA_LIMIT


def test_a_whole_number_does_where_a_fraction_is_expected():
    assert load_config(MASK, ["SOLVER.WEIGHT_DECAY", "0"]).SOLVER.WEIGHT_DECAY == 0.0
