"""Runs: the written-out, pixel-by-pixel answer is the oracle."""

from __future__ import annotations

import numpy as np

from thingstuff.structures.runs import label_extents, positions_of, run_starts


def test_run_starts():
    assert run_starts(np.array([4, 4, 7, 4])).tolist() == [0, 2, 3]
    assert run_starts(np.array([5])).tolist() == [0]
    assert run_starts(np.array([])).tolist() == []


def test_positions_of_unsorted_known_values():
    rng = np.random.default_rng(0)
    for _ in range(200):
        known = rng.permutation(20)[: rng.integers(0, 12)] * 3 - 9
        values = rng.integers(-12, 60, rng.integers(0, 6, 2))
        expected = [[known.tolist().index(v) if v in known else -1 for v in row] for row in values.tolist()]
        positions = positions_of(values, known)
        assert positions.shape == values.shape and positions.tolist() == expected


def test_positions_of_a_view_with_steps():
    values = np.arange(24).reshape(4, 6)[::2, ::-2]
    assert positions_of(values, np.arange(24)).tolist() == values.tolist()


def test_label_extents_equal_one_comparison_a_label():
    rng = np.random.default_rng(1)
    for _ in range(200):
        labels = rng.integers(0, rng.integers(1, 9), rng.integers(1, 9, 2)).repeat(rng.integers(1, 4), axis=1)
        labels = labels.astype(np.uint32)
        values, areas, boxes = label_extents(labels)
        assert values.tolist() == np.unique(labels).tolist()
        for value, area, box in zip(values, areas, boxes, strict=True):
            rows, columns = np.nonzero(labels == value)
            assert area == rows.size
            width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
            assert box.tolist() == [columns.min(), rows.min(), width, height]


def test_label_extents_of_no_pixels():
    for shape in [(0, 0), (0, 5), (5, 0)]:
        values, areas, boxes = label_extents(np.zeros(shape, np.uint32))
        assert values.shape == areas.shape == (0,) and boxes.shape == (0, 4)
