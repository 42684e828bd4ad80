"""Masks that cannot be decoded, do not fit, are empty, missing, or not as large as stated."""

from dataclasses import replace

import pytest
from planted import REMOVED, changed, found, rectangle, rectangle_rle, sound_splits, the_only

from thingstuff.data.checks.check import Checked
from thingstuff.data.checks.masks import MASKS

RLE = 3  # annotation 3 of the sound set: x 2 to 20, y 10 to 50 in image 1, 40 x 64 pixels, as RLE
RLE_PLACE = "train.json: annotations[3]"
UNCOMPRESSED = 5  # a crowd


@pytest.fixture
def splits(tmp_path):
    return sound_splits(tmp_path)


def planted(splits, number, **values):
    return {**splits, "train": changed(splits["train"], "annotations", number, **values)}


@pytest.mark.parametrize("is_quick", [True, False])
def test_the_sound_set_has_none(splits, is_quick):
    assert found(MASKS, splits, is_quick) == []
    assert MASKS.mend(splits["train"]) == splits["train"]


@pytest.mark.parametrize("annotations", [None, []])
def test_nothing_to_check(splits, annotations):
    truth = replace(splits["train"], annotations=annotations)
    assert found(MASKS, {"train": truth}) == []
    assert MASKS.mend(truth) == truth


SIZE = [64, 40]
BROKEN = [
    ({"size": SIZE, "counts": [100, 50]}, "expected runs of 64 x 40 = 2560 pixels, got 150"),
    ({"size": SIZE, "counts": [100, -5, 2465]}, "hold '-5', expected whole numbers"),
    ({"size": SIZE, "counts": [100.0, 2460]}, "hold '100.0'"),
    ({"size": SIZE, "counts": [[1], 2559]}, "hold '[1]'"),
    ({"size": SIZE, "counts": "0000"}, "expected runs of 64 x 40 = 2560 pixels"),
    ({"size": SIZE, "counts": "\x01\x02"}, "expected characters"),
    ({"size": SIZE, "counts": "ü"}, "ASCII"),
    ({"size": SIZE, "counts": ""}, "an empty string"),
    ({"size": SIZE, "counts": 7}, "of the type int"),
    ({"size": SIZE}, "no counts"),
    ({"counts": [2560]}, "no size"),
    ({}, "no size and no counts"),
    ({"size": [64], "counts": [64]}, "is not [height, width]"),
    ({"size": ["64", 40], "counts": [2560]}, "is not [height, width]"),
    ({"size": [-64, 40], "counts": [2560]}, "expected sides of 0 to"),
    ({"size": [10**9, 10**9], "counts": [10**18]}, "expected sides of 0 to"),
    ({"size": 7, "counts": [2560]}, "is not [height, width]"),
]


@pytest.mark.parametrize("is_quick", [True, False])
@pytest.mark.parametrize(("mask", "part"), BROKEN)
def test_rle_broken(splits, mask, part, is_quick):
    broken = planted(splits, RLE, segmentation=mask)
    one = the_only(MASKS, broken, "rle-broken", is_quick)
    assert one.place == RLE_PLACE and part in one.message
    assert MASKS.mend(broken["train"]) == broken["train"]


def test_a_cut_string(splits):
    mask = splits["train"].annotations[RLE]["segmentation"]
    cut = planted(splits, RLE, segmentation={**mask, "counts": mask["counts"][:-3]})
    assert the_only(MASKS, cut, "rle-broken").place == RLE_PLACE
    as_bytes = planted(splits, RLE, segmentation={**mask, "counts": mask["counts"].encode()})
    assert found(MASKS, as_bytes) == []


@pytest.mark.parametrize(
    ("size", "end"), [([40, 64], ": height and width are exchanged"), ([32, 80], "its image [64, 40]")]
)
def test_rle_size(splits, size, end):
    mask = rectangle_rle(2, 3, 20, 30, *size)
    one = the_only(MASKS, planted(splits, RLE, segmentation=mask), "rle-size")
    assert one.place == RLE_PLACE
    assert one.message.startswith(f"the RLE has [height, width] {size}, its image [64, 40]")
    assert one.message.endswith(end)


