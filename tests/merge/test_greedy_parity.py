"""The greedy rule against Detectron2's function, on scenes of empties, ties, covers, borders and void."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from merge_scenes import assert_as_detectron2

SCENES = 400


@pytest.mark.parametrize("seed", range(4))
def test_greedy_is_detectron2s(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    seen = Counter()
    for _ in range(SCENES // 4):
        ledger = assert_as_detectron2(rng, monkeypatch)
        seen.update((entry.outcome, entry.reason) for entry in (*ledger.instances, *ledger.stuff))
    reasons = ("confidence", "empty", "overlap", "covered", "area")
    assert set(seen) == {("kept", None), ("eroded", None), *(("dropped", reason) for reason in reasons)}
