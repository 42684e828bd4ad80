"""The panoptic evaluator: truth gives 100, its files give its numbers again, and its PNGs are Detectron2's."""

import copy
import io
import json
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import COCOPanopticEvaluator
from PIL import Image

import thingstuff.config  # noqa: F401
from thingstuff.data.catalog import require_datasets
from thingstuff.data.shapes import CATEGORIES
from thingstuff.engine import panoptic_evaluator
from thingstuff.engine.panoptic_evaluator import PanopticEvaluator
from thingstuff.errors import DataError
from thingstuff.evaluation import CocoPanoptic, evaluate_panoptic
from thingstuff.modeling.panoptic_outputs import to_panoptic_seg
from thingstuff.structures import PanopticMap

NAME = "shapes_val"


@pytest.fixture
def records(small_shapes):
    require_datasets([NAME])
    return DatasetCatalog.get(NAME)


@pytest.fixture
def truth(records):
    metadata = MetadataCatalog.get(NAME)
    return CocoPanoptic.open(metadata.panoptic_json, metadata.panoptic_root)


@pytest.fixture
def metadata_as():
    """A function: metadata of shapes_val with changes, None for none -> the name of a data set that has it."""
    names = []

    def register(**changes):
        names.append(f"shapes_changed_{uuid.uuid4().hex}")
        entries = MetadataCatalog.get(NAME).as_dict() | changes
        entries = {key: value for key, value in entries.items() if key != "name" and value is not None}
        MetadataCatalog.get(names[-1]).set(**entries)
        return names[-1]

    yield register
    for name in names:
        MetadataCatalog.remove(name)


def output_of(panoptic, metadata=None):
    """As a model gives it; things with a score."""
    ids, infos = to_panoptic_seg(panoptic, {}, metadata or MetadataCatalog.get(NAME))
    return {"panoptic_seg": (ids, [i | {"score": 0.5} if i["isthing"] else i for i in infos])}


def noisy(truth, image_id, rng):
    """The truth, shifted by some pixels, with a piece of void and two segments whose categories changed places."""
    panoptic = truth.read(image_id)
    ids = np.roll(panoptic.ids, rng.integers(-6, 7, 2), (0, 1))
    ids[: rng.integers(1, 20)] = 0
    category_ids = {s.id: s.category_id for s in panoptic.segments if np.any(ids == s.id)}
    things = [s.id for s in panoptic.segments if s.isthing and s.id in category_ids]
    if len(things) > 1:
        a, b = rng.permutation(things)[:2].tolist()
        category_ids[a], category_ids[b] = category_ids[b], category_ids[a]
    return PanopticMap.from_labels(ids, category_ids, CATEGORIES)


def evaluate(evaluator, records, outputs):
    evaluator.reset()
    for record, output in zip(records, outputs, strict=True):
        evaluator.process([record], [output])
    return evaluator.evaluate()


def test_truth_as_prediction_is_perfect(records, truth):
    results = evaluate(PanopticEvaluator(NAME), records, [output_of(truth.read(r["image_id"])) for r in records])
    percent = results["panoptic_seg"]
    assert list(percent)[:9] == ["PQ", "SQ", "RQ", "PQ_th", "SQ_th", "RQ_th", "PQ_st", "SQ_st", "RQ_st"]
    assert {value for value in percent.values() if not np.isnan(value)} == {100}
    assert percent["PQ_th"] == percent["PQ_st"] == 100


def test_files_give_the_same_numbers(records, truth, tmp_path):
    rng = np.random.default_rng(4)
    outputs = [output_of(noisy(truth, r["image_id"], rng)) for r in records]
    found = evaluate(PanopticEvaluator(NAME, tmp_path / "run"), records, outputs)["panoptic_seg"]
    again = evaluate_panoptic(truth.json_path, tmp_path / "run/panoptic.json", truth.folder)
    assert found == pytest.approx(again.percent(), nan_ok=True, abs=1e-10)
    assert 10 < found["PQ"] < 95
    written = json.loads((tmp_path / "run/panoptic.json").read_text())
    assert written["images"][0] == {"id": 1, "file_name": "000001.png", "height": 160, "width": 160}
    assert written["categories"] == CATEGORIES.to_coco()
    assert any("score" in info for info in written["annotations"][0]["segments_info"])


