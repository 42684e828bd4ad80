"""What a run shows at its end: the table, the repeats, the pictures."""

import math

import cv2
import numpy as np
import pytest

from thingstuff.report.repeats import repeats_table, spread
from thingstuff.report.results_table import headline, results_table

NUMBERS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def instance_results(first=10.0):
    task = {name: first + i for i, name in enumerate(NUMBERS)} | {"AP-disc": 1.5, "AP-star": math.nan}
    return {"bbox": task, "segm": {k: v + 20 for k, v in task.items()}}


def test_twelve_numbers_for_boxes_and_masks_in_one_table():
    lines = results_table(instance_results()).splitlines()
    cells = {line.rsplit(None, 2)[0].strip(): line.split()[-2:] for line in lines[2:-1]}
    values = [row for name, row in cells.items() if name.startswith(("AP @", "AR @"))]
    assert values == [[f"{10 + i:.2f}", f"{30 + i:.2f}"] for i in range(12)]
    assert cells["AP of disc"] == ["1.50", "21.50"]
    assert cells["AP of star"] == ["-", "-"]
    assert lines[-1].startswith("- : undefined") and lines[-1].endswith("(AP of star)")


def test_semantic_results_and_unknown_tasks_are_shown():
    text = results_table({"sem_seg": {"mIoU": 40.0, "fwIoU": 50.0, "IoU-sky": 70.0}, "pascal": {"AP": 3.0}})
    assert "mean IoU" in text
    assert "IoU of sky" in text
    assert "pascal" in text


def test_headline_names_what_a_run_is_known_by():
    results = instance_results() | {"sem_seg": {"mIoU": 40.0}, "keypoints": {"AP": 5.0}}
    assert headline(results) == {"box_ap": 10.0, "mask_ap": 30.0, "keypoint_ap": 5.0, "miou": 40.0}


def test_spread_is_the_sample_deviation():
    runs = {seed: {"set": instance_results(value)} for seed, value in ((0, 10.0), (1, 14.0), (5, 12.0))}
    found = spread(runs)["set"]["mask_ap"]
    assert found["mean"] == pytest.approx((30 + 34 + 32) / 3)
    assert found["std"] == pytest.approx(math.sqrt((4 + 4 + 0) / 2))
    assert (found["min"], found["max"]) == (30.0, 34.0)
    assert found["by_seed"] == {0: 30.0, 1: 34.0, 5: 32.0}
    assert "0, 1, 5" in repeats_table(runs)


def test_one_seed_has_no_spread_and_undefined_stays_undefined():
    found = spread({3: {"set": instance_results()}})["set"]["box_ap"]
    assert found["std"] is None
    empty = spread({3: {"set": {"bbox": {"AP": None}}}})["set"]["box_ap"]
    assert empty["mean"] is None


@pytest.mark.parametrize(("count", "columns"), [(1, 3), (3, 6)])
def test_pictures_show_image_truth_and_prediction(tiny_cfg, tmp_path, count, columns):
    from detectron2.modeling import build_model

    from thingstuff.data.catalog import require_datasets
    from thingstuff.report.pictures import write_pictures

    cfg = tiny_cfg("shapes/mask_rcnn.yaml", "TEST.PICTURES", str(count))
    require_datasets(cfg.DATASETS.TEST)
    write_pictures(cfg, build_model(cfg), tmp_path / "grid.png")
    grid = cv2.imread(str(tmp_path / "grid.png"))
    assert grid.shape[1] > columns * 320
    assert grid.shape[1] < (columns + 1) * 320


def test_no_pictures_when_none_are_wanted(tiny_cfg, tmp_path):
    from thingstuff.report.pictures import write_pictures

    write_pictures(tiny_cfg("shapes/mask_rcnn.yaml", "TEST.PICTURES", "0"), None, tmp_path / "grid.png")
    assert not (tmp_path / "grid.png").exists()


def test_truth_is_what_the_annotations_say(small_shapes):
    from detectron2.data import DatasetCatalog

    from thingstuff.data.catalog import require_datasets
    from thingstuff.data.shapes import CATEGORIES
    from thingstuff.report.pictures import true_detections, true_stuff_map

    require_datasets(["shapes_val"])
    for record in DatasetCatalog.get("shapes_val"):
        notes = [n for n in record["annotations"] if not n["iscrowd"]]
        truth = true_detections(record, CATEGORIES)
        assert len(truth) == len(notes)
        x0, y0, x1, y1 = truth.boxes_xyxy.T
        assert np.array_equal(np.stack([x0, y0, x1 - x0, y1 - y0], 1), [n["bbox"] for n in notes])
        stuff = true_stuff_map(record["sem_seg_file_name"], CATEGORIES)
        assert stuff.dtype == np.uint16
        assert not (stuff[truth.masks.to_bitmaps().any(0)]).any()
