"""COCO panoptic files: the published cases, and every contradiction between the files in one line."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest
from helpers import SHARED

from thingstuff.errors import DataError
from thingstuff.evaluation import CocoPanoptic, PanopticCounts, evaluate_panoptic
from thingstuff.evaluation.coco_panoptic import comparable_images
from thingstuff.evaluation.skips import Skips
from thingstuff.structures import Categories, Category, PanopticMap, write_png

GOLDEN = SHARED / "golden/pq"
CATEGORIES = Categories((Category(7, "cat"), Category(40, "sky", isthing=False)))


@pytest.mark.parametrize("case", ["team", "multi"])
def test_published_cases(case):
    if not GOLDEN.is_dir():
        pytest.skip("../shared/data/golden/pq is absent")
    expected = json.loads((GOLDEN / "expected.json").read_text())[case]
    scores = evaluate_panoptic(GOLDEN / f"{case}_gt.json", str(GOLDEN / f"{case}_pred.json"))
    for group, suffix in [("All", ""), ("Things", "_th"), ("Stuff", "_st")]:
        assert scores.category_counts[group] == expected[group]["n"]
        for name in ("pq", "sq", "rq"):
            assert abs(scores.numbers[name.upper() + suffix] - expected[group][name]) <= 1e-9, (group, name)
    assert {str(i) for i in scores.per_category} == set(expected["per_class"])
    for category_id, quality in scores.per_category.items():
        reference = expected["per_class"][str(category_id)]
        found = {"pq": quality.pq, "sq": quality.sq, "rq": quality.rq}
        assert found == pytest.approx(reference, abs=1e-9, rel=0), category_id


# ---- a small data set of two images ------------------------------------------------------------------------------


def image_maps(shift):
    ids = np.zeros((6, 8), np.uint32)
    ids[:3], ids[3:5, shift : shift + 5] = 9, 300
    first = PanopticMap.from_labels(ids, {9: 40, 300: 7}, CATEGORIES)
    second = PanopticMap.from_labels(np.full((4, 4), 70000 + shift, np.uint32), {70000 + shift: 7}, CATEGORIES)
    return {1: first, "b": second}


def write_files(folder, name, maps, **extra):
    annotations = [
        {"image_id": i, "file_name": f"{i}.png", "segments_info": m.write_coco(folder / name / f"{i}.png")}
        for i, m in maps.items()
    ]
    content = {"annotations": annotations, **extra}
    (folder / f"{name}.json").write_text(json.dumps(content))
    return content


@pytest.fixture
def files(tmp_path):
    truth = write_files(tmp_path, "truth", image_maps(0), categories=CATEGORIES.to_coco())
    predicted = write_files(tmp_path, "found", image_maps(1))
    return tmp_path, truth, predicted


def evaluate(folder, skips=None):
    return evaluate_panoptic(folder / "truth.json", folder / "found.json", skips=skips)


def test_files_count_as_their_maps(files):
    folder, _, _ = files
    counts = PanopticCounts.empty(CATEGORIES)
    for image_id, truth in image_maps(0).items():
        counts = counts.add(image_maps(1)[image_id], truth)
    assert evaluate(folder) == counts.scores()
    # the lower cat's 5 x 2 pixels are moved by one, one column of them onto void: 8 of 10 remain
    assert evaluate(folder).per_category[7].iou_sum == 8 / 10 + 1
    assert evaluate_panoptic(folder / "truth.json", folder / "truth.json").numbers["PQ"] == 1


def test_folders_may_lie_elsewhere(files):
    folder, _, _ = files
    expected = evaluate(folder)
    for name in ("truth", "found"):
        (folder / name).rename(folder / f"{name}_png")
    moved = evaluate_panoptic(
        folder / "truth.json", folder / "found.json", folder / "truth_png", str(folder / "found_png")
    )
    assert moved == expected


@pytest.mark.parametrize("skips", [None, Skips()])
@pytest.mark.parametrize("name", ["truth", "found"])
def test_a_folder_that_is_not_there_is_named(files, name, skips):
    """Leniently too: else every image would be left out."""
    folder, _, _ = files
    (folder / name).rename(folder / "png")
    message = rf"^\S+{name}\.json: its PNGs are looked for in {folder / name}, which is no folder: say which it is: "
    options = "truth_folder or predicted_folder in Python, --truth-folder or --predictions-folder on the command line$"
    with pytest.raises(DataError, match=message + options):
        evaluate(folder, skips)
    (folder / name).write_text("a file")
    with pytest.raises(DataError, match=message):
        CocoPanoptic.open(folder / f"{name}.json", None, CATEGORIES).read("b")


def test_no_image_at_all_is_undefined(tmp_path):
    write_files(tmp_path, "truth", {}, categories=CATEGORIES.to_coco())
    write_files(tmp_path, "found", {})
    scores = evaluate(tmp_path)
    assert set(scores.undefined) == set(scores.percent())


def annotation(content, number):
    return content["annotations"][number]


def drop_image(content):
    del content["annotations"][1]


def no_image(content):
    content["annotations"].clear()


def repeat_image(content):
    content["annotations"].append(annotation(content, 0))


def foreign_image(content):
    content["annotations"].append({"image_id": 99, "file_name": "1.png", "segments_info": []})


def drop_segment(content):
    del annotation(content, 0)["segments_info"][1]


def extra_segment(content):
    annotation(content, 0)["segments_info"].append({"id": 5, "category_id": 7})


def foreign_category(content):
    annotation(content, 1)["segments_info"][0]["category_id"] = 12


def no_category(content):
    annotation(content, 1)["segments_info"][0]["category_id"] = [7]


def text_segment(content):
    annotation(content, 0)["segments_info"][0] = "sky"


def no_file_name(content):
    del annotation(content, 1)["file_name"]


def no_annotations(content):
    content["annotations"] = {}


def list_annotation(content):
    content["annotations"][1] = [1]


def text_id(content):
    annotation(content, 0)["segments_info"][0]["id"] = "9"


def other_file(content):
    annotation(content, 0)["file_name"] = "b.png"


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            drop_image,
            r"\.json: no prediction for image 'b' \(1 is missing\): predict it, or read leniently to leave it out$",
        ),
        (
            no_image,
            r"found\.json: no prediction for image 1 \(2 are missing\): predict them, or read leniently to leave them "
            "out$",
        ),
        (repeat_image, r"found\.json: annotations\[2\]: two annotations are of image 1: keep one"),
        (foreign_image, r"found\.json: image 99 is not in .*truth\.json: was this made for other data\?"),
        (drop_segment, r"image 1: .*found/1\.png: the map has pixels of segment 300, which no segment describes"),
        (extra_segment, r"image 1: .*found/1\.png: segment 5: expected one pixel or more in the map, got none"),
        (foreign_category, r"image 'b': .*found/b\.png: no category has the id 12"),
        (no_category, r"found\.json: annotations\[1\]: segments_info\[0\]: expected .* integer category_id"),
        (text_segment, r"found\.json: annotations\[0\]: segments_info\[0\]: expected a segment"),
        (no_file_name, r"found\.json: annotations\[1\]: .* got no usable file_name"),
        (list_annotation, r"found\.json: annotations\[1\]: expected a dictionary, got a list"),
        (text_id, r"found\.json: annotations\[0\]: segments_info\[0\]: expected a segment with an integer id, got '9'"),
        (no_annotations, r"found\.json: expected a list of 'annotations'"),
        (other_file, r"image 1: .*found/b\.png: the map has pixels of segment 70001"),
    ],
)
def test_mistakes_in_predictions_are_named(files, mistake, message):
    folder, _, predicted = files
    changed = copy.deepcopy(predicted)
    mistake(changed)
    (folder / "found.json").write_text(json.dumps(changed))
    with pytest.raises(DataError, match=message) as caught:
        evaluate(folder)
    assert "\n" not in str(caught.value)


def test_mistakes_in_the_truth_are_named(files):
    folder, truth, _ = files
    (folder / "truth.json").write_text(json.dumps({**truth, "categories": None}))
    with pytest.raises(DataError, match=r"truth\.json: expected a list of 'categories'"):
        evaluate(folder)
    drop_segment(truth)
    (folder / "truth.json").write_text(json.dumps(truth))
    with pytest.raises(DataError, match=r"image 1: .*truth/1\.png: the map has pixels of segment 300"):
        evaluate(folder)


def test_unreadable_files_are_named(files):
    folder, _, _ = files
    png = folder / "found/1.png"
    whole = png.read_bytes()
    png.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"image 1: .*found/1\.png: the PNG is damaged or cut off"):
        evaluate(folder)
    write_png(png, np.zeros((6, 7, 3), np.uint8))
    (folder / "found.json").write_text(
        (folder / "found.json").read_text().replace(json.dumps(image_infos(folder)), "[]")
    )
    files = r"image 1: \S+/found/1\.png, whose truth is \S+/truth/1\.png"
    with pytest.raises(DataError, match=rf"{files}: the prediction has shape \(6, 7\), but the truth has \(6, 8\)$"):
        evaluate(folder)
    (folder / "found.json").write_text("{")
    with pytest.raises(DataError, match=r"found\.json: not JSON"):
        evaluate(folder)
    for content, message in (("", r"the file is empty \(0 bytes\)"), ("[]", "expected a dictionary .* got a list")):
        (folder / "found.json").write_text(content)
        for skips in (None, Skips()):
            with pytest.raises(DataError, match=rf"found\.json: {message}"):
                evaluate(folder, skips)
    (folder / "found.json").unlink()
    with pytest.raises(DataError, match=r"found\.json: cannot be read: No such file"):
        evaluate(folder)


def image_infos(folder):
    return json.loads((folder / "found.json").read_text())["annotations"][0]["segments_info"]


def test_one_image_is_read_by_its_id(files):
    folder, _, _ = files
    truth = CocoPanoptic.open(folder / "truth.json")
    np.testing.assert_array_equal(truth.read("b").ids, image_maps(0)["b"].ids)
    assert truth.categories == CATEGORIES and truth.png_path(1) == folder / "truth/1.png"
    with pytest.raises(DataError, match=r"truth\.json: no annotation for image 2"):
        truth.read(2)


# ---- lenient: what is left out is counted, and the rest counts as if it had been right ---------------------------


def expected_scores(found, true):
    """Of maps by image: what is counted when only these are."""
    counts = PanopticCounts.empty(CATEGORIES)
    for image_id, predicted in found.items():
        counts = counts.add(predicted, true[image_id])
    return counts.scores()


def void(panoptic, *segment_ids):
    """The same map without these segments."""
    ids = np.where(np.isin(panoptic.ids, segment_ids), np.uint32(0), panoptic.ids)
    kept = {s.id: s.category_id for s in panoptic.segments if s.id not in segment_ids}
    return PanopticMap.from_labels(ids, kept, CATEGORIES)


def only_first(maps):
    return {1: maps[1]}


def without_cat(maps):
    return {**maps, 1: void(maps[1], 300)}


def without_second(maps):
    return {**maps, "b": void(maps["b"], 70001)}


def same(maps):
    return maps


@pytest.mark.parametrize(
    ("mistake", "kinds", "cleaned", "first"),
    [
        (drop_image, {"images without a prediction": 1}, only_first, "no prediction for image 'b'$"),
        (foreign_image, {"predictions of unknown images": 1}, same, "image 99 is not in"),
        (drop_segment, {"segments of a PNG that its JSON lacks": 1}, without_cat, "image 1: .*pixels of segment 300"),
        (extra_segment, {"segments without pixels": 1}, same, "image 1: .*segment 5 has no pixel in the map"),
        (foreign_category, {"segments of unknown categories": 1}, without_second, "image 'b': .*no category 12"),
        (
            no_category,
            {"malformed segments": 1, "segments of a PNG that its JSON lacks": 1},
            without_second,
            "integer category_id",
        ),
        (
            no_file_name,
            {"malformed annotations": 1, "images without a prediction": 1},
            only_first,
            "no usable file_name",
        ),
        (
            list_annotation,
            {"malformed annotations": 1, "images without a prediction": 1},
            only_first,
            "expected a dictionary, got a list",
        ),
    ],
)
def test_lenient_predictions(files, mistake, kinds, cleaned, first):
    folder, _, predicted = files
    changed = copy.deepcopy(predicted)
    mistake(changed)
    (folder / "found.json").write_text(json.dumps(changed))
    skips = Skips()
    assert evaluate(folder, skips) == expected_scores(cleaned(image_maps(1)), image_maps(0))
    assert skips.counts == kinds
    assert re.search(first, skips.lines()[0])


def test_lenient_truth(files):
    """Segments that one of the truth's files lacks are no truth; both files say where."""
    folder, truth, _ = files
    drop_segment(truth)
    extra_segment(truth)
    (folder / "truth.json").write_text(json.dumps(truth))
    skips = Skips()
    true = {**image_maps(0), 1: void(image_maps(0)[1], 300)}
    assert evaluate(folder, skips) == expected_scores(image_maps(1), true)
    assert skips.counts == {"segments without pixels": 1, "segments of a PNG that its JSON lacks": 1}
    assert "truth/1.png" in skips.firsts["segments without pixels"]


