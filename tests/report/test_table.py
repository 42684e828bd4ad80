"""Tables as a terminal shows them, and results files that are whole or absent."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest

from thingstuff.report.table import text_table, write_json


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
    with pytest.raises(ValueError, match="row 0 has 1 cells|align is"):
        text_table(rows, ["what", "AP"], align)


def test_json_is_strict_and_plain(tmp_path):
    path = tmp_path / "new" / "results.json"
    write_json(path, {"AP": math.nan, 3: np.float32(0.5), "counts": np.arange(2), "inf": (math.inf, None, True, "x")})
    read = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert read == {"AP": None, "3": 0.5, "counts": [0, 1], "inf": [None, None, True, "x"]}


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_json(path, {"AP": 1})
    with pytest.raises(TypeError):
        write_json(path, {"AP": object()})

    def full_disk(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_json(path, {"AP": 2})
    assert json.loads(path.read_text()) == {"AP": 1}
    assert list(tmp_path.iterdir()) == [path]
