"""`tools/store.py`: what other programs predicted is imported, merged, scored, compared and exported like our own."""

import json

import numpy as np
import pytest
from helpers import assert_one_line

from thingstuff.evaluation.coco_ap import evaluate_coco
from thingstuff.store import PredictedImage, Store, StoreMeta, StoreWriter
from thingstuff.structures import Categories, Detections, MaskCrops


@pytest.fixture
def truth(small_shapes):
    return json.loads((small_shapes / "annotations/instances_val.json").read_text())


@pytest.fixture
def results(truth, tmp_path):
    """The truth as results, every second object, with scores that differ."""
    kept = [note for note in truth["annotations"] if not note["iscrowd"]][::2]
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    records = []
    for number, note in enumerate(kept):
        mask = MaskCrops.from_coco([note["segmentation"]], *sizes[note["image_id"]])
        found = {"image_id": note["image_id"], "category_id": note["category_id"], "score": 1 - number / 1000}
        records.append(found | {"segmentation": mask.to_rles()[0], "bbox": note["bbox"]})
    path = tmp_path / "results.json"
    path.write_text(json.dumps(records))
    return path


@pytest.fixture
def imported(run_tool, results, small_shapes, tmp_path):
    arguments = (results, "--data", "shapes_val", "--output", tmp_path / "imported")
    code, _, error = run_tool("store", "import", *arguments)
    assert code == 0, error
    return tmp_path / "imported/predictions/shapes_val"


def test_imported_results_score_as_they_did(run_tool, imported, results, truth, tmp_path):
    expected = evaluate_coco(truth, json.loads(results.read_text()), "segm").percent()["AP"]
    assert 10 < expected < 90
    code, _, error = run_tool(
        "evaluate", "--predictions", imported, "--ground-truth", "shapes_val", "--output", tmp_path / "scores"
    )
    assert code == 0, error
    scores = json.loads((tmp_path / "scores/results.json").read_text())
    assert scores["results"]["shapes_val"]["segm"]["AP"] == pytest.approx(expected, abs=1e-9)


def test_yolo_results_score_as_the_same_coco_results(run_tool, results, truth, tmp_path):
    """Written in Ultralytics' form, in fractions with six digits, and under their own class numbers."""
    from thingstuff.store.exports.outlines import one_outline

    images = {image["id"]: image for image in truth["images"]}
    names = [category["name"] for category in truth["categories"]][::-1]
    by_id = {category["id"]: names.index(category["name"]) for category in truth["categories"]}
    lines = {}
    for record in json.loads(results.read_text()):
        image = images[record["image_id"]]
        ((crop, (x0, y0, _, _)),) = MaskCrops.from_rles([record["segmentation"]], image["height"], image["width"])
        points = one_outline(crop, x0, y0) / (image["width"], image["height"])
        numbers = " ".join(f"{value:.6f}" for value in points.reshape(-1))
        line = f"{by_id[record['category_id']]} {numbers} {record['score']:.6f}\n"
        lines[image["file_name"]] = lines.get(image["file_name"], "") + line
    folder = tmp_path / "runs/labels"
    folder.mkdir(parents=True)
    for name, text in lines.items():
        (folder / f"{name.rpartition('.')[0]}.txt").write_text(text)
    (tmp_path / "classes.txt").write_text("\n".join(names))
    arguments = ("--data", "shapes_val", "--output", tmp_path / "yolo", "--names", tmp_path / "classes.txt")
    code, _, error = run_tool("store", "import", folder, *arguments)
    assert code == 0, error
    code, _, error = run_tool(
        *("compare", tmp_path / "yolo", results, "--ground-truth", "shapes_val", "--output", tmp_path / "page")
    )
    assert code == 0, error
    both = json.loads((tmp_path / "page/compare.json").read_text())["stores"]
    first, second = (one["results"]["segm"]["AP"] for one in both.values())
    assert first == pytest.approx(second, abs=1e-9)


def test_info_says_what_is_there(run_tool, imported):
    code, out, _ = run_tool("store", "info", imported)
    assert code == 0
    lines = dict(line.split(maxsplit=1) for line in out.splitlines() if not line.startswith(("data set", "image root")))
    assert lines["images"] == "6"
    assert "with masks" in lines["detections"]
    assert "shapes_val" in out


