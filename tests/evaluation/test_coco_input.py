"""What is refused before a number is computed: each message names the record and what is wrong with it."""

from __future__ import annotations

import copy
import json
import random
import re

import numpy as np
import pytest
from coco_scenes import box_rle, random_scene

from thingstuff.errors import DataError
from thingstuff.evaluation.coco_ap import CocoOptions, evaluate_coco
from thingstuff.evaluation.coco_input import CocoTruth, read_coco_input
from thingstuff.evaluation.rle_check import damaged_rles
from thingstuff.evaluation.skips import Skips
from thingstuff.structures import rle


def truth(**fields):
    annotation = {"id": 5, "image_id": 7, "category_id": 3, "bbox": [0, 0, 8, 8], "area": 64, "iscrowd": 0}
    annotation |= {"segmentation": [[0, 0, 8, 0, 8, 8, 0, 8]], **fields}
    return {
        "images": [{"id": 7, "height": 160, "width": 160}, {"id": 9, "height": 160, "width": 160}],
        "categories": [{"id": 3, "name": "a"}],
        "annotations": [annotation],
    }


def result(**fields):
    found = {"image_id": 7, "category_id": 3, "score": 0.5, "bbox": [0, 0, 8, 8], "segmentation": box_rle([0, 0, 8, 8])}
    return {**found, **fields}


def without(record, field):
    return {key: value for key, value in record.items() if key != field}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (result(image_id=8), r"results\[1\]: image_id 8 is not in the ground truth"),
        (result(category_id=1), r"results\[1\]: category_id 1 is not in the ground truth"),
        (without(result(), "image_id"), r"results\[1\]: has no 'image_id'"),
        (without(result(), "score"), r"results\[1\]: has no 'score'"),
        (result(score=float("nan")), r"results\[1\]: score nan is not a number"),
        (result(score="high"), r"results\[1\]: score 'high' is not a number"),
        ([1, 2], r"results\[1\]: expected a detection, got list"),
    ],
)
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_bad_result(bad, message, iou_type):
    with pytest.raises(DataError, match=message):
        read_coco_input(truth(), [result(), bad], iou_type)


@pytest.mark.parametrize(
    ("iou_type", "fields", "message"),
    [
        ("bbox", {"bbox": [0, 0, 8]}, "bbox must be 4 finite numbers"),
        ("bbox", {"bbox": [0, 0, 8, float("nan")]}, "bbox must be 4 finite numbers"),
        ("bbox", {"bbox": None}, "has no 'bbox'"),
        ("segm", {"segmentation": [[0, 0, 8, 0, 8, 8]]}, "segmentation must be compressed RLE"),
        ("segm", {"segmentation": {"size": [160, 160], "counts": [0, 25600]}}, "segmentation must be compressed RLE"),
        ("segm", {"segmentation": box_rle([0, 0, 8, 8], 100)}, r"\(100, 100\), but its image has \(160, 160\)"),
        (
            "keypoints",
            {"keypoints": [0] * 12},
            r"keypoints must be 51 numbers, 17 points as of COCO's person, got 12 \(4 points\): "
            "other numbers of points are not supported",
        ),
        ("keypoints", {"keypoints": [0] * 3}, r"17 points as of COCO's person, got 3 \(1 point\): other"),
        ("keypoints", {"keypoints": [0] * 50}, r"17 points as of COCO's person, got 50 \(no whole points\): other"),
        ("keypoints", {"keypoints": [float("nan")] * 51}, "keypoints must be 51 finite numbers"),
        ("keypoints", {"keypoints": "0" * 51}, "keypoints must be 51 finite numbers"),
    ],
)
def test_bad_shape_of_a_result(iou_type, fields, message):
    whole = truth(keypoints=[0] * 51)
    with pytest.raises(DataError, match=rf"results\[0\]: .*{message}"):
        read_coco_input(whole, [result(**fields)], iou_type)


