"""The ledger in words: every outcome and reason, with the number that decided it and the limit."""

import pytest

from thingstuff.merge import InstanceEntry, Ledger, StuffEntry
from thingstuff.report.ledger_text import entry_text, instance_texts, stuff_texts
from thingstuff.structures import Categories, Category

CATEGORIES = Categories((Category(1, "dog"), Category(2, "cat"), Category(9, "sky", isthing=False)))
NAMES = {0: "dog #3", 1: "cat"}


def instance(outcome, reason=None, value=None, threshold=None, **fields):
    return InstanceEntry(1, 2, 0.9, 100, outcome, reason=reason, value=value, threshold=threshold, **fields)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (instance("kept", visible_px=100), "kept whole"),
        (instance("eroded", visible_px=75, covered_by=((0, 25),)), "eroded: 25% of its pixels went to dog #3"),
        (
            instance("dropped", "overlap", 0.61, 0.5, covered_by=((0, 61),)),
            "dropped: 61% already covered by dog #3, limit 50%",
        ),
        (instance("dropped", "overlap", 0.61, 0.5, covered_by=((0, 50), (4, 11))), "covered by dog #3 and 1 more"),
        (instance("dropped", "confidence", 0.31, 0.5), "dropped: its score 0.31 is below the limit 0.50"),
        (instance("dropped", "empty", 0, 0), "its mask is empty"),
        (instance("dropped", "covered", 0, 1, covered_by=((7, 100),)), "all is covered by instance 7"),
        (instance("dropped", "taste", 0.5, 2), "dropped: taste 0.5, limit 2"),
        (StuffEntry(9, 50, "dropped", reason="area", value=40, threshold=64), "dropped: 40 pixels are left, limit 64"),
        (StuffEntry(9, 50, "eroded", visible_px=40), "eroded: 20% of its pixels went to things"),
        (StuffEntry(9, 50, "dropped", reason="covered"), "all is covered by things"),
    ],
)
def test_words(entry, words):
    assert words in entry_text(entry, NAMES)


def test_texts_by_instance_and_by_stuff():
    first = InstanceEntry(0, 1, 0.9, 100, "kept", 100, segment_id=3)
    second = instance("dropped", "overlap", 0.61, 0.5, covered_by=((0, 61),))
    sky = StuffEntry(9, 50, "kept", 50, segment_id=4)
    ledger = Ledger((first, second), (sky,))
    assert instance_texts(ledger, CATEGORIES) == {
        0: "kept whole",
        1: "dropped: 61% already covered by dog #3, limit 50%",
    }
    assert stuff_texts(ledger) == {9: "kept whole"}