def test_the_size_of_an_image_that_states_none_is_not_compared(splits):
    truth = changed(
        planted(splits, RLE, segmentation=rectangle_rle(2, 10, 20, 50, 80, 80))["train"], "images", 1, width=0
    )
    assert found(MASKS, {"train": truth}) == []


@pytest.mark.parametrize("is_quick", [True, False])
@pytest.mark.parametrize(
    "mask",
    [rectangle_rle(0, 0, 0, 0, 64, 40), {"size": SIZE, "counts": [2560]}, {"size": SIZE, "counts": [9, 0, 2551]}],
)
def test_mask_empty(splits, mask, is_quick):
    empty = planted(splits, RLE, segmentation=mask)
    one = the_only(MASKS, empty, "mask-empty", is_quick)
    assert one.place == RLE_PLACE and one.message == "the mask has no pixel"
    mended = MASKS.mend(empty["train"])
    assert [a["id"] for a in mended.annotations] == [100, 101, 102, 104, 105, 106, 107]
    assert mended.annotation_place(3) == "train.json: annotations[4]"


def test_a_polygon_between_the_pixels_is_empty(splits):
    sliver = [10.6, 10.6, 10.8, 10.6, 10.8, 10.9, 10.6, 10.9]  # no centre of a pixel inside
    empty = planted(splits, 0, segmentation=[sliver])
    assert the_only(MASKS, empty, "mask-empty").place == "train.json: annotations[0]"
    assert len(MASKS.mend(empty["train"]).annotations) == 7


@pytest.mark.parametrize("value", [REMOVED, None])
def test_mask_missing(splits, value):
    one = the_only(MASKS, planted(splits, RLE, segmentation=value), "mask-missing")
    assert one.place == RLE_PLACE and one.message == "it has no segmentation, and 7 other annotations have one"


def test_a_set_without_masks_misses_none(splits):
    bare = [{k: v for k, v in a.items() if k != "segmentation"} for a in splits["train"].annotations]
    assert found(MASKS, {"train": replace(splits["train"], annotations=bare)}) == []


def test_crowd_as_polygon(splits):
    one = the_only(MASKS, planted(splits, 1, iscrowd=1), "crowd-as-polygon")
    assert one.place == "train.json: annotations[1]" and "iscrowd is 1" in one.message


@pytest.mark.parametrize(
    ("number", "true_area", "is_quick"),
    [(0, 20 * 30, True), (2, 10 * 6, False), (RLE, 18 * 40, False), (UNCOMPRESSED, 240, False)],
)
@pytest.mark.parametrize("factor", [0.25, 4])
def test_area_wrong(splits, number, true_area, is_quick, factor):
    wrong = planted(splits, number, area=true_area * factor)
    one = the_only(MASKS, wrong, "area-wrong", is_quick)
    assert one.place == f"train.json: annotations[{number}]"
    assert one.message.startswith(f"the area is {true_area * factor:.6g} px², and the mask has {true_area} px²; 10%")
    mended = MASKS.mend(wrong["train"])
    assert mended.annotations[number]["area"] == true_area
    assert wrong["train"].annotations[number]["area"] == true_area * factor
    assert found(MASKS, {"train": mended}) == []


def test_areas_within_the_limits(splits):
    """30 x 30 px: 10 % of the highest area that outline and pixels allow, half an outline of 100 px more."""
    true_area, slack = 20 * 30, 50
    for area in ((true_area + slack) * 1.1 - 1, (true_area - slack) * 0.9 + 1):
        assert found(MASKS, planted(splits, 0, area=area), is_quick=True) == []
    for area in ((true_area + slack) * 1.1 + 1, (true_area - slack) * 0.9 - 1):
        the_only(MASKS, planted(splits, 0, area=area), "area-wrong", is_quick=True)
    for area in (720 * 1.1 - 1, 720 * 0.9 + 1):  # an RLE is exact
        assert found(MASKS, planted(splits, RLE, area=area)) == []
    for area in (720 * 1.1 + 1, 720 * 0.9 - 1):
        the_only(MASKS, planted(splits, RLE, area=area), "area-wrong")


