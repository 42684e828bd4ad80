"""Boxes that are none, leave their image, lie elsewhere than their mask, or are written in another way."""

from dataclasses import replace

import pytest
from planted import REMOVED, changed, found, sound_splits, the_only

from thingstuff.data.checks.boxes import BOXES

PLACE = "train.json: annotations[1]"  # x 30 to 60, y 20 to 40 in image 0, 64 x 48 pixels, a polygon
TRUE_BOX = [30, 20, 30, 20]
RLE = 3  # x 2 to 20, y 10 to 50 in image 1, 40 x 64 pixels


@pytest.fixture
def splits(tmp_path):
    return sound_splits(tmp_path)


def planted(splits, number, **values):
    return {**splits, "train": changed(splits["train"], "annotations", number, **values)}


def without_masks(splits):
    bare = [{k: v for k, v in a.items() if k != "segmentation"} for a in splits["train"].annotations]
    return {**splits, "train": replace(splits["train"], annotations=bare)}


def with_boxes(splits, convert):
    """All boxes of the first split written in another way: convert(x, y, width, height, image)."""
    truth = splits["train"]
    image_of = {image["id"]: image for image in truth.images}
    records = [{**a, "bbox": list(convert(*a["bbox"], image_of[a["image_id"]]))} for a in truth.annotations]
    return {**splits, "train": replace(truth, annotations=records)}


@pytest.mark.parametrize("is_quick", [True, False])
def test_the_sound_set_has_none(splits, is_quick):
    assert found(BOXES, splits, is_quick) == []
    assert BOXES.mend(splits["train"]) == splits["train"]
    assert found(BOXES, without_masks(splits), is_quick) == []


@pytest.mark.parametrize("annotations", [None, []])
def test_nothing_to_check(splits, annotations):
    truth = replace(splits["train"], annotations=annotations)
    assert found(BOXES, {"train": truth}) == []
    assert BOXES.mend(truth) == truth


NO_BOXES = ["abcd", [1, 2, 3], [1, 2, 3, None], [1, 2, "3", 4], [1, 2, float("inf"), 4], {}, 5, [[1], 2, 3, 4], []]


@pytest.mark.parametrize("box", NO_BOXES)
def test_a_box_that_is_none(splits, box):
    broken = planted(splits, 1, bbox=box)
    one = the_only(BOXES, broken, "box-invalid", is_quick=True)
    assert one.place == PLACE
    assert one.message == f"the box is {box!r}, expected x, y, width, height in four finite numbers"
    assert BOXES.mend(broken["train"]).annotations[1]["bbox"] == TRUE_BOX
    assert broken["train"].annotations[1]["bbox"] == box


@pytest.mark.parametrize("box", [[30, 20, 0, 20], [30, 20, 30, -20], [0, 0, 0, 0]])
def test_a_box_without_extent(splits, box):
    one = the_only(BOXES, planted(splits, 1, bbox=box), "box-invalid")
    assert one.message == f"the box {box} has no extent: expected a width and a height above 0"


def test_what_has_no_mask_either_is_left_out(splits):
    bare = without_masks(splits)
    broken = {"train": changed(bare["train"], "annotations", 1, bbox=[30, 20, 0, 20])}
    assert the_only(BOXES, broken, "box-invalid").place == PLACE
    assert [a["id"] for a in BOXES.mend(broken["train"]).annotations] == [100, 102, 103, 104, 105, 106, 107]


def test_a_box_that_is_missing(splits):
    lacking = planted(splits, RLE, bbox=REMOVED)
    one = the_only(BOXES, lacking, "box-invalid")
    assert one.place == f"train.json: annotations[{RLE}]" and one.message == "it has no box"
    assert BOXES.mend(lacking["train"]).annotations[RLE]["bbox"] == [2, 10, 18, 40]


def test_a_set_of_masks_needs_no_boxes(splits):
    bare = [{k: v for k, v in a.items() if k != "bbox"} for a in splits["train"].annotations]
    truth = replace(splits["train"], annotations=bare)
    assert found(BOXES, {"train": truth}) == []
    both = changed(truth, "annotations", 1, segmentation=REMOVED)
    assert the_only(BOXES, {"train": both}, "box-invalid").message == "it has no box"


def test_box_outside(splits):
    bare = without_masks(splits)
    far = {"train": changed(bare["train"], "annotations", 1, bbox=[30, 20, 40, 20])}
    one = the_only(BOXES, far, "box-outside", is_quick=True)
    assert one.place == PLACE
    assert one.message == "the box [30, 20, 40, 20] reaches 6 px beyond its image of 64 x 48 pixels"
    assert BOXES.mend(far["train"]).annotations[1]["bbox"] == [30, 20, 34, 20]
    lost = {"train": changed(bare["train"], "annotations", 1, bbox=[70, 20, 40, 20])}
    assert 101 not in [a["id"] for a in BOXES.mend(lost["train"]).annotations]