@pytest.mark.parametrize(
    ("iou_type", "fields", "message"),
    [
        ("bbox", {"area": None}, "has no 'area'"),
        ("bbox", {"bbox": []}, "bbox must be 4 finite numbers"),
        ("bbox", {"bbox": "1234"}, "bbox must be 4 finite numbers"),
        ("segm", {"segmentation": [0, 0, 8, 0, 8, 8]}, "segmentation must be RLE or polygons of at least 3 points"),
        ("segm", {"segmentation": [[0, 0, 8, 0, 8, 8, 1]]}, "segmentation must be RLE or polygons"),
        ("segm", {"segmentation": [[0, 0, 8, 0, 8, float("nan")]]}, "segmentation must be RLE or polygons"),
        ("segm", {"segmentation": [[0, 0, 8, 0, 8, "8"]]}, "segmentation must be RLE or polygons"),
        (
            "segm",
            {"segmentation": {"size": [160, 160], "counts": [0, 8, 100]}},
            "is damaged: RLE: expected runs of 160",
        ),
        ("keypoints", {"keypoints": [0] * 51, "num_keypoints": "many"}, "num_keypoints must be 1 finite number"),
        ("keypoints", {"keypoints": [0] * 60}, r"17 points as of COCO's person, got 60 \(20 points\)"),
        ("segm", {"segmentation": []}, "segmentation must be RLE or polygons of at least 3 points"),
        ("segm", {"segmentation": [[0, 0, 8, 8]]}, "segmentation must be RLE or polygons of at least 3 points"),
        ("segm", {"segmentation": box_rle([0, 0, 8, 8], 100)}, r"\(100, 100\), but its image has \(160, 160\)"),
    ],
)
def test_bad_annotation(iou_type, fields, message):
    with pytest.raises(DataError, match=rf"ground truth: annotations\[0\] \(id 5\): .*{message}"):
        read_coco_input(truth(**fields), [], iou_type)


@pytest.mark.parametrize("key", ["images", "categories", "annotations"])
@pytest.mark.parametrize("skips", [None, Skips()])
def test_repeated_ids(key, skips):
    """An error even for a lenient reading: which of the two is meant?"""
    whole = truth()
    repeated = {**whole, key: [*whole[key], whole[key][0]]}
    place = rf"ground truth: {key}\[{len(whole[key])}\]"
    with pytest.raises(DataError, match=rf"{place}: two records share the \w+ id \d, the other is {key}\[0\]"):
        read_coco_input(repeated, [], "bbox", skips=skips)


def test_repeated_category_name():
    whole = truth()
    whole["categories"].append({"id": 4, "name": "a"})
    with pytest.raises(DataError, match=r"categories\[1\]: two records share the category name 'a'"):
        read_coco_input(whole, [], "bbox")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"id": "7"}, "image ids are of mixed types"),
        ({}, r"images\[2\]: has no id: image ids are missing"),
        ({"id": [1]}, r"images\[2\]: the image id must be a number or a text, got \[1\]"),
        ([1], r"images\[2\]: expected a dictionary, got list"),
        ({"id": 1, "height": "160", "width": 160}, r"images\[2\] \(id 1\): height and width must be whole numbers"),
        ({"id": 1, "height": 160, "width": float("nan")}, r"images\[2\] \(id 1\): height and width must be whole"),
    ],
)
def test_bad_images(image, message):
    whole = truth()
    whole["images"].append(image)
    with pytest.raises(DataError, match=message):
        read_coco_input(whole, [], "bbox")


def test_unknown_chosen_image():
    with pytest.raises(DataError, match="image_ids: 8 is no image of the ground truth"):
        read_coco_input(truth(), [], "bbox", image_ids=[7, 8])


def test_polygons_need_the_size_of_their_image():
    whole = truth()
    del whole["images"][0]["height"]
    with pytest.raises(DataError, match="its image has no height and width"):
        read_coco_input(whole, [], "segm")


def test_truth_of_unlisted_images_and_categories_is_left_out():
    whole = truth()
    whole["annotations"] += [{**whole["annotations"][0], "id": i, **other} for i, other in ((6, {"image_id": 1}),)]
    whole["annotations"] += [{**whole["annotations"][0], "id": 8, "category_id": 1}]
    data = read_coco_input(whole, [], "bbox")
    assert (len(data.truths), data.unlisted) == (1, 2)


def test_only_what_is_left_out_silently_is_unlisted():
    """Neither an image that was not chosen nor a malformed annotation."""
    whole = truth()
    first = whole["annotations"][0]
    whole["annotations"] += [{**first, "id": 6, "image_id": 1}, {**first, "id": 8, "image_id": 9, "area": None}]
    data = read_coco_input(whole, [], "bbox", image_ids=[9], skips=(skips := Skips()))
    assert (data.truths, data.unlisted, skips.counts) == ([], 1, {"malformed annotations": 1})
    read = CocoTruth.read(whole, "segm", Skips())
    assert (read.unlisted, read.with_filled_polygons().unlisted) == (1, 1)
    assert read_coco_input(read, [result()], "segm").unlisted == 1
    assert read_coco_input(truth(), [result()], "segm").unlisted == CocoTruth.read(truth(), "segm").unlisted == 0


