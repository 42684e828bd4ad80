"""What a config may say, and the one line for what it may not."""

import json

import pytest
import yaml
from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES
from detectron2.modeling import build_model
from yoloseg.network import parse_name
from yoloseg.package import load_package
from yoloseg_cases import CONFIGS, NAMES, small_cfg

from thingstuff.config import load_config
from thingstuff.errors import ConfigError


@pytest.mark.parametrize("family", ["yolov8", "yolo11"])
@pytest.mark.parametrize("size", list("nsmlx"))
def test_every_size_has_a_name(family, size):
    assert parse_name(f"{family}{size}-seg.yaml") == parse_name(f"{family}{size}-seg") == (family, size)


@pytest.mark.parametrize("name", NAMES)
def test_the_network_is_the_one_that_ultralytics_builds(name):
    theirs = load_package().model_class(name, ch=3, nc=80, verbose=False).state_dict()
    ours = build_model(small_cfg(MODEL__YOLOSEG__NAME=name, MODEL__ROI_HEADS__NUM_CLASSES=80)).network.state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


def test_sizes_differ():
    small, large = (
        sum(value.numel() for value in build_model(small_cfg(MODEL__YOLOSEG__NAME=f"yolov8{size}-seg")).parameters())
        for size in "ns"
    )
    assert large > 3 * small


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_is_read(path):
    assert load_config(path).MODEL.META_ARCHITECTURE == "YOLOSeg"


def test_ultralytics_numbers_cocos_classes_as_detectron2_does():
    file = load_package().models / "datasets/coco.yaml"
    theirs = yaml.safe_load(file.read_text(encoding="utf-8"))["names"]
    ours = [category["name"] for category in COCO_CATEGORIES if category["isthing"]]
    assert [theirs[index] for index in range(len(theirs))] == ours
    assert len(ours) == load_config(CONFIGS / "coco_yolo11n.yaml").MODEL.ROI_HEADS.NUM_CLASSES


def test_thresholds_are_those_with_which_ultralytics_predicts():
    from ultralytics.utils import DEFAULT_CFG

    heads, test = (load_config(CONFIGS / "base.yaml")[key] for key in ("MODEL", "TEST"))
    assert DEFAULT_CFG.iou == heads.ROI_HEADS.NMS_THRESH_TEST
    assert DEFAULT_CFG.max_det == test.DETECTIONS_PER_IMAGE
    assert heads.ROI_HEADS.SCORE_THRESH_TEST == 0.25  # where none is given
    node = heads.YOLOSEG
    assert (DEFAULT_CFG.box, DEFAULT_CFG.cls, DEFAULT_CFG.dfl) == (node.BOX_WEIGHT, node.CLS_WEIGHT, node.DFL_WEIGHT)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"MODEL__YOLOSEG__NAME": "yolov8n.yaml"}, "MODEL.YOLOSEG.NAME is 'yolov8n.yaml', expected yolov8n-seg.yaml"),
        ({"MODEL__YOLOSEG__NAME": "yolo26n-seg.yaml"}, "MODEL.YOLOSEG.NAME is 'yolo26n-seg.yaml'"),
        ({"MODEL__YOLOSEG__NAME": "../yolo11n-seg"}, "MODEL.YOLOSEG.NAME is '../yolo11n-seg'"),
        ({"MODEL__YOLOSEG__BOX_WEIGHT": -1.0}, "MODEL.YOLOSEG.BOX_WEIGHT is -1.0, expected 0 or more"),
        ({"MODEL__MASK_ON": False}, "set MODEL.MASK_ON True"),
        ({"MODEL__ROI_HEADS__NUM_CLASSES": 0}, "NUM_CLASSES is 0, expected 1 or more"),
        ({"MODEL__ROI_HEADS__SCORE_THRESH_TEST": 1.5}, "SCORE_THRESH_TEST is 1.5, expected a number from 0 to 1"),
        ({"MODEL__ROI_HEADS__NMS_THRESH_TEST": -0.1}, "NMS_THRESH_TEST is -0.1, expected a number from 0 to 1"),
        ({"TEST__DETECTIONS_PER_IMAGE": 0}, "TEST.DETECTIONS_PER_IMAGE is 0, expected 1 or more"),
        ({"INPUT__FORMAT": "L"}, "INPUT.FORMAT is 'L', expected RGB or BGR"),
        (
            {"DATASETS__TEST": "('coco_2017_val',)"},
            "coco_2017_val has 80 classes, but MODEL.ROI_HEADS.NUM_CLASSES is 6: set it to 80",
        ),
    ],
)
def test_mistakes_are_one_line(overrides, said):
    with pytest.raises(ConfigError, match=said):
        build_model(small_cfg(**overrides))


def test_a_config_alone_is_plain_data():
    assert json.loads(json.dumps(load_config(CONFIGS / "shapes.yaml").MODEL.YOLOSEG))["NAME"] == "yolo11n-seg.yaml"