@pytest.mark.parametrize("form", ["coco", "labelme", "cvat", "fiftyone"])
def test_a_store_is_exported_without_predicting(run_tool, imported, tmp_path, form):
    code, _, error = run_tool("store", "export", imported, "--to", form, "--output", tmp_path / "out")
    assert code == 0, error
    assert any((tmp_path / "out").rglob("*.*"))


def test_a_store_without_maps_has_no_panoptic_export(run_tool, imported, tmp_path):
    code, _, error = run_tool("store", "export", imported, "--to", "coco_panoptic", "--output", tmp_path / "out")
    assert code == 2
    assert_one_line(error, "no panoptic map")


# ---- merging -----------------------------------------------------------------------------------------------------


def stuff_store(imported, folder, categories=None, leave_out=0):
    """Sky above, grass below, for the images of another store."""
    things = Store.open(imported)
    own = categories or things.meta.categories
    meta = StoreMeta("semantic", "weights", own, {}, "shapes_val", things.meta.image_root)
    with StoreWriter.open(folder, meta) as writer:
        for entry in things.entries[leave_out:]:
            stuff = np.ones((entry.height, entry.width), np.uint16)
            stuff[entry.height // 2 :] = 2
            writer.append(PredictedImage(entry.key, entry.height, entry.width, entry.image_id, None, stuff))
    return folder


def test_things_of_one_store_over_the_stuff_of_another(run_tool, imported, tmp_path):
    from thingstuff.merge import Greedy, merge

    categories = Categories.from_coco(
        [*Store.open(imported).meta.categories.to_coco(), {"id": 91, "name": "sky2", "isthing": 0}]
    )
    stuff = stuff_store(imported, tmp_path / "stuff", categories)
    arguments = (imported, stuff, "--output", tmp_path / "merged", "--threshold", "stuff_area_limit=100")
    code, out, error = run_tool("store", "merge", *arguments)
    assert code == 0, error
    assert "6 merged\ninstances: " in out
    merged = Store.open(tmp_path / "merged/predictions/shapes_val")
    rule = Greedy(stuff_area_limit=100)
    for image in merged:
        expected, ledger = merge(image.detections, image.stuff_map, merged.meta.categories, rule)
        np.testing.assert_array_equal(image.panoptic.ids, expected.ids)
        assert list(image.ledger) == json.loads(json.dumps(list(ledger.records())))
    code, out, _ = run_tool("store", "merge", *arguments)
    assert code == 0
    assert "0 merged, 6 already there" in out


def test_a_merged_store_is_scored_and_compared(run_tool, imported, tmp_path):
    """The data set knows the stuff, so both stores have its categories."""
    stuff = stuff_store(imported, tmp_path / "stuff")
    code, _, error = run_tool("store", "merge", imported, stuff, "--output", tmp_path / "merged")
    assert code == 0, error
    code, out, error = run_tool("compare", tmp_path / "merged", "--output", tmp_path / "page")
    assert code == 0, error
    assert "PQ" in out


@pytest.mark.parametrize("case", ["images", "no stuff", "other rule", "other threshold", "no store"])
def test_stores_that_cannot_be_merged(run_tool, imported, tmp_path, case):
    things = Categories(Store.open(imported).meta.categories.things)
    stuff = {
        "images": lambda: stuff_store(imported, tmp_path / "stuff", leave_out=2),
        "no store": lambda: tmp_path / "nothing",
    }.get(case, lambda: stuff_store(imported, tmp_path / "stuff"))()
    more = {"other rule": ("--rule", "greedi"), "other threshold": ("--threshold", "x")}.get(case, ())
    if case == "no stuff":
        box = Detections.from_coco([], 4, 4)
        with StoreWriter.open(tmp_path / "alone", StoreMeta("c", "w", things)) as writer:
            writer.append(PredictedImage("a.png", 4, 4, 1, box))
        imported = stuff = tmp_path / "alone"
    expected = {
        "images": "2 of 6 images are missing there",
        "no stuff": "none of its categories is stuff",
        "other rule": "no merge rule is named 'greedi': did you mean 'greedy'?",
        "other threshold": "--threshold: expected NAME=VALUE",
        "no store": "there is no store at",
    }
    code, _, error = run_tool("store", "merge", imported, stuff, "--output", tmp_path / "merged", *more)
    assert code == 2
    assert_one_line(error, expected[case])


# ---- bad imports -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "shapes"), "shapes has several splits: say which with --split, one of train, val"),
        (("--data", "shapes", "--split", "tset"), "--split tset: shapes has train, val"),
        (("--data", "shapes_val", "--format", "yol"), "there is no format of results 'yol': choose one of auto, coco"),
        (("--data", "shapes_val", "--names", "no.txt"), "no.txt: cannot be read"),
    ],
)
def test_imports_that_cannot_be_made(run_tool, results, small_shapes, tmp_path, arguments, message):
    code, _, error = run_tool("store", "import", results, *arguments, "--output", tmp_path / "out")
    assert code == 2
    assert_one_line(error, message)
    assert not (tmp_path / "out/predictions").exists()