def test_chosen_images_keep_their_records_only():
    data = read_coco_input(truth(), [result(), result(image_id=9)], "bbox", image_ids=[9])
    assert (len(data.images), len(data.truths), len(data.results)) == (1, 0, 1)


@pytest.mark.parametrize("skips", [None, Skips()])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        ("", r"the file is empty \(0 bytes\)"),
        ("{", "not JSON, or cut off"),
        (json.dumps([result()] * 3)[:200], "not JSON, or cut off"),
        ("[" * 100_000, "nested too deeply"),
        ("null", "expected a list of detections, got NoneType"),
        ("{}", "expected a list of detections, got dict"),
        (
            json.dumps({"annotations": [result()]}),
            "got a dictionary with 'annotations': COCO's results are the bare list",
        ),
        (
            json.dumps({**truth(), "annotations": [result()]}),
            "got a dictionary with 'annotations': COCO's results are the bare list",
        ),
        (
            json.dumps(truth()),
            r"expected a list of detections, but this is a ground truth, not results: were the two exchanged\?",
        ),
        (json.dumps({**truth(), "annotations": []}), "this is a ground truth, not results"),
    ],
)
def test_bad_results_file(tmp_path, content, message, skips):
    path = tmp_path / "found.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=rf"found\.json: .*{message}") as caught:
        read_coco_input(truth(), path, "bbox", skips=skips)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("skips", [None, Skips()])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"the file is empty \(0 bytes\)"),
        (json.dumps(truth())[:250], "not JSON, or cut off"),
        ("[]", "expected a dictionary of images, categories and annotations, got a list: are these the results?"),
        (
            json.dumps([result()]),
            "expected a dictionary of images, categories and annotations, but these are results, not a ground truth: "
            r"were the two exchanged\?",
        ),
        ("3", "no list of 'images'"),
        (json.dumps(without(truth(), "images")), "no list of 'images'"),
        (json.dumps({**truth(), "categories": [[3, "a"]]}), r"categories\[0\]: expected a dictionary, got list"),
        (json.dumps({**truth(), "annotations": {}}), "no list of 'annotations'"),
    ],
)
def test_bad_truth_file(tmp_path, content, message, skips):
    path = tmp_path / "truth.json"
    path.write_text(content)
    with pytest.raises(DataError, match=rf"truth\.json: .*{message}") as caught:
        read_coco_input(path, [], "bbox", skips=skips)
    assert "\n" not in str(caught.value)


def test_files_read_as_what_they_hold(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(truth()))
    (tmp_path / "found.json").write_text(json.dumps([result()]))
    from_files = read_coco_input(tmp_path / "truth.json", str(tmp_path / "found.json"), "segm")
    assert from_files == read_coco_input(truth(), [result()], "segm")


def test_an_annotation_that_is_no_dictionary():
    whole = truth()
    whole["annotations"].append([5])
    with pytest.raises(DataError, match=r"ground truth: annotations\[1\]: expected an annotation, got list"):
        read_coco_input(whole, [], "bbox")


# ---- ids that are not in the ground truth: what they may be ------------------------------------------------------


def many(ids):
    return {**truth(), "categories": [{"id": i, "name": f"c{i}"} for i in ids]}


@pytest.mark.parametrize(
    ("known", "found", "hint"),
    [
        ([1, 2, 3], [2, 1, 0], "category ids are counted from 0 here, the ground truth's start at 1"),
        ([1], [0], "category ids are counted from 0 here, the ground truth's start at 1"),
        ([1, 2, 3], [3, 2, 0], "is 0 the background?"),
        ([3, 4, 5], [2, 3], "each category id is one too small: the ground truth's start at 3"),
        ([3, 4, 5], [5, 6], "each category id is one too large: the ground truth's start at 3"),
        (
            [1001, 1002, 1003],
            [1, 2],
            "they look like places in a list, and the ground truth's category ids start at 1001",
        ),
        ([5], [1], "they look like places in a list, and the ground truth's category ids start at 5"),
        ([1, 5, 9, 30], [1, 2, 3], "they look like places in a list, and the ground truth's category ids have gaps"),
        ([1, 2, 3], ["2"], "the ground truth's ids are numbers, this one is a text"),
        (["a", "b"], [1], "the ground truth's ids are texts, this one is a number"),
        ([1, 2, 3], [77, 2], "were they made for other data?"),
    ],
)
def test_unknown_categories_carry_a_hint(known, found, hint):
    results = [result(category_id=i) for i in found]
    with pytest.raises(DataError, match=rf"category_id \S+ is not in the ground truth: {re.escape(hint)}") as caught:
        read_coco_input(many(known), results, "bbox")
    assert "\n" not in str(caught.value)