def test_scores_and_crowds_outlive_the_mending(files):
    folder, _, predicted = files
    annotation(predicted, 0)["segments_info"][0] |= {"score": 0.25, "iscrowd": 1}
    extra_segment(predicted)
    (folder / "found.json").write_text(json.dumps(predicted))
    lenient = CocoPanoptic.open(folder / "found.json", categories=CATEGORIES, skips=Skips()).read(1)
    assert [(s.score, s.iscrowd) for s in lenient.segments] == [(0.25, True), (None, False)]


def test_a_missing_png_is_no_prediction(files):
    folder, _, _ = files
    (folder / "found/b.png").unlink()
    skips = Skips()
    assert evaluate(folder, skips) == expected_scores(only_first(image_maps(1)), image_maps(0))
    assert skips.counts == {"images without a prediction": 1}
    with pytest.raises(DataError, match=r"image 'b': .*found/b\.png: cannot be read"):
        evaluate(folder)


@pytest.mark.parametrize("skips", [None, Skips()])
def test_what_stays_an_error(files, skips):
    folder, _, predicted = files
    repeated = copy.deepcopy(predicted)
    repeat_image(repeated)
    (folder / "found.json").write_text(json.dumps(repeated))
    with pytest.raises(DataError, match="two annotations are of image 1"):
        evaluate(folder, skips)
    twice = copy.deepcopy(predicted)
    annotation(twice, 0)["segments_info"] *= 2
    (folder / "found.json").write_text(json.dumps(twice))
    with pytest.raises(DataError, match=r"image 1: .*found/1\.png: two segments share the id 9"):
        evaluate(folder, skips)
    (folder / "found.json").write_text(json.dumps(predicted))
    png = folder / "found/1.png"
    png.write_bytes(png.read_bytes()[:40])
    with pytest.raises(DataError, match=r"image 1: .*found/1\.png: the PNG is damaged or cut off"):
        evaluate(folder, skips)


def test_comparable_images(files):
    folder, _, _ = files
    true, found = (CocoPanoptic.open(folder / f"{name}.json", None, CATEGORIES) for name in ("truth", "found"))
    assert comparable_images(found, true) == (1, "b")
    assert comparable_images(found, true, skips := Skips()) == (1, "b") and skips.counts == {}
