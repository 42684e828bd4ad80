"""Real models tile by tile: one tile changes nothing, odd sizes work, and the store, the command and load agree."""

import functools

import cv2
import numpy as np
import pytest
from helpers import assert_one_line
from PIL import Image

import thingstuff
from thingstuff.errors import ConfigError, DataError
from thingstuff.store import Store

RECIPES = {
    "mask": "thingstuff://shapes/mask_rcnn.yaml",
    "semantic": "thingstuff://shapes/semantic.yaml",
    "panoptic": "thingstuff://shapes/panoptic_fpn.yaml",
    "merged": "thingstuff://shapes/things_and_stuff.yaml",
}


@pytest.fixture(scope="module")
def load(sharp_weights):
    """A function: kind of model and options of `thingstuff.load` -> the model, with few detections; each made once."""

    @functools.cache
    def build(kind, *overrides, **options):
        weights = sharp_weights["mask" if kind == "merged" else kind]
        few = ["TEST.DETECTIONS_PER_IMAGE", "8", "MODEL.RPN.POST_NMS_TOPK_TEST", "20"]
        stuff = ["PANOPTIC.STUFF_WEIGHTS", str(sharp_weights["semantic"])] if kind == "merged" else []
        options = {"device": "cpu", "score_thresh": None if kind == "semantic" else 0.1} | options
        return thingstuff.load(RECIPES[kind], weights, overrides=[*few, *stuff, *overrides], **options)

    return build


@pytest.fixture(scope="module")
def mosaic(small_shapes):
    """Two images side by side: 160 x 320 pixels."""
    return np.hstack([cv2.imread(str(small_shapes / "val" / f"{n:06d}.png")) for n in (1, 2)])


def assert_same(a, b):
    for name in ("detections", "stuff_map", "panoptic"):
        assert (getattr(a, name) is None) == (getattr(b, name) is None)
    if a.detections is not None:
        assert np.array_equal(a.detections.boxes_xyxy, b.detections.boxes_xyxy)
        assert np.array_equal(a.detections.scores, b.detections.scores)
        assert np.array_equal(a.detections.masks.to_bitmaps(), b.detections.masks.to_bitmaps())
    if a.stuff_map is not None:
        assert np.array_equal(a.stuff_map, b.stuff_map)
    if a.panoptic is not None:
        assert np.array_equal(a.panoptic.ids, b.panoptic.ids)
        assert a.panoptic.segments == b.panoptic.segments
        assert a.ledger == b.ledger


@pytest.mark.parametrize("kind", RECIPES)
def test_one_tile_gives_the_plain_answer(load, mosaic, kind):
    assert_same(load(kind, tile=320)(mosaic).prediction, load(kind)(mosaic).prediction)


@pytest.mark.parametrize("kind", RECIPES)
def test_several_tiles_give_an_answer_of_the_whole_image(load, mosaic, kind):
    found = load(kind, tile=128, tile_overlap=32)(mosaic).prediction
    assert (found.detections is None) == (kind == "semantic")
    assert (found.stuff_map is None) == (kind == "mask")
    assert (found.panoptic is None) == (kind in ("mask", "semantic"))
    if found.detections is not None:
        assert len(found.detections) > 8  # what is allowed a tile
        assert (found.detections.height, found.detections.width) == mosaic.shape[:2]
        assert (np.diff(found.detections.scores) <= 0).all()
    if found.stuff_map is not None:
        assert found.stuff_map.shape == mosaic.shape[:2]


def test_stuff_in_the_middle_of_a_tile_is_that_of_the_tile_alone(load, mosaic):
    plain, tiled = load("semantic"), load("semantic", tile=160, tile_overlap=0)
    whole = tiled(mosaic).stuff_map
    for x, y in ((0, 0), (160, 0)):
        part = np.ascontiguousarray(mosaic[y : y + 160, x : x + 160])
        assert np.array_equal(whole[y : y + 160, x : x + 160], plain(part).stuff_map)


def test_stuff_from_files_is_that_of_the_whole_image(load, mosaic, tmp_path):
    cv2.imwrite(str(tmp_path / "mosaic.png"), mosaic)
    labels = np.random.default_rng(0).integers(0, 5, mosaic.shape[:2]).astype(np.uint8)
    (tmp_path / "stuff").mkdir()
    cv2.imwrite(str(tmp_path / "stuff/mosaic.png"), labels)
    files = ["PANOPTIC.ENABLED", "True", "PANOPTIC.STUFF", "files", "PANOPTIC.STUFF_DIR", str(tmp_path / "stuff")]
    result = load("mask", *files, tile=128)(tmp_path / "mosaic.png")
    assert np.array_equal(result.stuff_map, labels)
    assert result.panoptic[0].ids.shape == labels.shape


