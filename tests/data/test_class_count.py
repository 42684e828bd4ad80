"""The classes of a model against those of its data sets: which counts fit, and what is said of others."""

import pytest
from detectron2.config import get_cfg
from detectron2.data import MetadataCatalog

from thingstuff.data.class_count import require_class_count
from thingstuff.errors import ConfigError


@pytest.fixture
def three():
    name = "class_count_three"
    MetadataCatalog.get(name).set(thing_classes=["a", "b", "c"])
    yield name
    MetadataCatalog.remove(name)


def cfg_with(count):
    cfg = get_cfg()
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = count
    return cfg


def test_the_count_of_the_data_sets_fits(three):
    assert require_class_count(cfg_with(3), [three]) == 3
    assert require_class_count(cfg_with(5), [three], may_be_more=True) == 5
    assert require_class_count(cfg_with(5), ["a set that nobody has"]) == 5
    assert "a set that nobody has" not in MetadataCatalog.list(), "asking adds nothing"


@pytest.mark.parametrize(("count", "may_be_more"), [(2, False), (2, True), (5, False)])
def test_another_count_is_refused(three, count, may_be_more):
    said = rf"{three} has 3 classes, but MODEL.ROI_HEADS.NUM_CLASSES is {count}: set it to 3 \(as counted here\)$"
    with pytest.raises(ConfigError, match=said):
        require_class_count(cfg_with(count), [three], may_be_more=may_be_more, note="(as counted here)")


def test_a_model_has_classes(three):
    with pytest.raises(ConfigError, match="NUM_CLASSES is 0, expected 1 or more"):
        require_class_count(cfg_with(0), [])