def test_unknown_images_carry_a_hint():
    whole = {**truth(), "images": [{"id": 1}, {"id": 2}], "annotations": []}
    with pytest.raises(DataError, match="image_id 0 is not in the ground truth: image ids are counted from 0 here"):
        read_coco_input(whole, [result(image_id=0), result(image_id=1)], "bbox")
    with pytest.raises(DataError, match="image_id '1' is not in .*: the ground truth's ids are numbers"):
        read_coco_input(whole, [result(image_id="1")], "bbox")
    with pytest.raises(DataError, match=r"results\[0\]: an id must be a number or a text, got \[1\]"):
        read_coco_input(whole, [result(image_id=[1])], "bbox")


# ---- lenient: what is left out is counted, and the rest counts as if it had never been there ---------------------


def cut(mask):
    return {**mask, "counts": mask["counts"][:-3]}


BAD_RESULTS = {
    "unknown image": ({"image_id": 1000}, "detections of unknown images", "image_id 1000 is not in"),
    "unknown category": ({"category_id": 1000}, "detections of unknown categories", "category_id 1000 is not in"),
    "NaN score": ({"score": float("nan")}, "detections without a usable score", "score nan is not a number"),
    "no score": ({"score": None}, "detections without a usable score", "has no 'score'"),
    "id is a list": ({"image_id": [1]}, "malformed detections", "an id must be a number or a text"),
    "other size": (
        {"segmentation": box_rle([0, 0, 8, 8], 100)},
        "masks of another size than their image",
        r"\(100, 100\)",
    ),
    "polygons": ({"segmentation": [[0, 0, 8, 0, 8, 8]]}, "malformed detections", "must be compressed RLE"),
    "cut RLE": ({"segmentation": cut(box_rle([0, 0, 8, 8]))}, "malformed detections", "segmentation is damaged: RLE"),
    "no RLE": ({"segmentation": None}, "malformed detections", "has no 'segmentation'"),
}


@pytest.mark.parametrize(("fields", "kind", "message"), BAD_RESULTS.values(), ids=BAD_RESULTS)
def test_bad_detections_are_left_out(fields, kind, message):
    whole, results = random_scene(3, "segm")
    bad = [*results[:4], {**results[4], **fields}, *results[4:9], {**results[0], **fields}, *results[9:]]
    before = copy.deepcopy(bad)
    with pytest.raises(DataError, match=rf"^results\[4\]: .*{message}"):
        read_coco_input(whole, bad, "segm")
    skips = Skips()
    found = evaluate_coco(whole, bad, "segm", CocoOptions(skips=skips))
    np.testing.assert_equal(found.numbers, evaluate_coco(whole, results, "segm").numbers)
    assert skips.counts == {kind: 2} and skips.firsts[kind].startswith("results[4]: ")
    np.testing.assert_equal(bad, before)


@pytest.mark.parametrize("iou_type", ["bbox", "segm", "keypoints"])
def test_all_kinds_at_once(iou_type):
    whole, results = random_scene(5, iou_type)
    bad = [[1, 2], *({**results[0], **f} for f, kind, _ in BAD_RESULTS.values() if "segmentation" not in f)]
    mixed = [record for pair in zip(results, bad * len(results), strict=False) for record in pair]
    skips = Skips()
    found = evaluate_coco(whole, mixed, iou_type, CocoOptions(skips=skips)).numbers
    np.testing.assert_equal(found, evaluate_coco(whole, results, iou_type).numbers)
    assert sum(skips.counts.values()) == len(mixed) - len(results)


