"""Rules by name: a rule of one's own, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from thingstuff.errors import ConfigError
from thingstuff.merge import RULES, Greedy, Ledger, Rule, build_rule, merge, register_rule
from thingstuff.structures import Categories, Category, Detections, PanopticMap

CATEGORIES = Categories((Category(1, "cat"),))
NOTHING = Detections(None, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), 2, 3)


@pytest.fixture(autouse=True)
def same_rules_afterwards():
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


def test_a_project_adds_a_rule():
    @register_rule("void")
    @dataclass(frozen=True)
    class Void:
        """Leaves the image empty."""

        patience: float = 1

        def merge(self, inputs):
            return PanopticMap(np.zeros(inputs.stuff_map.shape, np.uint32), ()), Ledger((), ())

    rule = build_rule("void", patience=3)
    assert rule == Void(3) and isinstance(rule, Rule)
    panoptic, ledger = merge(NOTHING, np.zeros((2, 3), np.uint16), CATEGORIES, rule)
    assert panoptic.ids.shape == (2, 3) and ledger == Ledger((), ())
    assert register_rule("void")(Void) is Void  # the same once more is no clash


def test_greedy_by_name():
    assert build_rule("greedy") == Greedy(0.5, 4096, 0.5)
    assert build_rule("greedy", stuff_area_limit=0.1, overlap_thresh=0) == Greedy(0, 0.1, 0.5)
    assert isinstance(Greedy(), Rule)


def test_without_a_rule_merge_is_greedy():
    stuff_map = np.zeros((2, 3), np.uint16)
    assert merge(NOTHING, stuff_map, CATEGORIES)[1] == merge(NOTHING, stuff_map, CATEGORIES, Greedy())[1]


@pytest.mark.parametrize(
    ("name", "thresholds", "message"),
    [
        ("gredy", {}, r"no merge rule is named 'gredy': did you mean 'greedy'\? \(known are .*greedy"),
        ("xyz", {}, "no merge rule is named 'xyz': known are .*greedy"),
        ("greedy", {"overlap": 1}, "'greedy' has no threshold 'overlap': .*known are .*overlap_thresh"),
        ("greedy", {"overlap_thresh": 3}, "expected overlap_thresh to be a number, 0 to 1, got 3"),
    ],
)
def test_unknown_names_and_thresholds_are_refused(name, thresholds, message):
    with pytest.raises(ConfigError, match=message):
        build_rule(name, **thresholds)


def test_a_name_is_given_once():
    @dataclass(frozen=True)
    class Other:
        def merge(self, inputs): ...

    with pytest.raises(ValueError, match="merge rule 'greedy': the name is taken by Greedy"):
        register_rule("greedy")(Other)


def test_what_is_no_rule_is_refused():
    @dataclass
    class Changing:
        def merge(self, inputs): ...

    @dataclass(frozen=True)
    class Idle:
        pass

    with pytest.raises(TypeError, match="expected a frozen dataclass"):
        register_rule("changing")(Changing)
    with pytest.raises(TypeError, match=r"expected a method merge\(inputs\), Idle has none"):
        register_rule("idle")(Idle)


def test_a_rule_that_returns_something_else_is_named():
    from dataclasses import dataclass

    from thingstuff.structures import Categories, Category, Detections

    @dataclass(frozen=True)
    class Forgetful:
        def merge(self, inputs):
            return None

    categories = Categories((Category(1, "cat"),))
    with pytest.raises(ConfigError, match=r"merge rule Forgetful: expected it to return .* got \(NoneType\)"):
        merge(Detections.from_coco([], 2, 2), np.zeros((2, 2), np.uint16), categories, Forgetful())
