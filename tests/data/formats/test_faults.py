"""Faults of a split's files: counted by kind, refused in one line, or left out and told."""

import pytest

from thingstuff.data.formats.faults import Faults
from thingstuff.errors import DataError


def _with_faults(lenient):
    faults = Faults(lenient)
    for number in range(3):
        with faults.skipping("lines that are no polygons"):
            raise DataError(f"a.txt:{number}: expected numbers")
    faults.add("labels without an image", "b.txt")
    with faults.skipping("lines that are no polygons"):
        pass
    return faults


def test_all_are_counted_and_the_first_of_each_kind_is_named():
    expected = (
        r"labels: 3 lines that are no polygons \(a.txt:0: expected numbers\); 1 labels without an image \(b.txt\):"
    )
    with pytest.raises(DataError, match=expected):
        _with_faults(lenient=False).settle("labels")


def test_lenient_faults_are_notes():
    assert _with_faults(lenient=True).settle("labels") == (
        "left out: 3 x lines that are no polygons, the first: a.txt:0: expected numbers",
        "left out: 1 x labels without an image, the first: b.txt",
    )


def test_no_fault_says_nothing():
    assert Faults().settle("labels") == ()


def test_other_errors_are_no_faults():
    with pytest.raises(ZeroDivisionError), Faults(lenient=True).skipping("lines"):
        1 / 0  # noqa: B018


def test_a_refusal_of_many_kinds_stays_one_line_of_three():
    faults = Faults()
    for number in range(5):
        faults.add(f"faults of kind {number}", "a.txt")
    with pytest.raises(DataError, match="kind 2 .a.txt. and 2 other kinds"):
        faults.settle("labels")
