"""The evaluation measurement: every case is equal, equality can fail, and what cannot be measured is refused."""

from __future__ import annotations

import argparse
import copy
import json
import math
import mmap
import os
from dataclasses import replace

import pytest

from thingstuff.benchmark import evaluate
from thingstuff.benchmark.evaluate_detectron2 import INSTANCES, SEMANTIC, same_shared_scores
from thingstuff.benchmark.evaluate_memory import measure_rise
from thingstuff.benchmark.evaluate_panoptic import panoptic_cases, same_quality
from thingstuff.benchmark.pycocotools_ap import same_numbers
from thingstuff.errors import ConfigError, SetupError


@pytest.fixture(autouse=True)
def same_threads_afterwards(monkeypatch):
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    monkeypatch.setenv("RAYON_NUM_THREADS", "1")
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def arguments(**changed):
    defaults = {"images": 4, "objects": 7.0, "full_images": 2, "parts": "ap", "seed": 3, "threads": 1}
    return argparse.Namespace(**(defaults | changed))


@pytest.mark.parametrize("objects", [7, 0.01], ids=["some", "almost none"])
def test_ap_is_equal(objects):
    cases = list(evaluate.MEASUREMENT.cases(arguments(objects=objects)))
    assert [case.name.split(",")[0] for case in cases] == [
        f"{what} AP {where}" for what in ("mask", "box") for where in ("in training", "from memory", "from files")
    ]
    for case in evaluate.MEASUREMENT.cases(arguments(objects=objects)):
        for _ in range(2):  # the second turn finds the records as the first did
            assert case.equal(case.ours(), case.theirs())


def test_detectron2s_evaluators_are_equal_and_forgotten_afterwards():
    from detectron2.data import DatasetCatalog, MetadataCatalog

    names = []
    for case in evaluate.MEASUREMENT.cases(arguments(parts="detectron2")):
        ours, theirs = case.ours(), case.theirs()
        assert case.equal(ours, theirs)
        names.append(case.name.split(",")[0])
        assert {("AP" in scores or "mIoU" in scores) for scores in theirs.values()} == {True}
    assert names == ["masks to mask and box AP", "label maps to mIoU", "label maps to mIoU"]
    assert not {INSTANCES, SEMANTIC} & ({*DatasetCatalog.list()} | {*MetadataCatalog.list()})


def test_panoptic_quality_is_equal():
    cases = []
    for case in evaluate.MEASUREMENT.cases(arguments(parts="pq")):
        assert case.equal(case.ours(), case.theirs())
        cases.append(case.name.split(",")[0])
    assert cases == ["PQ", "PQ from files"]


def test_equality_of_ap_has_a_tolerance_and_knows_what_is_undefined():
    assert same_numbers([0.5, math.nan], [0.5 + 1e-13, -1])
    assert not same_numbers([0.5], [0.5 + 1e-9])
    assert not same_numbers([0.0], [-1])
    assert not same_numbers([math.nan], [0.5])


def test_equality_of_shared_scores():
    theirs = {"bbox": {"AP": 50.0, "APs": math.nan}, "segm": {"AP": 40.0}}
    assert same_shared_scores({"bbox": {"AP": 50.0, "APs": math.nan, "AR1": 1.0}, "segm": {"AP": 40.0}}, theirs)
    for task, key, value in (("bbox", "AP", 50.1), ("bbox", "APs", 0.0), ("segm", "AP", math.nan)):
        ours = copy.deepcopy(theirs)
        ours[task][key] = value
        assert not same_shared_scores(ours, theirs)
    assert not same_shared_scores({"bbox": theirs["bbox"]}, theirs)
    assert not same_shared_scores({"bbox": {"AR1": 1.0}, "segm": {"AP": 40.0}}, theirs)


def test_equality_of_quality_sees_every_category():
    cases = panoptic_cases(2, 0)
    case = next(cases)  # whose files are there as long as `cases`
    ours, theirs = case.ours(), case.theirs()
    assert same_quality(ours, theirs)
    for category_id, quality in theirs.items():
        other = (0.5, 0.5, 0.5) if quality is None else (quality[0] + 1e-9, *quality[1:])
        assert not same_quality(ours, theirs | {category_id: other})
        assert quality is None or not same_quality(ours, theirs | {category_id: None})
    assert not same_quality(replace(ours, per_category={}), theirs)


def test_threads_are_those_asked_for():
    import cv2

    next(evaluate.MEASUREMENT.cases(arguments(threads=2)))
    assert (os.environ["RAYON_NUM_THREADS"], cv2.getNumThreads()) == ("2", 2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": 0}, "--images must be above 0, got 0"),
        ({"objects": 0}, "--objects must be above 0, got 0"),
        ({"full_images": -1}, "--full-images must be above 0, got -1"),
        ({"threads": 0}, "--threads must be above 0, got 0"),
        ({"seed": -1}, "--seed must be 0 or more, got -1"),
        ({"parts": "ap,speed"}, "--parts: expected some of ap, detectron2, pq, separated by commas, got 'speed'"),
    ],
)
def test_wrong_arguments_are_refused(changed, message):
    for rows in (evaluate.MEASUREMENT.cases, evaluate.MEASUREMENT.memory):
        with pytest.raises(ConfigError, match=message):
            next(rows(arguments(**changed)))


def test_memory_is_measured_in_other_processes():
    rows = list(evaluate.MEASUREMENT.memory(arguments(images=3)))
    assert [row.case.split(",")[0] for row in rows] == ["mask AP", "box AP"]
    for row in rows:
        assert row.equal
        assert row.ours_mib >= 0
        assert row.ratio * row.ours_mib == pytest.approx(row.reference_mib)


def test_a_rise_is_the_peak_above_the_loaded_records(tmp_path, monkeypatch):
    truth = tmp_path / "records.json"
    truth.write_text(json.dumps({}))
    mib = 64

    def program(truth, results, iou_type):
        # new pages, whatever this process has freed and kept
        with mmap.mmap(-1, mib << 20) as pages:
            for page in range(0, mib << 20, mmap.PAGESIZE):
                pages[page] = 1
        return [0.5]

    monkeypatch.setattr("thingstuff.benchmark.evaluate_memory._programs", lambda: {"ours": program})
    measured = measure_rise("ours", truth, truth, "segm")
    assert measured["numbers"] == [0.5]
    assert measured["rise_mib"] == pytest.approx(mib, abs=8)


def test_a_process_that_fails_says_why(monkeypatch):
    monkeypatch.setattr("thingstuff.benchmark.evaluate_memory.PROGRAMS", ("nobody's", "theirs"))
    with pytest.raises(SetupError, match="the memory of nobody's could not be measured: KeyError"):
        next(evaluate.MEASUREMENT.memory(arguments(images=1)))
