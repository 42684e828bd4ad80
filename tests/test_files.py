"""Files that are whole or absent."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest

from thingstuff.files import write_json


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
