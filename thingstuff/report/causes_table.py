"""Where panoptic quality is lost, the largest cause first."""

from __future__ import annotations

from dataclasses import asdict

from thingstuff.evaluation.panoptic_causes import Gain, PanopticCauses
from thingstuff.report.table import Table

_WORDS = {
    "class": "the right mask, the wrong class",
    "split": "one thing in several segments",
    "merged": "several things in one segment",
    "dropped": "instances that the merge dropped",
    "stuff_limit": "stuff below the area limit",
    "masks": "masks of matches that are not exact",
    "missed": "found by nothing",
    "false": "segments of nothing",
}


_OF_A_LEDGER = ("dropped", "stuff_limit")


def causes_table(causes: PanopticCauses, has_ledger: bool = True) -> Table:
    """What PQ would win were one cause mended and all else left; the gains do not add up.

    Without a ledger nothing is known of what a merge dropped, and nothing is said.
    """
    found = _by_gain(causes, has_ledger)
    rows = [[_WORDS[cause], 100 * g.pq, 100 * g.pq_th, 100 * g.pq_st, g.segments] for cause, g in found]
    headers = ["PQ lost by", "all", "things", "stuff", "segments"]
    notes = ["each as if it alone were mended: the gains do not add up"]
    if not has_ledger:
        notes.append("what a merge dropped is known of a store with its ledger only")
    return Table(rows, headers, digits=2, footnotes=notes)


def cause_records(causes: PanopticCauses, has_ledger: bool = True) -> dict[str, dict[str, float]]:
    """Cause -> gains in percent and number of segments, for JSON."""
    return {
        cause: {name: 100 * value if name != "segments" else value for name, value in asdict(gain).items()}
        for cause, gain in _by_gain(causes, has_ledger)
    }


def _by_gain(causes: PanopticCauses, has_ledger: bool) -> list[tuple[str, Gain]]:
    """Largest first; an undefined one last."""
    gains = {cause: gain for cause, gain in causes.gains().items() if has_ledger or cause not in _OF_A_LEDGER}
    return sorted(gains.items(), key=lambda pair: -pair[1].pq if pair[1].pq == pair[1].pq else 1.0)
