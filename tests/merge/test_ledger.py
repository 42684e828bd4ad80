"""Ledgers: what they add up to, and their journey through JSON."""

from __future__ import annotations

import json

import pytest

from thingstuff.errors import DataError
from thingstuff.merge import InstanceEntry, Ledger, StuffEntry

LEDGER = Ledger(
    (
        InstanceEntry(1, 7, 0.9, 10, "kept", 10, 1),
        InstanceEntry(0, 7, 0.8, 10, "eroded", 6, 2, covered_by=((1, 4),)),
        InstanceEntry(2, 7, 0.7, 5, "dropped", reason="overlap", value=0.8, threshold=0.5, covered_by=((0, 3), (1, 1))),
        InstanceEntry(3, 9, 0.1, 5, "dropped", reason="confidence", value=0.1, threshold=0.5),
    ),
    (StuffEntry(40, 50, "eroded", 30, 3), StuffEntry(3, 8, "dropped", reason="area", value=8.0, threshold=9.0)),
)


def test_summary_counts_by_category():
    assert LEDGER.summary() == {
        7: {"kept": 1, "eroded": 1, "dropped": 1, "lost_px": 0 + 4 + 5, "dropped_overlap": 1},
        9: {"kept": 0, "eroded": 0, "dropped": 1, "lost_px": 5, "dropped_confidence": 1},
        40: {"kept": 0, "eroded": 1, "dropped": 0, "lost_px": 20},
        3: {"kept": 0, "eroded": 0, "dropped": 1, "lost_px": 8, "dropped_area": 1},
    }
    assert Ledger((), ()).summary() == {}


def test_records_come_back_equal():
    assert Ledger.from_records(LEDGER.records()) == LEDGER
    lines = [json.dumps(record) for record in LEDGER.records()]
    assert Ledger.from_records(map(json.loads, lines)) == LEDGER
    assert Ledger.from_records([]) == Ledger((), ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "crowd"}, "ledger record 1: expected a kind of instance or stuff, got 'crowd'"),
        ({"kind": None}, "got None"),
        ({"color": 3}, "ledger record 1: .* 'color' differs"),
    ],
)
def test_records_of_something_else_are_refused(change, message):
    good, *_ = LEDGER.records()
    with pytest.raises(DataError, match=message):
        Ledger.from_records([good, good | change])


def test_records_with_a_key_missing_are_refused():
    *_, last = LEDGER.records()
    del last["area_px"]
    with pytest.raises(DataError, match="'area_px' differs"):
        Ledger.from_records([last])
