"""Totals over ledgers: outcomes and reasons add up."""

from thingstuff.merge import InstanceEntry, Ledger, LedgerTotals, StuffEntry


def test_outcomes_and_reasons_are_counted_over_images():
    first = Ledger(
        (InstanceEntry(0, 1, 0.9, 10, "kept", 10, 1), InstanceEntry(1, 1, 0.3, 9, "dropped", reason="confidence")),
        (StuffEntry(5, 4, "dropped", reason="area"),),
    )
    second = Ledger((InstanceEntry(0, 1, 0.8, 10, "eroded", 4, 1),), ())
    totals = LedgerTotals()
    totals.add(first)
    totals.add(second)
    assert totals.lines() == [
        "instances: 1 kept, 1 eroded, 1 dropped (1 by confidence)",
        "stuff regions: 0 kept, 0 eroded, 1 dropped (1 by area)",
    ]
    assert (totals + totals).instances["dropped"] == 2
    of_records = LedgerTotals()
    for ledger in (first, second):
        of_records.add_records(ledger.records())
    assert of_records == totals


def test_nothing_merged_is_nothing_said():
    assert LedgerTotals().lines() == []
