"""What the tables say, in one sentence."""

from __future__ import annotations

import math

from roipool.comparison import Comparison
from roipool.paired import PairedDifference


def verdict(compared: Comparison) -> str:
    """Each variant's mask AP against that of the baseline: better, worse or undecided. Empty without other variants."""
    found = [(variant.title, compared.difference(variant.name, "segm", "AP")) for variant in compared.variants[1:]]
    parts = [f"{title} {_words(difference)}" for title, difference in found if difference is not None]
    return f"In mask AP, compared with {compared.variants[0].title}: {'; '.join(parts)}." if parts else ""


def _words(difference: PairedDifference) -> str:
    if math.isnan(difference.mean):
        return "cannot be compared"
    if difference.runs == 1:
        return f"differs by {difference.mean:+.1f} in a single run, which decides nothing"
    if not difference.is_sure:
        return f"is undecided ({difference.low:+.1f} to {difference.high:+.1f} in {difference.runs} runs)"
    sizes = sorted(abs(bound) for bound in (difference.low, difference.high))
    word = "better" if difference.mean > 0 else "worse"
    return (
        f"is {word} by {abs(difference.mean):.1f} points ({sizes[0]:.1f} to {sizes[1]:.1f} in {difference.runs} runs)"
    )
