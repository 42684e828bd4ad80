"""Exports that take long: images of any size, and every kind of detector, in both formats."""

import re

import cv2
import numpy as np
import pytest

import thingstuff
from thingstuff.data.shapes_scene import draw_scene

pytestmark = pytest.mark.slow

SIZES = ((160, 160), (160, 300), (300, 160), (97, 211), (50, 20))


def scene(size):
    return cv2.resize(draw_scene(np.random.default_rng(7)).image_bgr, size[::-1])


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "pictures").mkdir()
    for number, size in enumerate(SIZES):
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), scene(size))
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("model.onnx", "mask_rcnn"),
        ("model.onnx", "boxes"),
        ("model.onnx", "panoptic_fpn"),
        ("model.pt2", "panoptic_fpn"),
    ],
)
def test_images_of_any_size(run_tool, sharp_weights, pictures, tmp_path, name, recipe):
    kind = {"panoptic_fpn": "panoptic", "mask_rcnn": "mask", "boxes": "mask"}[recipe]
    opts = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.2"]
    opts += ["MODEL.MASK_ON", "False"] if recipe == "boxes" else []
    config = f"thingstuff://shapes/{'mask_rcnn' if recipe == 'boxes' else recipe}.yaml"
    fixed = ("--config-file", config, "--weights", sharp_weights[kind], "--output", tmp_path / name, "--dynamic")
    code, out, err = run_tool("export", *fixed, "--images", pictures, "--opts", *opts)
    assert code == 0, err
    assert re.search(f"images compared +{len(SIZES)} ", out)
    assert "for any size" in out

    model = thingstuff.load(tmp_path / name, device="cpu")
    reference = thingstuff.load(config, sharp_weights[kind], device="cpu", overrides=opts)
    for size in SIZES[:4]:  # the last is narrower than two cells of the coarsest features, and gets a wider canvas
        one, other = model(scene(size)), reference(scene(size))
        assert len(one) == len(other)
        assert np.abs(one.boxes - other.boxes).max(initial=0) < 0.1
        assert one.labels == other.labels
