"""The tables of what limits the AP: order, units, and what is said below them."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np

from thingstuff.evaluation.ap_causes import CAUSES, SUMS, ApCauses
from thingstuff.files import write_json
from thingstuff.report.ap_causes_table import ap_cause_records, ap_causes_table, confusions_table

GAINS = dict(zip(CAUSES + SUMS, (0.02, 0.105, -1e-17, 0.01, 0.01, 0.05, 0.2, 0.15), strict=True))
CAUSED = ApCauses(
    iou_type="segm",
    iou_thresh=0.5,
    ap=0.625,
    gains=GAINS,
    counts=dict(zip(CAUSES + SUMS, range(1, 9), strict=True)),
    never_found=(),
    category_names=("cat", "dog"),
    confusion=np.array([[6, 3, 1], [2, 0, 0], [4, 5, 0]]),
    min_score=0.5,
)
NOTHING = replace(CAUSED, ap=math.nan, gains=dict.fromkeys(GAINS, math.nan), confusion=np.zeros((3, 3), np.int64))


def test_the_largest_gain_is_first_and_sums_are_last():
    assert ap_causes_table(CAUSED).text().splitlines() == [
        "mask AP50 lost by                         points    count",
        "--------------------------------------  --------  -------",
        "the right class, too little overlap        10.50        2",
        "found by nothing                            5.00        6",
        "the right place, the wrong class            2.00        1",
        "objects found once more                     1.00        4",
        "detections of nothing                       1.00        5",
        "the wrong class and too little overlap      0.00        3",
        "all false detections                       20.00        7",
        "all objects not found                      15.00        8",
        "AP50 is 62.50; each as if it alone were mended: the gains do not add up",
    ]


def test_what_was_never_found_is_named_up_to_five():
    line = ap_causes_table(replace(CAUSED, never_found=("cat",))).text().splitlines()[-1]
    assert line == "AP 0 even without the missed objects, as none is found: cat"
    assert ap_causes_table(replace(CAUSED, never_found=tuple("abcdefg"))).text().endswith("a, b, c, d, e and 2 more")


def test_undefined_gains_are_dashes():
    lines = ap_causes_table(replace(NOTHING, iou_thresh=0.75)).text().splitlines()
    assert lines[0].startswith("mask AP75 lost by")
    assert all(line.split()[-2] == "-" for line in lines[2:-1])
    assert lines[-1] == "AP75 is undefined: there are no objects in the truth"


def test_confusions_have_their_share_of_the_class():
    assert confusions_table(CAUSED).text().splitlines() == [
        "class    taken for      objects      %",
        "-------  -----------  ---------  -----",
        "cat      dog                  3   30.0",
        "dog      cat                  2  100.0",
        "detections with score >= 0.5 on objects with IoU >= 0.5",
    ]
    assert len(confusions_table(CAUSED, n=1).text().splitlines()) == 4
    assert len(confusions_table(NOTHING).text().splitlines()) == 3


def test_records_are_percent_and_survive_json(tmp_path):
    records = ap_cause_records(CAUSED)
    assert records["ap"] == 62.5
    assert list(records["causes"])[:2] == ["localisation", "missed"]
    assert records["causes"]["localisation"] == {"gain": 10.5, "count": 2}
    assert records["confusion"] == {
        "min_score": 0.5,
        "names": ["cat", "dog"],
        "counts": [[6, 3, 1], [2, 0, 0], [4, 5, 0]],
    }
    write_json(tmp_path / "causes.json", records)
    assert json.loads((tmp_path / "causes.json").read_text()) == records
    write_json(tmp_path / "undefined.json", ap_cause_records(NOTHING))
    assert json.loads((tmp_path / "undefined.json").read_text())["ap"] is None