def assert_same_predictions(ours_folder, theirs):
    """PNG and segments_info as in Detectron2's evaluator, which keeps them in memory."""
    ours = json.loads((ours_folder / "panoptic.json").read_text())["annotations"]
    assert [(a["image_id"], a["file_name"]) for a in ours] == [(p["image_id"], p["file_name"]) for p in theirs]
    for annotation, prediction in zip(ours, theirs, strict=True):
        mine = np.asarray(Image.open(ours_folder / "panoptic" / annotation["file_name"]))
        np.testing.assert_array_equal(mine, np.asarray(Image.open(io.BytesIO(prediction["png_string"]))))
        infos = [{key: info[key] for key in ("id", "category_id")} for info in annotation["segments_info"]]
        assert infos == [{key: info[key] for key in ("id", "category_id")} for info in prediction["segments_info"]]


def test_predictions_are_detectron2s(records, truth, tmp_path):
    outputs = [output_of(noisy(truth, r["image_id"], np.random.default_rng(4))) for r in records]
    ours, theirs = PanopticEvaluator(NAME, tmp_path), COCOPanopticEvaluator(NAME)
    theirs.reset()
    theirs.process(records, copy.deepcopy(outputs))
    before = copy.deepcopy(outputs)
    evaluate(ours, records, outputs)
    assert_same_predictions(tmp_path, theirs._predictions)
    for kept, output in zip(before, outputs, strict=True):
        assert torch.equal(kept["panoptic_seg"][0], output["panoptic_seg"][0])
        assert kept["panoptic_seg"][1] == output["panoptic_seg"][1]


def standard_metadata():
    """Things and stuff as positions in one list, as Panoptic-DeepLab wants it."""
    position = {c.id: n for n, c in enumerate(CATEGORIES.all)}
    names, colors = [c.name for c in CATEGORIES.all], [list(c) for c in CATEGORIES.colors()]
    return {
        "thing_classes": names,
        "thing_colors": colors,
        "stuff_classes": names,
        "stuff_colors": colors,
        "thing_dataset_id_to_contiguous_id": {c.id: position[c.id] for c in CATEGORIES.things},
        "stuff_dataset_id_to_contiguous_id": {c.id: position[c.id] for c in CATEGORIES.stuff},
        "label_divisor": 1000,
    }


def test_ids_that_hold_their_class_are_read_as_by_detectron2(records, truth, metadata_as, tmp_path):
    name = metadata_as(**standard_metadata())
    position = {c.id: n for n, c in enumerate(CATEGORIES.all)}
    outputs = []
    for record in records:
        panoptic = truth.read(record["image_id"])
        labels = np.full(panoptic.ids.shape, -1)
        for segment in panoptic.segments:
            labels[panoptic.ids == segment.id] = 1000 * position[segment.category_id] + segment.id * segment.isthing
        outputs.append({"panoptic_seg": (torch.tensor(labels), None)})
    theirs = COCOPanopticEvaluator(name)
    theirs.reset()
    theirs.process(records, copy.deepcopy(outputs))
    assert evaluate(PanopticEvaluator(name, tmp_path), records, outputs)["panoptic_seg"]["PQ"] == 100
    assert_same_predictions(tmp_path, theirs._predictions)


@pytest.mark.parametrize("isthing", [True, False], ids=["class indices", "data set ids"])
def test_truth_may_stand_in_the_records(records, truth, metadata_as, isthing):
    standard = standard_metadata()
    name = metadata_as(**standard, panoptic_json=None, panoptic_root=None)
    index_of = standard["thing_dataset_id_to_contiguous_id"] | standard["stuff_dataset_id_to_contiguous_id"]
    described = []
    for record in records:
        infos = truth.records[record["image_id"]]["segments_info"]
        if isthing:  # as Detectron2 loads a COCO panoptic file
            kinds = [CATEGORIES.by_id(i["category_id"]).isthing for i in infos]
            pairs = zip(infos, kinds, strict=True)
            infos = [i | {"category_id": index_of[i["category_id"]], "isthing": kind} for i, kind in pairs]
        file = str(truth.png_path(record["image_id"]))
        described.append(record | {"pan_seg_file_name": file, "segments_info": infos})
    rng = np.random.default_rng(6)
    maps = [noisy(truth, record["image_id"], rng) for record in records]
    found = evaluate(PanopticEvaluator(name), described, [output_of(m, standard) for m in maps])
    expected = evaluate(PanopticEvaluator(NAME), records, [output_of(m) for m in maps])
    assert found["panoptic_seg"] == pytest.approx(expected["panoptic_seg"], nan_ok=True)