def test_a_pixel_beyond_the_image_is_no_matter(splits):
    bare = without_masks(splits)["train"]
    assert found(BOXES, {"train": changed(bare, "annotations", 1, bbox=[-1, -1, 66, 50])}) == []
    the_only(BOXES, {"train": changed(bare, "annotations", 1, bbox=[-1, -1, 66, 50.01])}, "box-outside")


def test_a_box_with_a_mask_is_mended_from_it(splits):
    far = planted(splits, 1, bbox=[30, 20, 40, 20])
    assert {one.code.name for one in found(BOXES, far)} == {"box-outside", "box-mask-disagree"}
    mended = BOXES.mend(far["train"])
    assert mended.annotations[1]["bbox"] == TRUE_BOX and found(BOXES, {"train": mended}) == []


@pytest.mark.parametrize(("number", "box", "true_box", "is_quick"), [
    (1, [30, 20, 30, 17], TRUE_BOX, True),
    (1, [25, 20, 30, 20], TRUE_BOX, False),
    (RLE, [2, 10, 18, 30], [2, 10, 18, 40], False),
])  # fmt: skip
def test_box_mask_disagree(splits, number, box, true_box, is_quick):
    wrong = planted(splits, number, bbox=box)
    one = the_only(BOXES, wrong, "box-mask-disagree", is_quick)
    off = max(abs(box[0] - true_box[0]), abs(box[1] + box[3] - true_box[1] - true_box[3]))
    assert one.place == f"train.json: annotations[{number}]"
    assert one.message == f"the box {box} is {off} px off its mask's {true_box}; 2 px or 5% would do"
    assert BOXES.mend(wrong["train"]).annotations[number]["bbox"] == true_box


def test_disagreements_within_the_limits(splits):
    assert found(BOXES, planted(splits, 1, bbox=[28, 22, 34, 20])) == []  # 2 px on each side
    the_only(BOXES, planted(splits, 1, bbox=[27.9, 20, 32.1, 20]), "box-mask-disagree")
    truth = changed(splits["train"], "images", 0, width=640, height=480)
    truth = changed(truth, "annotations", 1, segmentation=[[100.0, 20, 300, 20, 300, 220, 100, 220]])
    assert found(BOXES, {"train": changed(truth, "annotations", 1, bbox=[91, 11, 218, 218])}) == []  # 5 % of 200 px
    the_only(BOXES, {"train": changed(truth, "annotations", 1, bbox=[89, 11, 220, 218])}, "box-mask-disagree")


WRITINGS = {
    "x0, y0, x1, y1": lambda x, y, w, h, image: (x, y, x + w, y + h),
    "y0, x0, y1, x1": lambda x, y, w, h, image: (y, x, y + h, x + w),
    "centre x, centre y, width, height": lambda x, y, w, h, image: (x + w / 2, y + h / 2, w, h),
}


def in_fractions(write):
    def fractions(*box):
        width, height = box[-1]["width"], box[-1]["height"]
        one, two, three, four = write(*box)
        return one / width, two / height, three / width, four / height

    return fractions


@pytest.mark.parametrize("name", WRITINGS)
def test_boxes_in_another_format(splits, name):
    other = with_boxes(splits, WRITINGS[name])
    one = the_only(BOXES, other, "box-format")
    assert one.place == "train.json" and one.split == "train"
    assert one.message.startswith(f"the boxes look like {name}: read so 100% of 8 agree with their masks")
    assert BOXES.mend(other["train"]) == other["train"]


@pytest.mark.parametrize("name", ["x, y, width, height", "x0, y0, x1, y1", "centre x, centre y, width, height"])
def test_boxes_in_fractions_of_the_image(splits, name):
    write = WRITINGS.get(name, lambda x, y, w, h, image: (x, y, w, h))
    other = with_boxes(splits, in_fractions(write))
    assert f"look like {name} in fractions of the image" in the_only(BOXES, other, "box-format").message
    one = the_only(BOXES, without_masks(other), "box-format", is_quick=True)
    assert one.message.startswith("the boxes look like fractions of the image")


def test_corners_without_masks(splits):
    other = without_masks(with_boxes(splits, WRITINGS["x0, y0, x1, y1"]))
    one = the_only(BOXES, other, "box-format", is_quick=True)
    size_of = {image["id"]: (image["width"], image["height"]) for image in other["train"].images}
    beyond = 0
    for record in other["train"].annotations:
        (x, y, w, h), (width, height) = record["bbox"], size_of[record["image_id"]]
        beyond += x + w > width + 1 or y + h > height + 1
    assert one.message == (
        "the boxes look like x0, y0, x1, y1: read so 100% of 8 lie inside their image, "
        f"while as x, y, width, height {beyond / 8:.0%} leave it"
    )
    assert BOXES.mend(other["train"]) == other["train"]


def test_few_boxes_are_taken_as_they_are(splits):
    other = with_boxes(splits, WRITINGS["x0, y0, x1, y1"])["train"]
    findings = found(BOXES, {"train": replace(other, annotations=other.annotations[:2])})
    assert {one.code.name for one in findings} == {"box-outside", "box-mask-disagree"}