def test_bad_annotations_are_left_out():
    whole, results = random_scene(3, "segm")
    first = whole["annotations"][0]
    ways = [{"segmentation": [[0, 0, 8]]}, {"area": None}, {"segmentation": box_rle([0, 0, 8, 8], 100)}]
    bad = [{**first, "id": 1000 + n, **way} for n, way in enumerate(ways)]
    skips = Skips()
    dirty = {**whole, "annotations": [[1], *bad, *whole["annotations"]]}
    found = evaluate_coco(dirty, results, "segm", CocoOptions(skips=skips))
    np.testing.assert_equal(found.numbers, evaluate_coco(whole, results, "segm").numbers)
    assert skips.counts == {"malformed annotations": 4}
    assert skips.firsts["malformed annotations"].startswith("ground truth: annotations[0]: expected an annotation")
    assert skips.lines()[0].startswith("left out: 4 x malformed annotations, the first: ground truth: ")


def test_nothing_is_noted_of_sound_data():
    skips = Skips()
    whole, results = random_scene(1, "segm")
    assert read_coco_input(whole, results, "segm", skips=skips) == read_coco_input(whole, results, "segm")
    assert skips.counts == {}


def test_the_first_kept_detection_decides_about_boxes_of_keypoints():
    whole, results = random_scene(2, "keypoints")
    bare = [without(r, "bbox") for r in results]
    skips = Skips()
    data = read_coco_input(whole, [{**results[0], "score": None}, *bare], "keypoints", skips=skips)
    assert data == read_coco_input(whole, bare, "keypoints")
    assert read_coco_input(whole, [bare[0], *results], "keypoints").results[1].keys() == data.results[0].keys()
    with pytest.raises(DataError, match=r"results\[1\]: has no 'bbox', but the first has"):
        read_coco_input(whole, [results[0], bare[0]], "keypoints")


# ---- damaged RLE strings -----------------------------------------------------------------------------------------


def damage(text, chance):
    ways = (
        lambda: "".join(chr(chance.randrange(48, 112)) for _ in range(chance.randrange(60))),
        lambda: "".join(chr(chance.randrange(1, 300)) for _ in range(chance.randrange(60))),
        lambda: text[: chance.randrange(len(text))],
        lambda: text + chr(chance.randrange(48, 112)),
        lambda: text,
        lambda: text.encode(),
        lambda: [0, 5, chance.randrange(160 * 160)],
    )
    return chance.choice(ways)()


def is_damaged(mask):
    try:
        return rle.decode(mask).shape != (160, 160)
    except DataError:
        return True


def test_random_damage_is_found():
    """As decoding tells, in whatever company a string comes."""
    chance = random.Random(0)
    sound = [box_rle([chance.randrange(80), chance.randrange(80), 1 + n, 80 - n]) for n in range(80)]
    for _ in range(300):
        masks = [{**m, "counts": damage(m["counts"], chance)} for m in chance.sample(sound, chance.randrange(1, 6))]
        expected = [row for row, mask in enumerate(masks) if is_damaged(mask)]
        assert sorted(damaged_rles(masks)) == expected, masks
    assert damaged_rles(sound * 20) == {}
    assert damaged_rles([]) == {}


def test_extreme_masks_are_sound():
    masks = [
        rle.encode(np.full(shape, value, np.uint8)) for shape in ((3, 5), (1, 1), (2000, 3000)) for value in (0, 1)
    ]
    masks += [rle.encode(np.random.default_rng(n).integers(0, 2, (40, 30)).astype(np.uint8)) for n in range(5)]
    for company in (masks, masks[::-1], *([mask] for mask in masks)):
        assert damaged_rles(company) == {}
    assert damaged_rles([{**masks[0], "size": [3, 6]}, masks[1]]) == {
        0: "RLE: expected runs of 3 x 6 = 18 pixels, got 15"
    }


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_damage_reaches_no_program(backend):
    """hotcoco counts such a mask as some other, and pycocotools may never come back."""
    whole, results = random_scene(0, "segm")
    chance = random.Random(1)
    for text in ("", "o", "n" * 40, "\0\0", "é", results[0]["segmentation"]["counts"][:-1]):
        place = chance.randrange(len(results))
        bad = {**results[place], "segmentation": {"size": [160, 160], "counts": text}}
        with pytest.raises(DataError, match=rf"results\[{place}\]: segmentation is damaged: RLE"):
            evaluate_coco(whole, [*results[:place], bad, *results[place + 1 :]], "segm", CocoOptions(backend))
