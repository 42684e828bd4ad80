"""Instances that lie over each other."""

from dataclasses import replace

import pytest
from planted import added, changed, found, rectangle, rectangle_rle, sound_splits, the_only

from thingstuff.data.checks.overlaps import OVERLAPS


@pytest.fixture
def splits(tmp_path):
    return sound_splits(tmp_path)


def planted(splits, segmentation, **values):
    """One more instance in image 0, 64 x 48 pixels, where annotation 1 is x 30 to 60, y 20 to 40."""
    record = {"id": 300, "image_id": 10, "category_id": 3, "iscrowd": 0, "segmentation": segmentation, **values}
    return {"train": added(splits["train"], "annotations", **record)}


def test_the_sound_set_has_none(splits):
    assert found(OVERLAPS, splits) == []
    assert not OVERLAPS.is_quick and OVERLAPS.mend is None


@pytest.mark.parametrize("annotations", [None, []])
def test_nothing_to_check(splits, annotations):
    assert found(OVERLAPS, {"train": replace(splits["train"], annotations=annotations)}) == []


@pytest.mark.parametrize(
    "mask",
    [
        [rectangle(30, 20, 40, 31)],
        rectangle_rle(30, 20, 40, 31, 48, 64),
        [rectangle(30, 20, 40, 25), rectangle(30, 25, 40, 31)],
    ],
)
def test_the_smaller_decides(splits, mask):
    one = the_only(OVERLAPS, planted(splits, mask), "things-overlap")
    assert one.place == "train.json: annotations[8]"
    assert one.message == "it shares 110 px, 100% of the smaller, more than 50%, with train.json: annotations[1]"


def test_half_is_not_more_than_half(splits):
    assert found(OVERLAPS, planted(splits, [rectangle(20, 20, 40, 40)])) == []  # 10 of its 20 columns
    one = the_only(OVERLAPS, planted(splits, [rectangle(21, 20, 41, 40)]), "things-overlap")
    assert one.message.startswith("it shares 220 px, 55% of the smaller")


def test_boxes_that_overlap_are_not_masks_that_do(splits):
    around = [
        rectangle(26, 16, 64, 19),
        rectangle(61, 16, 64, 44),
        rectangle(26, 41, 64, 44),
        rectangle(26, 16, 29, 44),
    ]
    assert found(OVERLAPS, planted(splits, around)) == []


def test_crowds_other_images_and_broken_masks_are_not_asked(splits):
    inside = [rectangle(32, 22, 50, 38)]
    assert found(OVERLAPS, planted(splits, inside, iscrowd=1)) == []
    assert found(OVERLAPS, planted(splits, [rectangle(20, 31, 22, 40)], image_id=20)) == []
    broken = ([[float("nan")] * 6], [[1.0]], "abc", {"size": [48, 64], "counts": "00"}, rectangle_rle(1, 1, 9, 9, 9, 9))
    for mask in (*broken, [], None, [rectangle(0, 0, 999, 999)]):
        assert found(OVERLAPS, planted(splits, mask)) == []
    for image_id in (99, None, [1]):
        assert found(OVERLAPS, planted(splits, inside, image_id=image_id)) == []


def test_each_pair_counts(splits):
    truth = planted(splits, [rectangle(32, 22, 50, 38)])["train"]
    truth = added(truth, "annotations", **{**truth.annotations[-1], "id": 301})
    assert [one.place[-3:] for one in found(OVERLAPS, {"train": truth})] == ["[8]", "[9]", "[9]"]


def test_an_image_without_size_is_not_looked_at(splits):
    truth = planted(splits, [rectangle(32, 22, 50, 38)])["train"]
    assert found(OVERLAPS, {"train": changed(truth, "images", 0, width="64")}) == []
