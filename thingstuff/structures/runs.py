"""Runs of equal values: a label map has far fewer runs than pixels, so whole-image questions are asked per run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def run_starts(*flat: NDArray[Any]) -> NDArray[np.int64]:
    """Where a new value begins in one of these 1-D arrays of one length, the first element included; empty if empty."""
    if flat[0].size == 0:
        return np.zeros(0, np.int64)
    changes = np.logical_or.reduce([one[1:] != one[:-1] for one in flat])
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(changes) + 1])


def positions_of(values: NDArray[Any], known: NDArray[np.int64]) -> NDArray[np.int64]:
    """The index in `known` (distinct, any order) of every element of an integer array; -1 where it is not there.

    Same shape as `values`. One search a run, not a pixel, and no table as long as the largest id.
    """
    flat = values.reshape(-1)
    starts = run_starts(flat)
    found = _search(flat[starts].astype(np.int64), known)
    return np.repeat(found, np.diff(starts, append=flat.size)).reshape(values.shape)


def label_extents(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """H x W labels -> the K labels used, ascending, their areas in pixels (K) and tight boxes (K x 4, xywh).

    All int64. One pass for all labels, unlike a comparison `labels == label` for each.
    """
    _, width = labels.shape
    starts, ends = _row_runs(labels)
    values, run_label = np.unique(labels.reshape(-1)[starts], return_inverse=True)
    order = np.argsort(run_label, kind="stable")
    starts, ends = starts[order], ends[order]
    first = np.searchsorted(run_label[order], np.arange(values.size))
    if values.size == 0:
        return values.astype(np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.int64)
    x0, x1 = np.minimum.reduceat(starts % width, first), np.maximum.reduceat((ends - 1) % width + 1, first)
    y0, y1 = np.minimum.reduceat(starts // width, first), np.maximum.reduceat(starts // width + 1, first)
    areas = np.add.reduceat(ends - starts, first)
    return values.astype(np.int64), areas, np.stack([x0, y0, x1 - x0, y1 - y0], axis=1)


def _search(wanted: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.int64]:
    if known.size == 0:
        return np.full(wanted.shape, -1, np.int64)
    order = np.argsort(known)
    slots = np.searchsorted(known[order], wanted).clip(max=known.size - 1)
    return np.where(known[order[slots]] == wanted, order[slots], -1)


def _row_runs(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends, in row-major flat positions, of the runs that no row break interrupts."""
    height, width = labels.shape
    if labels.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    begins = np.ones(labels.shape, bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    return starts, np.append(starts[1:], height * width)
