"""The combinations that a tuning tries, and the thresholds that ledgers name."""

import pytest

from thingstuff.errors import ConfigError
from thingstuff.merge import Greedy
from thingstuff.report.merge_grid import MergeGrid, areas_around, rule_of_ledgers


def test_a_grid_begins_with_the_present_rule_and_repeats_none():
    rules = MergeGrid((0.5, 0.5, 0.7), (0.5,), (4096,)).rules(Greedy())
    assert rules == (Greedy(), Greedy(0.5, 4096, 0.7))
    own = MergeGrid().rules(Greedy(0.5, 0.01, 0.5))
    assert {rule.stuff_area_limit for rule in own} == {0, 0.0025, 0.005, 0.01, 0.02, 0.04}


@pytest.mark.parametrize("limit", [0, 0.3, 2, 4096])
def test_areas_stay_of_their_kind(limit):
    around = areas_around(limit)
    assert 0 in around
    assert limit in around
    assert all(area == 0 or (area < 1) == (limit < 1) for area in around)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"confidences": (0.5, 1.5)}, "--confidence 1.5: expected instances_confidence_thresh"),
        ({"overlaps": (-0.1,)}, "--overlap -0.1: expected overlap_thresh"),
        ({"areas": (float("nan"),)}, "--area nan: expected stuff_area_limit"),
        ({"areas": (float("inf"),)}, "--area inf"),
        ({"overlaps": ()}, "--overlap: expected one value or more"),
        ({"areas": tuple(range(9000))}, "has 378000 combinations"),
    ],
)
def test_a_bad_grid_is_refused_by_its_option(values, words):
    with pytest.raises(ConfigError, match=words):
        MergeGrid(**values)


def test_ledgers_name_the_thresholds():
    def entry(reason, threshold):
        return {"reason": reason, "threshold": threshold}

    confident, small = entry("confidence", 0.6), entry("area", 64.0)
    assert rule_of_ledgers([[confident, small], None], [6400, 1600]) == Greedy(0.5, 64, 0.6)
    assert rule_of_ledgers([[small], [entry("area", 16.0)]], [6400, 1600]) == Greedy(0.5, 0.01, 0.5)
    assert rule_of_ledgers([[small], [entry("area", 17.0)]], [6400, 1600]) is None
    assert rule_of_ledgers([[entry("covered", 1)], None], [1, 1]) is None
