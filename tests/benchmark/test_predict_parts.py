"""The parts of `tools/benchmark.py predict` whose answers are known beforehand: stages, agreement, rows, tables."""

import json
from dataclasses import asdict

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_utils

from thingstuff.benchmark.prediction.agreement import agreement
from thingstuff.benchmark.prediction.images import SIZES, image_sizes, images_of, write_photographs
from thingstuff.benchmark.prediction.rows import mean_stages, rows_of
from thingstuff.benchmark.prediction.stages import INJECTED, Meter, StageClock, mark_around
from thingstuff.benchmark.prediction.tables import latency_table, more_tables
from thingstuff.benchmark.prediction.turns import Measured, cases_of
from thingstuff.errors import DataError
from thingstuff.report.table import text_table


class Steps:
    """A clock that shows these numbers, one after the other."""

    def __init__(self, *values):
        self.values = list(values)

    def meter(self):
        return Meter(lambda: self.values.pop(0), lambda earlier, later: later - earlier)


# ---- stages ----------------------------------------------------------------------------------------------------------


def test_stages_are_what_passed_since_the_last_mark_and_add_up():
    clock = StageClock(Steps(0, 1, 3, 6, 10, 15).meter())
    clock.mark("before the start")  # ignored
    clock.start()
    for stage in ("decode", "backbone", INJECTED, "boxes", "backbone"):
        clock.mark(stage)
    found = clock.stop()
    clock.mark("after the end")
    assert found == {"decode": 1, "backbone": 2 + 5, "boxes": 4}
    assert sum(found.values()) == 15 - 3  # the whole without what was injected


def test_a_function_is_marked_before_and_after():
    class Owner:
        @staticmethod
        def double(x):
            return 2 * x

    clock = StageClock(Steps(0, 2, 7).meter())
    mark_around(Owner, "double", clock, "paste", "merge")
    clock.start()
    assert Owner.double(4) == 8
    assert clock.stop() == {"paste": 2, "merge": 5}


# ---- agreement -------------------------------------------------------------------------------------------------------


def record(x0, x1, label=0, score=0.5):
    """A mask of 10 rows from column x0 to x1 in 10 x 100 pixels."""
    mask = np.zeros((10, 100), np.uint8, order="F")
    mask[:, x0:x1] = 1
    rle = mask_utils.encode(mask)
    rle["counts"] = rle["counts"].decode()
    return {"category_id": label, "bbox": [x0, 0, x1 - x0, 10], "score": score, "segmentation": rle}


def test_equal_records_are_identical():
    found = agreement([[record(0, 10), record(50, 60, 1)], []], [[record(0, 10), record(50, 60, 1)], []])
    assert found.identical
    assert (found.fewest, found.most, found.unmatched, found.mean_iou, found.box_px) == (0, 2, 0, 1.0, 0.0)
    assert found.words() == "identical"


def test_records_that_differ_are_matched_by_class_and_box():
    # 8 of 12 columns shared; a whole; another class without a partner, and the expected one without one
    found = agreement(
        [[record(2, 12), record(50, 60), record(70, 80, 1)]], [[record(50, 60), record(0, 10), record(70, 80)]]
    )
    assert not found.identical
    assert found.unmatched == 2
    assert found.lowest_iou == pytest.approx(8 / 12)
    assert found.mean_iou == pytest.approx((8 / 12 + 1) / 2)
    assert found.box_px == 2
    assert "2 unmatched" in found.words()


def test_a_changed_score_or_order_is_not_identical():
    one, other = record(0, 10), record(50, 60, 1)
    assert not agreement([[one, other]], [[other, one]]).identical
    assert not agreement([[one]], [[record(0, 10, score=0.51)]]).identical


# ---- rows and tables -------------------------------------------------------------------------------------------------


def measured(*latencies_ms, found=None, flop=None, precision="float32"):
    """Of one image in case 2: as many turns as latencies, each half backbone and half encode."""
    calls = [[{"encode": ms / 2, "backbone": ms / 2}] for ms in latencies_ms]
    records = [[record(0, 10), record(50, 60)]] if found is None else [found]
    return Measured(
        first_ms=50.0,
        calls={"2": calls},
        records={"2": records},
        facts={"parameters": 1000, "peak_mib": 7.0},
        features={"shape": [1, 2], "precision": precision, "values": [3.0, 4.0]},
        flop={"2": {"backbone": 4e9, "encode": 0.0} if flop is None else flop},
        batch_ms={1: [10.0, 20.0, 30.0], 4: [40.0]},
        matmul={"float32": 2000.0, "bfloat16": None},
    )


def test_rows_hold_percentiles_ratios_and_stages():
    stock, exact = rows_of("instances", {"stock": measured(10, 20, 60), "exact": measured(5, 20, 20)}, {})
    assert (exact.p50_ms, exact.mean_ms, exact.first_ms, exact.peak_mib) == (20, 15, 50, 7)
    assert exact.p90_ms == pytest.approx(np.percentile([5, 20, 20], 90))
    assert exact.ratio == np.median([10 / 5, 20 / 20, 60 / 20])
    assert exact.stages_ms == {"backbone": 7.5, "encode": 7.5}
    assert list(exact.stages_ms) == ["backbone", "encode"]  # as they follow in a call
    assert sum(exact.stages_ms.values()) == pytest.approx(exact.mean_ms)
    assert exact.gflop == {"backbone": 4.0}
    assert exact.images_per_s == {"1": 1000 / 20, "4": 4 * 1000 / 40}
    assert (stock.ratio, stock.equal, exact.equal, exact.features_off) == (1.0, True, True, 0.0)


