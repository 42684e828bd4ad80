"""Stuff maps: what is refused, and how a semantic model's labels become one."""

from __future__ import annotations

import numpy as np
import pytest

from thingstuff.errors import DataError
from thingstuff.structures import NOT_STUFF, VOID, Categories, Category, check_stuff_map, stuff_map_from_labels

CITY = Categories((Category(7, "road", isthing=False), Category(24, "person"), Category(23, "sky", isthing=False)))


def test_a_good_map_passes():
    check_stuff_map(np.array([[0, 1], [2, VOID]], np.uint16), CITY, 2, 2)
    check_stuff_map(np.zeros((0, 3), np.uint16), CITY)


@pytest.mark.parametrize(
    ("stuff_map", "message"),
    [
        (np.zeros((2, 2), np.int64), r"expected uint16 of shape \(2, 2\), got int64"),
        (np.zeros((2, 3), np.uint16), r"got uint16 of shape \(2, 3\)"),
        (np.zeros(4, np.uint16), r"got uint16 of shape \(4,\)"),
        ([[0, 0], [0, 0]], "got list"),
        (np.array([[0, 1], [3, 0]], np.uint16), r"expected 0 to 2 .* got 3"),
        (np.array([[0, 1], [255, 0]], np.uint16), r"expected 0 to 2 .* got 255"),
    ],
)
def test_a_bad_map_is_refused(stuff_map, message):
    with pytest.raises(DataError, match=message):
        check_stuff_map(stuff_map, CITY, 2, 2)


def test_labels_that_know_things():
    labels = np.array([[0, 1, 2], [255, 2, 0]], np.uint8)
    expected = [[1, NOT_STUFF, 2], [VOID, 2, 1]]
    assert stuff_map_from_labels(labels, [7, 24, 23], CITY).tolist() == expected


def test_panoptic_fpn_labels_are_the_stuff_map_already():
    labels = np.array([[0, 1, 2, 2]])
    stuff = stuff_map_from_labels(labels, [None, *(c.id for c in CITY.stuff)], CITY)
    assert stuff.dtype == np.uint16 and stuff.tolist() == labels.tolist()


def test_other_void_labels():
    assert stuff_map_from_labels(np.array([[-1, 1]]), [24, 23], CITY, void_labels=[-1]).tolist() == [[VOID, 2]]


def test_a_map_without_pixels():
    assert stuff_map_from_labels(np.zeros((0, 4), np.uint8), [7], CITY).shape == (0, 4)


def test_bad_labels_are_refused():
    with pytest.raises(DataError, match=r"expected 0 to 1 or void \[255\], got 2"):
        stuff_map_from_labels(np.array([[2]]), [7, 24], CITY)
    with pytest.raises(DataError, match="no category has the id 99"):
        stuff_map_from_labels(np.array([[0]]), [99], CITY)
    with pytest.raises(DataError, match="the label 1 is listed"):
        stuff_map_from_labels(np.array([[0]]), [7, 24], CITY, void_labels=[1])
    with pytest.raises(DataError, match="expected integers, got float64"):
        stuff_map_from_labels(np.array([[0.5]]), [7], CITY)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_labels_of_every_dtype_mean_the_same(dtype):
    labels = np.array([[0, 1, 1], [2, 200, 0]], dtype)
    found = stuff_map_from_labels(labels, (None, 23, 24), CITY, void_labels=(200,))
    assert found.dtype == np.uint16
    assert found.tolist() == [[NOT_STUFF, 2, 2], [NOT_STUFF, VOID, NOT_STUFF]]
    with pytest.raises(DataError, match="got 200"):
        stuff_map_from_labels(labels, (None, 23, 24), CITY, void_labels=())
