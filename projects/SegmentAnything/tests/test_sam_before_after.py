"""What new masks are worth: AP before and after, from 100 with the true masks, and `compare.py` on both stores."""

from dataclasses import replace

import numpy as np
import pytest
from refine_cases import filled, write_store
from sam_masks.before_after import before_after, truth_of
from sam_masks.refine import refine_store

from thingstuff.report.ground_truth import open_truth
from thingstuff.report.scores import ScoreOptions
from thingstuff.report.stored_scores import score
from thingstuff.store import PredictedImage, Store
from thingstuff.structures import Categories, Detections, MaskCrops


@pytest.fixture
def boxed_shapes(small_shapes, tmp_path):
    """shapes_val as a store that has its true boxes, filled as masks, and a refiner that knows the truth."""
    from thingstuff.data.open_data import registered_truth

    truth = registered_truth("shapes_val")
    images, known = [], {}
    for record in truth.images:
        size = (record["height"], record["width"])
        notes = [n for n in truth.annotations if n["image_id"] == record["id"] and not n.get("iscrowd")]
        masks = MaskCrops.from_coco([n["segmentation"] for n in notes], *size)
        boxes = masks.boxes_xyxy.astype(np.float32)
        found = Detections(
            filled(boxes, *size),
            boxes,
            np.linspace(0.9, 0.5, len(notes)).astype(np.float32),
            np.array([n["category_id"] for n in notes], np.int64),
            *size,
        )
        images.append(PredictedImage(record["file_name"], *size, record["id"], found))
        known |= {tuple(box): pair for box, pair in zip(boxes.tolist(), masks, strict=True)}
    categories = Categories.from_coco(truth.categories)
    store = write_store(tmp_path / "boxed", images, truth.image_root, categories, "shapes_val")

    def knows(image, boxes):
        return MaskCrops.from_boxes([known[tuple(box)] for box in boxes.tolist()], *image.shape[:2])

    return store, knows


def test_with_the_true_masks_ap_becomes_100(boxed_shapes, tmp_path):
    store, knows = boxed_shapes
    refine_store(store, knows, tmp_path / "new", store.meta)
    truth = open_truth("shapes_val")
    before, after = (score(path, truth, ScoreOptions(only_stored=True)) for path in (store.folder, tmp_path / "new"))
    assert after.results["segm"]["AP"] == pytest.approx(100)
    assert before.results["segm"]["AP"] < 90
    text = before_after(store, Store.open(tmp_path / "new"), truth_of("shapes_val", None))
    (line,) = (line for line in text.splitlines() if line.startswith("mask AP  "))
    shown = [float(number) for number in line.split()[2:]]
    assert shown == pytest.approx([before.results["segm"]["AP"], 100, 100 - before.results["segm"]["AP"]], abs=0.006)
    assert "mask AP is better: +" in text


def test_boundary_ap_stands_there_with_its_extra_alone(boxed_shapes, tmp_path, monkeypatch):
    store, knows = boxed_shapes
    refine_store(store, knows, tmp_path / "new", store.meta)
    truth = truth_of("shapes_val", None)
    monkeypatch.setattr("sam_masks.before_after._has_vernier", lambda: False)
    text = before_after(store, Store.open(tmp_path / "new"), truth)
    assert "boundary AP needs vernier: pip install 'thingstuff[boundary]'" in text
    monkeypatch.undo()
    pytest.importorskip("vernier", reason="the extra thingstuff[boundary] is not installed")
    text = before_after(store, Store.open(tmp_path / "new"), truth)
    (line,) = (line for line in text.splitlines() if line.startswith("boundary AP"))
    assert float(line.split()[3]) == 100


def test_masks_where_there_were_none_have_no_before(boxed_shapes, tmp_path):
    store, knows = boxed_shapes
    plain = [replace(image, detections=replace(image.detections, masks=None)) for image in store]
    plain = write_store(tmp_path / "plain", plain, store.meta.image_root, store.meta.categories, "shapes_val")
    refine_store(plain, knows, tmp_path / "new", plain.meta)
    text = before_after(plain, Store.open(tmp_path / "new"), truth_of("shapes_val", None))
    (line,) = (line for line in text.splitlines() if line.startswith("mask AP  "))
    assert line.split()[2:] == ["-", "100.00", "-"]


def test_compare_reads_both_stores(boxed_shapes, tmp_path, run_tool):
    store, knows = boxed_shapes
    refine_store(store, knows, tmp_path / "new", store.meta)
    code, out, error = run_tool(
        "compare", store.folder, tmp_path / "new", "--output", tmp_path / "page", "--draws", 50, "--images", 2
    )
    assert code == 0, error
    assert "new against boxed is better in mask AP" in out
    assert (tmp_path / "page/compare.html").is_file()
