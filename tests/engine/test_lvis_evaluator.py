"""LVIS in training: the evaluator gives what `evaluate_lvis` gives, whatever id map the data set has."""

import json

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances

import thingstuff.config  # noqa: F401
from thingstuff.engine.evaluate import build_evaluator
from thingstuff.engine.lvis_evaluator import LvisEvaluator
from thingstuff.evaluation import evaluate_lvis

NAME = "tiny_lvis_val"
BOXES_XYWH = [[10, 10, 20, 20], [50, 50, 30, 10]]
TRUTH = {
    "images": [{"id": 7, "height": 100, "width": 100, "neg_category_ids": [1], "not_exhaustive_category_ids": []}],
    "categories": [{"id": n, "name": f"c{n}", "frequency": f} for n, f in ((1, "r"), (2, "c"), (3, "f"))],
    "annotations": [
        {"id": n, "image_id": 7, "category_id": n + 1, "bbox": box, "area": box[2] * box[3]}
        for n, box in enumerate(BOXES_XYWH, 1)
    ],
}
RESULTS = [
    {"image_id": 7, "category_id": 2, "bbox": BOXES_XYWH[0], "score": 0.75},
    {"image_id": 7, "category_id": 1, "bbox": BOXES_XYWH[1], "score": 0.5},  # wrong, and known to be
    {"image_id": 7, "category_id": 3, "bbox": BOXES_XYWH[1], "score": 0.25},
]


@pytest.fixture(params=[None, {1: 0, 2: 1, 3: 2}], ids=["as Detectron2 registers it", "with an id map"])
def registered(request, tmp_path):
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps(TRUTH))
    DatasetCatalog.register(NAME, list)
    entry = MetadataCatalog.get(NAME).set(json_file=str(path), evaluator_type="lvis", thing_classes=["c1", "c2", "c3"])
    if request.param:
        entry.set(thing_dataset_id_to_contiguous_id=request.param)
    yield path
    DatasetCatalog.remove(NAME)
    MetadataCatalog.remove(NAME)


def outputs():
    found = Instances((100, 100))
    corners = [[x, y, x + w, y + h] for x, y, w, h in (r["bbox"] for r in RESULTS)]
    found.pred_boxes = Boxes(torch.tensor(corners).float())
    found.scores = torch.tensor([r["score"] for r in RESULTS])
    found.pred_classes = torch.tensor([r["category_id"] - 1 for r in RESULTS])
    return [{"instances": found}]


def test_the_numbers_are_those_of_the_records(registered, tiny_cfg):
    evaluator = build_evaluator(tiny_cfg(), NAME)
    assert isinstance(evaluator._evaluators[0], LvisEvaluator)
    evaluator.reset()
    evaluator.process([{"image_id": 7}], outputs())
    found = evaluator.evaluate()["bbox"]
    expected = evaluate_lvis(registered, RESULTS, "bbox").percent()
    assert {name: found[name] for name in expected} == pytest.approx(expected, nan_ok=True)
    assert [found[name] for name in ("APc", "APf")] == pytest.approx([100, 100])
    assert found["AP"] == pytest.approx(100), "the rare category has no truth, and so no AP"