@pytest.mark.parametrize("kind", RECIPES)
@pytest.mark.parametrize("options", [{}, {"tile": 600}, {"tta": True}], ids=str)
def test_images_of_a_pixel_and_thin_ones(load, kind, options):
    small = ["INPUT.MIN_SIZE_TEST", "64", "INPUT.MAX_SIZE_TEST", "96", "TEST.AUG.MIN_SIZES", "(64,)"]
    model = load(kind, *small, "TEST.AUG.MAX_SIZE", "96", **options)
    for size in ((1, 1), (1, 1000), (1000, 1)):
        found = model(np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)).prediction
        assert found.stuff_map is None or found.stuff_map.shape == size
        assert found.detections is None or (found.detections.height, found.detections.width) == size


class TestLargeFiles:
    @pytest.fixture
    def large(self, tmp_path, monkeypatch):
        """A file that is too large for Pillow, whose limit is lowered: 30 x 40 pixels above twice 500."""
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
        path = tmp_path / "large.png"
        Image.fromarray(np.arange(3600, dtype=np.uint32).view(np.uint8)[:3600].reshape(30, 40, 3)).save(path)
        return path

    def test_without_tiles_the_option_is_named(self, load, large):
        with pytest.raises(DataError, match=r"large\.png is too large .*--tile"):
            load("mask")(large)

    def test_with_tiles_it_is_read_and_the_limit_stays(self, load, large):
        result = load("mask", tile=32)(large)
        assert result.image_bgr.shape == (30, 40, 3)
        assert Image.MAX_IMAGE_PIXELS == 500

    def test_up_to_the_limit_of_the_config(self, load, large):
        with pytest.raises(DataError, match="too large"):
            load("mask", "TEST.TILES.MAX_PIXELS", "1100", tile=32)(large)

    def test_a_damaged_file_stays_damaged(self, load, tmp_path):
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        with pytest.raises(DataError, match=r"a\.png is no image"):
            load("mask", tile=32)(tmp_path / "a.png")


def test_the_command_stores_what_load_finds(run_tool, load, sharp_weights, mosaic, tmp_path):
    cv2.imwrite(str(tmp_path / "mosaic.png"), mosaic)
    options = ("--weights", sharp_weights["mask"], "--output", tmp_path / "out", "--tile", 128, "--tile-overlap", 32)
    few = ("TEST.DETECTIONS_PER_IMAGE", "8", "MODEL.RPN.POST_NMS_TOPK_TEST", "20", "MODEL.DEVICE", "cpu")
    name = ("--config-file", RECIPES["mask"], "--input", tmp_path / "mosaic.png")
    thresh = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.1")
    code, _, error = run_tool("predict", *name, *options, "--no-overlays", "--opts", *few, *thresh)
    assert code == 0, error
    stored = Store.open(tmp_path / "out/predictions/images")["mosaic.png"].detections
    found = load("mask", tile=128, tile_overlap=32)(mosaic)
    assert np.array_equal(stored.scores, found.scores)
    assert np.array_equal(stored.masks.to_bitmaps(), found.masks.to_bitmaps())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tile-overlap", 32), "no tile size"),
        (("--tile", 64, "--tile-overlap", 64), "cannot overlap"),
        (("--tile", -5), "number of pixels"),
    ],
)
def test_impossible_options_are_one_line(run_tool, sharp_weights, tmp_path, options, said):
    fixed = ("--weights", sharp_weights["mask"], "--input", tmp_path, "--output", tmp_path / "out")
    code, _, error = run_tool("predict", "--config-file", RECIPES["mask"], *fixed, *options)
    assert code == 2
    assert_one_line(error, said)


def test_impossible_tiles_of_load(load):
    with pytest.raises(ConfigError, match="no tile size"):
        load("mask", tile_overlap=3)
    with pytest.raises(ConfigError, match="JOIN_IOU|IoU"):
        load("mask", "TEST.TILES.JOIN_IOU", "0", tile=64)


@pytest.mark.parametrize("tile_px", [1, 31])
def test_specks_are_no_tiles(tile_px):
    with pytest.raises(ConfigError, match=f"the tile size is {tile_px}, expected 32 pixels or more"):
        thingstuff.load("thingstuff://shapes/mask_rcnn.yaml", tile=tile_px)