@pytest.mark.parametrize(("area", "text"), [(REMOVED, "not stated"), ("600", "no number"), (float("nan"), "no number")])
def test_an_area_that_is_none(splits, area, text):
    one = the_only(MASKS, planted(splits, 0, area=area), "area-wrong")
    assert text in one.message and "600 px²" in one.message
    assert MASKS.mend(planted(splits, 0, area=area)["train"]).annotations[0]["area"] == 600


def test_a_set_without_areas_misses_none(splits):
    bare = [{k: v for k, v in a.items() if k != "area"} for a in splits["train"].annotations]
    assert found(MASKS, {"train": replace(splits["train"], annotations=bare)}) == []


def test_pieces_may_overlap(splits):
    pieces = [rectangle(10, 10, 30, 30), rectangle(15, 10, 35, 30)]
    united, summed = 25 * 20, 2 * 20 * 20
    for area in (united, summed):
        assert found(MASKS, planted(splits, 0, segmentation=pieces, area=area), is_quick=True) == []
    assert found(MASKS, planted(splits, 0, segmentation=pieces, area=united)) == []
    assert the_only(MASKS, planted(splits, 0, segmentation=pieces, area=summed), "area-wrong").message.startswith(
        "the area is 800 px², and the mask has 500 px²"
    )


def test_a_crossing_outline_is_drawn(splits):
    bow_tie = [10.0, 10, 30, 30, 30, 10, 10, 30]  # two triangles of 100 px, whose signed areas cancel each other
    assert found(MASKS, planted(splits, 0, segmentation=[bow_tie], area=200), is_quick=True) == []
    assert found(MASKS, planted(splits, 0, segmentation=[bow_tie], area=200)) == []
    the_only(MASKS, planted(splits, 0, segmentation=[bow_tie], area=700), "area-wrong")


def test_polygons_that_others_name_are_left_alone(splits):
    for piece in ([float("nan")] * 6, [1.0, 2], [5.0] * 8, rectangle(0, 0, 300, 40), ["x"] * 6):
        assert found(MASKS, planted(splits, 0, segmentation=[piece])) == []


def test_a_mask_that_would_fill_the_memory_is_not_drawn(splits):
    truth = changed(splits["train"], "images", 0, width=900_000, height=900_000)
    wide = [rectangle(0, 0, 900_000, 900_000)] * 2
    zigzag = [[v for n in range(60) for v in (float(n), 900_000.0 * (n % 2))]]
    for pieces in (wide, zigzag):
        truth = changed(truth, "annotations", 0, segmentation=pieces, area=4)
        assert {one.code.name for one in found(MASKS, {"train": truth})} <= {"area-wrong"}


def test_masks_of_pixels_equal_pycocotools(splits):
    from pycocotools import mask as coco_mask

    truth = splits["train"]
    pixels = Checked(splits).shapes["train"].pixels
    for number, annotation in enumerate(truth.annotations):
        height, width = (
            next(i for i in truth.images if i["id"] == annotation["image_id"])[k] for k in ("height", "width")
        )
        mask = annotation["segmentation"]
        if isinstance(mask, list) or isinstance(mask["counts"], list):
            mask = coco_mask.frPyObjects(mask, height, width)
            mask = coco_mask.merge(mask) if isinstance(mask, list) else mask
        x, y, w, h = coco_mask.toBbox(mask).tolist()
        assert (pixels.lowest_px[number] + pixels.highest_px[number]) / 2 == coco_mask.area(mask)
        assert pixels.boxes_xyxy[number].tolist() == [x, y, x + w, y + h]


def test_an_area_that_is_not_known_exactly_is_a_range(splits):
    pieces = [rectangle(10, 10, 30, 30), rectangle(15, 10, 35, 30)]  # each 400 px with an outline of 80 px
    one = the_only(MASKS, planted(splits, 0, segmentation=pieces, area=3), "area-wrong", is_quick=True)
    assert "the mask has 320 to 880 px²" in one.message
