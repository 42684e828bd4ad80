"""The greedy rule against Detectron2's function: many more scenes than the fast tier has."""

from __future__ import annotations

import numpy as np
import pytest
from merge.merge_scenes import assert_as_detectron2

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(100, 110))
def test_greedy_is_detectron2s_on_a_thousand_scenes(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    for _ in range(1000):
        assert_as_detectron2(rng, monkeypatch)
