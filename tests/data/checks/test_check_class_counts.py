"""Numbers of classes in a config against the data set's."""

import pytest
from planted import added, found, sound_splits, the_only

from thingstuff.config import get_cfg
from thingstuff.data.checks.class_counts import CLASS_COUNTS, stated_class_counts

THINGS, STUFF = 2, 3  # of the data set here
RIGHT = {
    "MODEL.ROI_HEADS.NUM_CLASSES": THINGS,
    "MODEL.RETINANET.NUM_CLASSES": THINGS,
    "MODEL.SEM_SEG_HEAD.NUM_CLASSES": STUFF + 1,
}


@pytest.fixture
def splits(tmp_path):
    splits = sound_splits(tmp_path)
    for number in range(STUFF):
        for name in splits:
            splits[name] = added(splits[name], "categories", id=50 + number, name=f"stuff {number}", isthing=0)
    return splits


def test_the_right_numbers_are_none(splits):
    assert found(CLASS_COUNTS, splits, is_quick=True) == []
    assert found(CLASS_COUNTS, splits, is_quick=True, class_counts=RIGHT) == []


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("MODEL.ROI_HEADS.NUM_CLASSES", "is 80, and the data set has 2 categories of things: set it to 2"),
        ("MODEL.RETINANET.NUM_CLASSES", "is 80, and the data set has 2 categories of things: set it to 2"),
        (
            "MODEL.SEM_SEG_HEAD.NUM_CLASSES",
            "is 80, and the data set has 3 categories of stuff, besides one class for all things: set it to 4",
        ),
    ],
)
def test_a_wrong_number_is_named_once(splits, key, message):
    finding = the_only(CLASS_COUNTS, splits, "class-count", is_quick=True, class_counts={**RIGHT, key: 80})
    assert (finding.split, finding.place, finding.message) == ("train", f"config: {key}", f"{key} {message}")


def test_splits_that_differ_are_told_apart(splits):
    splits["val"] = added(splits["val"], "categories", id=99, name="bus")
    counts = {"MODEL.ROI_HEADS.NUM_CLASSES": THINGS}
    finding = the_only(CLASS_COUNTS, splits, "class-count", is_quick=True, class_counts=counts)
    assert finding.split == "val" and "3 categories of things" in finding.message


def test_a_head_that_is_not_known_is_passed_over(splits):
    assert found(CLASS_COUNTS, splits, is_quick=True, class_counts={"MODEL.OTHER.NUM_CLASSES": 80}) == []


@pytest.mark.parametrize(
    ("architecture", "project", "heads"),
    [
        ("RetinaNet", "", ["RETINANET"]),
        ("PanopticFPN", "", ["ROI_HEADS", "SEM_SEG_HEAD"]),
        ("AnyIdea", "Idea", ["ROI_HEADS"]),  # a project's model, which counts its things there
    ],
)
def test_the_keys_that_a_model_reads(architecture, project, heads):
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE, cfg.PROJECT = architecture, project
    assert list(stated_class_counts(cfg)) == [f"MODEL.{head}.NUM_CLASSES" for head in heads]
