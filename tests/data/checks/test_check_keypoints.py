"""Keypoints: their number, their count, their places and their visibility."""

from dataclasses import replace

import pytest
from planted import REMOVED, changed, found, sound_splits, the_only

from thingstuff.data.checks.keypoints import KEYPOINTS

PLACE = "train.json: annotations[0]"  # a person with nose, left hand and an unlabelled right hand; image 64 x 48
POINTS = [6.0, 8.0, 2, 8.0, 11.0, 1, 0, 0, 0]


@pytest.fixture
def splits(tmp_path):
    return sound_splits(tmp_path)


def planted(splits, **values):
    return {**splits, "train": changed(splits["train"], "annotations", 0, **values)}


@pytest.mark.parametrize("is_quick", [True, False])
def test_the_sound_set_has_none(splits, is_quick):
    assert splits["train"].annotations[0]["keypoints"] == POINTS
    assert found(KEYPOINTS, splits, is_quick) == []
    assert KEYPOINTS.mend(splits["train"]) == splits["train"]


@pytest.mark.parametrize("keypoints", [REMOVED, None, []])
def test_an_annotation_needs_none(splits, keypoints):
    assert found(KEYPOINTS, planted(splits, keypoints=keypoints, num_keypoints=0)) == []
    assert found(KEYPOINTS, {"train": replace(splits["train"], annotations=None)}) == []


WRONG_LENGTHS = [
    (POINTS[:6], "6 values"),
    ([*POINTS, 1], "10 values"),
    ("abc", "'abc'"),
    ({"x": 1}, "{'x': 1}"),
    (7, "7"),
]


@pytest.mark.parametrize(("points", "text"), WRONG_LENGTHS)
def test_length(splits, points, text):
    one = the_only(KEYPOINTS, planted(splits, keypoints=points), "keypoints-length", is_quick=True)
    assert one.place == PLACE
    assert one.message == (
        "keypoints: expected x, y, visibility of the 3 points of its category in 9 finite numbers, got " + text
    )


@pytest.mark.parametrize("value", [None, "8", float("nan"), [8]])
def test_what_is_no_number(splits, value):
    one = the_only(KEYPOINTS, planted(splits, keypoints=[*POINTS[:4], value, *POINTS[5:]]), "keypoints-length")
    assert one.message.endswith(f"got {value!r} as number 4")


@pytest.mark.parametrize("count", [3, 0, "2", float("nan")])
def test_count(splits, count):
    wrong = planted(splits, num_keypoints=count)
    one = the_only(KEYPOINTS, wrong, "keypoints-count", is_quick=True)
    assert one.place == PLACE
    assert one.message == f"num_keypoints is {count!r}, and 2 points have a visibility above 0"
    assert KEYPOINTS.mend(wrong["train"]).annotations[0]["num_keypoints"] == 2
    assert wrong["train"].annotations[0]["num_keypoints"] is count


def test_a_count_that_is_missing(splits):
    lacking = planted(splits, num_keypoints=REMOVED)
    assert the_only(KEYPOINTS, lacking, "keypoints-count").message.startswith("num_keypoints is None")
    assert KEYPOINTS.mend(lacking["train"]).annotations[0]["num_keypoints"] == 2
    bare = [{k: v for k, v in a.items() if k != "num_keypoints"} for a in splits["train"].annotations]
    assert found(KEYPOINTS, {"train": replace(splits["train"], annotations=bare)}) == []


def test_outside(splits):
    one = the_only(KEYPOINTS, planted(splits, keypoints=[*POINTS[:3], 66.5, 11, 1, 0, 0, 0]), "keypoints-outside")
    assert one.place == PLACE
    assert one.message == "keypoint 1 ('left hand') lies at x 66.5, y 11, outside its image of 64 x 48 pixels"


def test_a_pixel_beyond_the_image_and_unlabelled_points_are_no_matter(splits):
    assert found(KEYPOINTS, planted(splits, keypoints=[-1, -1, 2, 65, 49, 1, 500, 500, 0])) == []


@pytest.mark.parametrize("visibility", [3, -1, 0.5])
def test_visibility(splits, visibility):
    points = [*POINTS[:6], 9, 9, visibility]
    one = the_only(
        KEYPOINTS, planted(splits, keypoints=points, num_keypoints=2 + (visibility > 0)), "keypoints-visibility"
    )
    assert one.place == PLACE and one.message == f"keypoint 2 ('right hand') has visibility {visibility}"


def test_a_category_without_names_goes_by_most_of_its_annotations(splits):
    unnamed = {name: changed(truth, "categories", 0, keypoints=REMOVED) for name, truth in splits.items()}
    assert found(KEYPOINTS, unnamed) == []
    assert "9 finite numbers" in the_only(KEYPOINTS, planted(unnamed, keypoints=POINTS[:6]), "keypoints-length").message