def test_results_that_cannot_count_leave_the_earlier_import_alone(run_tool, imported, results, tmp_path):
    before = Store.open(imported).keys()
    records = json.loads(results.read_text())
    wrong = [*records, {**records[0], "category_id": 77}]
    results.write_text(json.dumps(wrong))
    arguments = (results, "--data", "shapes_val", "--output", tmp_path / "imported")
    code, _, error = run_tool("store", "import", *arguments)
    assert code == 2
    assert_one_line(error, "77")
    assert Store.open(imported).keys() == before
    code, out, error = run_tool("store", "import", *arguments, "--lenient")
    assert code == 0, error
    assert "left out: 1 x detections of unknown categories" in out


def test_what_was_not_imported_is_never_replaced(run_tool, results, small_shapes, tmp_path):
    folder = tmp_path / "out/predictions/shapes_val"
    categories = Categories.from_coco([{"id": 1, "name": "disc"}])
    with StoreWriter.open(folder, StoreMeta("config", "weights", categories)) as writer:
        writer.append(PredictedImage("a.png", 4, 4, 1, Detections.from_coco([], 4, 4)))
    code, _, error = run_tool("store", "import", results, "--data", "shapes_val", "--output", tmp_path / "out")
    assert code == 2
    assert_one_line(error, "there is something already that was not imported: give another output folder")
    assert len(Store.open(folder)) == 1


# ---- what is no store --------------------------------------------------------------------------------------------


def test_a_meta_json_of_another_program_makes_no_store(run_tool, tmp_path):
    """As Supervisely's projects have one; and nobody is told to remove it."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/meta.json").write_text('{"classes": []}')
    code, _, error = run_tool("store", "info", tmp_path / "project")
    assert code == 2
    assert_one_line(error, "holds no predictions (meta.json is of another program)")
    code, _, error = run_tool("store", "info", tmp_path)
    assert code == 2
    assert_one_line(error, "holds no predictions")


def test_a_file_is_no_store(run_tool, results):
    code, _, error = run_tool("store", "info", results)
    assert code == 2
    assert_one_line(error, "is a file, and no store: results of other programs become one by store.py import")


def test_a_store_of_annotations_remembers_the_file_that_evaluates_it(run_tool, results, small_shapes, tmp_path):
    file = small_shapes / "annotations/instances_val.json"
    arguments = ("--data", file, "--images", small_shapes / "val", "--output", tmp_path / "one")
    code, _, error = run_tool("store", "import", results, *arguments)
    assert code == 0, error
    code, out, error = run_tool("compare", tmp_path / "one", results, "--output", tmp_path / "page")
    assert code == 0, error
    assert "no longer where they were" not in out + error


def test_a_path_that_is_not_there_is_no_name_of_a_data_set(run_tool, results, tmp_path):
    code, _, error = run_tool("store", "import", results, "--data", tmp_path / "no.json", "--output", tmp_path / "one")
    assert code == 2
    assert_one_line(error, f"there is no file or folder {tmp_path / 'no.json'}")


def test_compared_results_keep_the_folders_of_their_images(run_tool, tmp_path):
    from PIL import Image

    (tmp_path / "images/x").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "images/x/a.png")
    images = [{"id": 1, "file_name": "x/a.png", "height": 8, "width": 8}]
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4]}
    truth = {"images": images, "categories": [{"id": 1, "name": "cat"}]}
    notes = [box | {"id": 1, "area": 16, "iscrowd": 0}]
    (tmp_path / "truth.json").write_text(json.dumps(truth | {"annotations": notes}))
    (tmp_path / "found.json").write_text(json.dumps([box | {"score": 0.5}]))
    found = ("compare", tmp_path / "found.json", "--ground-truth", tmp_path / "truth.json")
    code, out, error = run_tool(*found, "--output", tmp_path / "page")
    assert code == 0, error
    assert "no longer where they were" not in out + error
    (store,) = (tmp_path / "page/imported").iterdir()
    assert Store.open(store).keys() == ("x/a.png",)