def test_without_panoptic_output_there_is_no_result_and_nothing_is_read(records, metadata_as, tmp_path):
    evaluator = PanopticEvaluator(metadata_as(panoptic_json="absent.json"), tmp_path)
    assert evaluate(evaluator, records, [{}] * len(records)) == {}
    assert list(tmp_path.iterdir()) == []


def test_processes_are_joined(records, truth, monkeypatch, tmp_path):
    outputs = [output_of(noisy(truth, r["image_id"], np.random.default_rng(4))) for r in records]
    whole = evaluate(PanopticEvaluator(NAME), records, outputs)["panoptic_seg"]
    parts = [PanopticEvaluator(NAME, tmp_path) for _ in range(3)]  # the first has no image
    for part, chosen in zip(parts, (slice(0), slice(2), slice(2, None)), strict=True):
        part.process(records[chosen], outputs[chosen])
    shared = []
    monkeypatch.setattr(panoptic_evaluator.comm, "gather", lambda data: shared.append(data) or shared)
    monkeypatch.setattr(panoptic_evaluator.comm, "is_main_process", lambda: len(shared) == 3)
    assert [part.evaluate() for part in parts[1:]] == [{}, {}]
    assert parts[0].evaluate()["panoptic_seg"] == pytest.approx(whole, nan_ok=True)
    written = evaluate_panoptic(truth.json_path, tmp_path / "panoptic.json", truth.folder)
    assert written.percent() == pytest.approx(whole, nan_ok=True)


def test_reset_forgets(records, truth, tmp_path):
    evaluator = PanopticEvaluator(NAME, tmp_path)
    evaluator.process(records[:1], [output_of(truth.read(2))])
    results = evaluate(evaluator, records[1:2], [output_of(truth.read(2))])
    assert results["panoptic_seg"]["PQ"] == 100
    assert [a["image_id"] for a in json.loads((tmp_path / "panoptic.json").read_text())["annotations"]] == [2]


def test_images_of_several_folders_stay_apart(truth, metadata_as, tmp_path):
    evaluator = PanopticEvaluator(metadata_as(image_root="/data"), tmp_path)
    files = ["/data/a/x.jpg", "/data/b/x.jpg", "/elsewhere/y.jpg"]
    for image_id, file in enumerate(files, 1):
        record = {"image_id": image_id, "file_name": file}
        evaluator.process([record], [output_of(truth.read(image_id))])
    evaluator.evaluate()
    found = {p.relative_to(tmp_path / "panoptic").as_posix() for p in tmp_path.rglob("*.png")}
    assert found == {"a/x.png", "b/x.png", "y.png"}
    images = json.loads(Path(tmp_path / "panoptic.json").read_text())["images"]
    assert [i["file_name"] for i in images] == ["a/x.jpg", "b/x.jpg", "y.jpg"]


def test_mistakes_name_the_image(records, truth, metadata_as):
    small = PanopticMap.from_labels(np.ones((2, 2), np.uint32), {1: CATEGORIES.things[0].id}, CATEGORIES)
    with pytest.raises(DataError, match=r"data set shapes_val, image 1: the prediction has shape \(2, 2\)"):
        PanopticEvaluator(NAME).process(records[:1], [output_of(small)])
    with pytest.raises(DataError, match=r"panoptic_val\.json: no annotation for image 77"):
        PanopticEvaluator(NAME).process([records[0] | {"image_id": 77}], [output_of(small)])
    bare = metadata_as(panoptic_json=None)
    with pytest.raises(DataError, match=f"data set {bare}, image 1: no panoptic truth: set panoptic_json"):
        PanopticEvaluator(bare).process(records[:1], [output_of(small)])
