"""The fast search for True against numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from thingstuff.merge.positions import true_positions


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 1000, 1003])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 1])
def test_positions_are_those_of_numpy(size, share):
    rng = np.random.default_rng(size)
    for offset in range(3):
        flat = (rng.random(size + offset) < share)[offset:]
        found = true_positions(flat)
        np.testing.assert_array_equal(found, np.flatnonzero(flat))
        assert found.dtype == np.int64