@pytest.mark.parametrize(
    ("system", "found", "equal"),
    [
        ("exact", [record(0, 10), record(50, 60)], True),
        ("exact", [record(1, 10), record(50, 60)], False),  # nearly is not exactly
        ("fast", [record(1, 10), record(50, 60)], True),  # (9 / 10 + 1) / 2 = 0.95
        ("fast", [record(2, 10), record(50, 60)], False),
        ("fp32", [record(1, 10), record(50, 60)], False),
        ("fast", [record(0, 10)], False),  # one of two
        ("torchvision", [record(0, 10), record(50, 60, 1)], False),  # another class
    ],
)
def test_equal_is_as_many_and_as_near_as_promised(system, found, equal):
    rows = rows_of("instances", {"stock": measured(10), system: measured(10, found=found)}, {})
    assert [row.equal for row in rows] == [True, equal]


def test_without_detectron2_only_the_count_is_judged():
    (row,) = rows_of("instances", {"fast": measured(10)}, {})
    assert (row.ratio, row.agrees, row.equal, row.gflop) == (None, "", True, {})


def test_of_an_artifact_no_operations_are_known():
    closed = measured(5)
    closed.features, closed.flop, closed.facts = None, {}, {"parameters": None, "peak_mib": 7.0}
    _, row = rows_of("instances", {"stock": measured(10), "artifact": closed}, {})
    assert (row.gflop, row.parameters, row.features_off) == ({}, None, None)


def test_a_stage_that_a_call_lacks_took_no_time_in_it():
    assert mean_stages([[{"decode": 4.0, "own": 2.0}], [{"decode": 2.0}]]) == {"decode": 3.0, "own": 1.0}


def test_tables_and_json():
    accuracy = {"exact": {"mask AP": {"percent": 40.0}}}
    accuracy["fast"] = {
        "mask AP": {"percent": 39.5, "difference": -0.5, "low": -1, "high": 0.1, "verdict": "undecided"}
    }
    systems = {"stock": measured(10), "exact": measured(5), "fast": measured(2)}
    rows = list(rows_of("instances", systems, accuracy))
    panoptic = measured(40)
    panoptic.calls["2"] = [[{"decode": 60.0, "masks": 40.0, "stuff head": 10.0, "stuff labels": 3.0, "merge": 2.0}]]
    rows += rows_of("panoptic", {"exact": panoptic}, {})
    latency = text_table(**latency_table(rows, images=1, repeats=1)).splitlines()
    assert [line.split()[0] for line in latency[2:6]] == ["stock", "exact", "fast", "panoptic"]
    more = [text_table(**table) for table in more_tables(rows)]
    titles = [table.splitlines()[0].split("  ")[0] for table in more]
    assert titles[0] == "ms, instances, 2 detections"
    assert titles[-2:] == ["panoptic", "accuracy"]
    # 2000 GFLOP/s for 4 GFLOP are 2 ms: stock's backbone takes 5, exact's 2.5, fast's 1 ms
    limits = next(table for table in more if table.startswith("times the limit, instances"))
    assert limits.splitlines()[2].split() == ["backbone", "4.00", "2.50", "1.25", "0.50"]
    option = next(table for table in more if table.startswith("panoptic "))
    assert option.splitlines()[2].split() == ["exact", "2", "100.0", "10.0", "10.0", "5.0", "5.0"]
    assert more[-1].splitlines()[3].split() == [
        "fast",
        "mask",
        "AP",
        "39.50",
        "-0.50",
        "-1",
        "0.10",
        "undecided",
        "2.00",
    ]
    assert json.loads(json.dumps([asdict(row) for row in rows]))[0]["stages_ms"] == {"backbone": 5.0, "encode": 5.0}


def test_cases_of_programs_into_which_nothing_can_be_injected():
    cases = ["20", "own", "100"]
    assert cases_of("exact", cases) == cases
    assert cases_of("artifact", cases) == ["own"]
    assert cases_of("torchvision-mixed", cases) == ["20", "100"]


# ---- images ----------------------------------------------------------------------------------------------------------


def test_images_made_on_the_spot_are_as_heavy_as_photographs(tmp_path):
    paths = write_photographs(tmp_path, len(SIZES) + 1, seed=0)
    assert image_sizes(paths) == [*SIZES, SIZES[0]]
    pixels = SIZES[0][0] * SIZES[0][1]
    assert 0.5 < 8 * paths[0].stat().st_size / pixels < 6  # bits a pixel; of COCO's photographs mostly 2 to 5
    assert cv2.imread(str(paths[0])).std() > 20


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="holds no"):
        images_of(tmp_path, 4)
    with pytest.raises(DataError, match="there is no folder"):
        images_of(tmp_path / "absent", 4)
