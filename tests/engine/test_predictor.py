"""`thingstuff.load`: Detectron2's numbers as plain data, from every kind of image; and Detectron2's own way."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

import thingstuff
from thingstuff.errors import ConfigError, DataError, UserError, WeightsError

MASK = "thingstuff://shapes/mask_rcnn.yaml"
SEMANTIC = "thingstuff://shapes/semantic.yaml"


@pytest.fixture(scope="module")
def weights(sharp_weights):
    return sharp_weights


@pytest.fixture(scope="module")
def model(weights):
    return thingstuff.load(MASK, weights["mask"], score_thresh=0.2, device="cpu")


@pytest.fixture
def image_file(small_shapes):
    return small_shapes / "val" / "000001.png"


def same(a, b):
    return (
        np.array_equal(a.boxes, b.boxes)
        and np.array_equal(a.scores, b.scores)
        and a.labels == b.labels
        and np.array_equal(a.masks.to_bitmaps(), b.masks.to_bitmaps())
    )


def test_equals_detectron2s_predictor(weights, model, image_file):
    from detectron2.engine import DefaultPredictor

    from thingstuff.config import load_config

    cfg = load_config(MASK, ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", str(weights["mask"])])
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.2
    reference = DefaultPredictor(cfg)(cv2.imread(str(image_file)))["instances"]
    result = model(str(image_file))
    assert len(result) == len(reference) > 3
    assert np.array_equal(result.boxes, reference.pred_boxes.tensor.numpy())
    assert np.array_equal(result.scores, reference.scores.numpy())
    assert np.array_equal(result.masks.to_bitmaps(), reference.pred_masks.numpy())
    names = [c.name for c in model.categories.things]
    assert result.labels == [names[i] for i in reference.pred_classes.tolist()]


def test_every_kind_of_image_gives_the_same(model, image_file):
    bgr = cv2.imread(str(image_file))
    reference = model(image_file)
    before = bgr.copy()
    assert same(model(bgr), reference)
    assert same(model(bgr[:, :, ::-1], channels="RGB"), reference)
    assert same(model(Image.open(image_file)), reference)
    assert np.array_equal(bgr, before)


def test_grey_palette_and_rgba_images_are_read(model, image_file, tmp_path):
    picture = Image.open(image_file)
    for mode in ("L", "P", "RGBA", "CMYK"):
        path = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        picture.convert(mode).save(path)
        assert model(path).image_bgr.shape == (160, 160, 3)


def test_exif_rotation_is_followed(model, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    Image.new("RGB", (80, 40)).save(tmp_path / "a.jpg", exif=exif)
    assert model(tmp_path / "a.jpg").image_bgr.shape == (80, 40, 3)


@pytest.mark.parametrize("view", ["box", "semantic", "instance"])
def test_overlays_are_pictures_that_differ_from_the_image(model, image_file, view):
    result = model(image_file)
    picture = result.overlay(view=view)
    assert picture.dtype == np.uint8
    assert picture.shape == (480, 480, 3)
    enlarged = np.repeat(np.repeat(result.image_bgr, 3, 0), 3, 1)
    assert (picture != enlarged).any()


def test_semantic_model_has_a_stuff_map_and_says_what_it_lacks(weights, image_file):
    result = thingstuff.load(SEMANTIC, weights["semantic"], device="cpu")(image_file)
    assert result.stuff_map.shape == (160, 160)
    assert result.stuff_map.dtype == np.uint16
    assert result.stuff_map.max() <= 4
    assert result.overlay().shape == (480, 480, 3)
    with pytest.raises(UserError, match="no instances"):
        _ = result.boxes


def test_instance_model_says_that_it_has_no_stuff(model, image_file):
    with pytest.raises(UserError, match="no stuff"):
        _ = model(image_file).stuff_map


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("nowhere.png", "no image at nowhere.png"),
        (np.zeros((4, 4), np.uint8), "uint8 of shape"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
    ],
)
def test_what_is_no_image_is_refused(model, image, said):
    with pytest.raises(DataError, match=said):
        model(image)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_broken_image_files_are_named(model, tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png"):
        model(tmp_path / "broken.png")


def test_channels_must_be_known(model):
    with pytest.raises(DataError, match="'BGR' or 'RGB'"):
        model(np.zeros((4, 4, 3), np.uint8), channels="GBR")


def test_bad_arguments_of_load(weights):
    with pytest.raises(ConfigError, match="score_thresh"):
        thingstuff.load(MASK, weights["mask"], score_thresh=50)
    with pytest.raises(WeightsError, match="MODEL.WEIGHTS is empty"):
        thingstuff.load(MASK)
    with pytest.raises(WeightsError, match="lacks|another model"):
        thingstuff.load(MASK, weights["semantic"])


def test_score_thresh_is_the_lowest_score(weights, image_file):
    low = thingstuff.load(MASK, weights["mask"], score_thresh=0.05, device="cpu")(image_file)
    high = thingstuff.load(MASK, weights["mask"], score_thresh=0.4, device="cpu")(image_file)
    assert len(high) < len(low)
    assert high.scores.min(initial=1) > 0.4


def test_cityscapes_instance_model_knows_its_things():
    """Its metadata numbers things and stuff apart, both from 0."""
    from detectron2.data import MetadataCatalog

    from thingstuff.engine.predictor import _categories

    metadata = MetadataCatalog.get("cityscapes_fine_instance_seg_val")
    assert [c.name for c in _categories(metadata, has_stuff=False).things] == metadata.thing_classes
    with pytest.raises(DataError, match="share the id 0"):
        _categories(metadata, has_stuff=True)


SNIPPET = """
import sys
import cv2
from detectron2 import model_zoo
from detectron2.config import get_cfg
from detectron2.engine import DefaultPredictor

cfg = get_cfg()
cfg.merge_from_file(model_zoo.get_config_file("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"))
cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.5
cfg.MODEL.WEIGHTS = ""
cfg.MODEL.DEVICE = "cpu"
cfg.INPUT.MIN_SIZE_TEST = 160
predictor = DefaultPredictor(cfg)
outputs = predictor(cv2.imread(sys.argv[1]))
print(tuple(outputs["instances"].pred_masks.shape[1:]), "thingstuff" in sys.modules)
"""


def test_detectron2s_own_snippet_runs_unchanged(image_file):
    answer = subprocess.run([sys.executable, "-c", SNIPPET, image_file], capture_output=True, text=True, check=False)
    assert answer.stdout.strip().splitlines()[-1] == "(160, 160) False", answer.stderr
