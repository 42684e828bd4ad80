"""Tables as a terminal shows them."""

from __future__ import annotations

import math

import pytest

from thingstuff.report.table import Table, text_table


def test_numbers_stand_right_and_undefined_is_a_dash():
    table = text_table(
        [["bbox", 61.25, 7, True], ["segm", math.nan, 1000, None]], ["what", "AP", "images", "equal"], digits=1
    )
    assert table.splitlines() == [
        "what      AP    images  equal",
        "------  ----  --------  -------",
        "bbox    61.2         7  yes",
        "segm       -      1000  -",
    ]


def test_text_that_looks_like_a_number_stays_as_it_is():
    assert text_table([["007"], ["1e5"]], ["name"]).split() == ["name", "------", "007", "1e5"]


def test_alignment_and_footnotes():
    table = text_table([["a", "b"]], ["left", "right"], align="lr", footnotes=["* one", "** two"])
    assert table.splitlines()[2:] == ["a             b", "* one", "** two"]


def test_no_rows():
    assert text_table([], ["what", "AP"]).splitlines()[0].split() == ["what", "AP"]


@pytest.mark.parametrize(("rows", "align"), [([["a"]], None), ([["a", 1]], "l"), ([["a", 1]], "lx")])
def test_what_does_not_fit_is_refused(rows, align):
    with pytest.raises(ValueError, match=r"row 0 has 1 cells|align is"):
        text_table(rows, ["what", "AP"], align)


def test_markdown():
    table = Table([["a", 1.0], ["b", None]], ["name", "AP"], digits=1, footnotes=["- : nothing there"])
    assert table.markdown().splitlines() == [
        "| name   |   AP |",
        "|:-------|-----:|",
        "| a      |  1.0 |",
        "| b      |    - |",
        "",
        "\\- : nothing there",
    ]
