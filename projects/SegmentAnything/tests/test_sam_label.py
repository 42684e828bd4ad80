"""Marked objects, or a grid of points, become COCO's instances JSON, valid for the data set checks."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from sam_cases import WrittenNetwork, picture
from sam_masks.boxes_file import read_boxes
from sam_masks.everything import GridOptions
from sam_masks.label import Work, everything_work, label_images, marked_work
from sam_masks.objects import Marked, prompts_of
from sam_masks.partial import Partial
from sam_masks.points_file import read_points
from sam_masks.segmenter import MaskOptions, Segmenter

from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops

SIDE = 40


def square(*box):
    logits = np.full((1, SIDE, SIDE), -5.0, np.float32)
    if box:
        logits[0, box[1] : box[3], box[0] : box[2]] = 5.0
    return logits


def segmenter(*boxes, ious=None):
    """One that answers prompt n of the first image with the n-th box, and so on from the first for the next image."""
    network = WrittenNetwork([square(*box) for box in boxes], [[iou] for iou in ious or [1.0] * len(boxes)], SIDE)
    return Segmenter(network, MaskOptions(batch=2)), network


def label_marked(asker, marked, folder):
    return label_images(marked_work(asker, marked, folder), Partial(folder / "labels.json", "these"))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for number, name in enumerate(("a.png", "street/b.png")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(SIDE, SIDE, number)).save(path)
    return folder


def boxes_file(folder, notes, **other):
    content = {
        "images": [{"id": 3, "file_name": "a.png", "license": 1}, {"id": 8, "file_name": "street/b.png"}],
        "categories": [{"id": 2, "name": "dog", "supercategory": "animal"}, {"id": 5, "name": "cat"}],
        "annotations": notes,
    }
    path = folder / "boxes.json"
    path.write_text(json.dumps(content | other))
    return path


def note(number, image_id, category_id, bbox, **other):
    return {"id": number, "image_id": image_id, "category_id": category_id, "bbox": bbox, **other}


def points_file(folder, rows, name="points.csv", header="image,class,x,y,label,object"):
    path = folder / name
    if path.suffix == ".json":
        path.write_text(json.dumps([dict(zip(header.split(","), row, strict=False)) for row in rows]))
        return path
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


# ---- boxes ---------------------------------------------------------------------------------------------------------


def test_each_box_becomes_a_mask_under_its_own_id(photos, tmp_path, run_tool):
    notes = [note(11, 3, 5, [1, 2, 10, 12]), note(12, 3, 2, [20, 20, 9, 9]), note(13, 8, 2, [0, 0, 8, 8])]
    marked = read_boxes(boxes_file(tmp_path, notes))
    asker, network = segmenter((2, 3, 9, 13), (21, 20, 29, 28))
    labels = label_marked(asker, marked, photos)
    assert [a["id"] for a in labels.annotations] == [11, 12, 13]
    assert [(a["image_id"], a["category_id"]) for a in labels.annotations] == [(3, 5), (3, 2), (8, 2)]
    assert [a["bbox"] for a in labels.annotations] == [[2, 3, 7, 10], [21, 20, 8, 8], [2, 3, 7, 10]]
    assert [a["area"] for a in labels.annotations] == [70, 64, 70]
    assert [a["predicted_iou"] for a in labels.annotations] == [1, 1, 1]
    assert labels.images[0] == {"id": 3, "file_name": "a.png", "license": 1, "width": SIDE, "height": SIDE}
    assert labels.categories[0] == {"id": 2, "name": "dog", "supercategory": "animal"}
    assert network.encoded == 2
    assert network.asked[0][0].boxes_xyxy.tolist() == [[1, 2, 11, 14], [20, 20, 29, 29]]
    labels.write(tmp_path / "labels.json")
    content = json.loads((tmp_path / "labels.json").read_text())
    masks = MaskCrops.from_coco([a["segmentation"] for a in content["annotations"]], SIDE, SIDE)
    assert masks.boxes_xyxy.tolist() == [[2, 3, 9, 13], [21, 20, 29, 28], [2, 3, 9, 13]]
    code, out, error = run_tool("dataset", "check", tmp_path / "labels.json", "--images", photos)
    assert code == 0, out + error


def test_crowds_and_empty_answers_are_left_out(photos, tmp_path):
    notes = [note(1, 3, 5, [1, 2, 10, 12], iscrowd=1), note(2, 3, 2, [20, 20, 9, 9]), note(3, 3, 2, [0, 0, 8, 8])]
    marked = read_boxes(boxes_file(tmp_path, notes))
    assert marked.notes == ("1 crowds are left out: a box of many objects says nothing of one",)
    labels = label_marked(segmenter((), (1, 1, 5, 5))[0], marked, photos)
    assert ([a["id"] for a in labels.annotations], labels.empty) == ([3], 1)
    assert len(labels.images) == 2


def test_annotations_without_ids_are_numbered(photos, tmp_path):
    notes = [note(None, 3, 5, [1, 2, 10, 12]), note(9, 8, 2, [0, 0, 8, 8])]
    labels = label_marked(segmenter((1, 1, 5, 5))[0], read_boxes(boxes_file(tmp_path, notes)), photos)
    assert [a["id"] for a in labels.annotations] == [1, 2]


def test_boxes_are_cut_off_at_the_edges(photos, tmp_path):
    asker, network = segmenter((1, 1, 5, 5))
    label_marked(asker, read_boxes(boxes_file(tmp_path, [note(1, 3, 5, [-4, 30, 10, 99])])), photos)
    assert network.asked[0][0].boxes_xyxy.tolist() == [[0, 30, 6, 40]]


@pytest.mark.parametrize(
    ("notes", "other", "said"),
    [
        ([note(1, 4, 5, [1, 2, 3, 4])], {}, r"annotations\[0\]: image_id 4 is none of the file's"),
        ([note(1, 3, 9, [1, 2, 3, 4])], {}, r"annotations\[0\]: category_id 9 is none of the file's"),
        ([note(1, 3, [5], [1, 2, 3, 4])], {}, r"category_id \[5\] is none"),
        ([note(1, 3, 5, [1, 2, 3])], {}, "bbox: expected x, y, width, height"),
        ([note(1, 3, 5, None)], {}, "bbox: expected x, y, width, height"),
        ([note(1, 3, 5, [1, 2, "w", 4])], {}, "bbox: expected a number, got 'w'"),
        ([note(1, 3, 5, [1, 2, 0, 4])], {}, "a width and a height above 0, got 0 and 4"),
        ([note(1, 3, 5, [1, 2, float("nan"), 4])], {}, "bbox: expected a number, got 'nan'"),
        ([note(1, 3, 5, [40, 2, 9, 9])], {}, r"annotations\[0\]: the box .* 40, 2, 49, 11 is outside .* 40 x 40"),
        ([], {"images": [{"id": 1}]}, r"images\[0\]: expected id and file_name"),
        ([], {"categories": [{"name": "x"}]}, r"categories\[0\]: expected id and name"),
        ([], {"images": [{"id": 1, "file_name": "a.png"}] * 2}, "two images have one id"),
        ([], {"images": [{"id": 1, "file_name": "c.png"}]}, "there is no image c.png in .*photos"),
        (
            [],
            {"images": [{"id": 1, "file_name": "a.png", "width": 41}]},
            "a.png is 40 x 40, but its record says 41 x 40",
        ),
        ([], {"annotations": None}, "expected a list of 'annotations'"),
    ],
)
def test_boxes_that_cannot_be_labelled_are_refused(photos, tmp_path, notes, other, said):
    with pytest.raises(DataError, match=said):
        label_marked(segmenter((1, 1, 5, 5))[0], read_boxes(boxes_file(tmp_path, notes, **other)), photos)


# ---- points --------------------------------------------------------------------------------------------------------

ROWS = [
    ["street/b.png", "dog", 10, 20.5, 1, "one"],
    ["a.png", "cat", 5, 6, 1, ""],
    ["street/b.png", "dog", 30, 31, 0, "one"],
    ["a.png", "dog", 7, 8, 1, ""],
    ["street/b.png", "dog", 1, 2, 1, "two"],
]


@pytest.mark.parametrize("name", ["points.csv", "points.json"])
def test_points_of_one_object_go_together(photos, tmp_path, name):
    marked = read_points(points_file(tmp_path, ROWS, name))
    assert [(i["id"], i["file_name"]) for i in marked.images] == [(1, "street/b.png"), (2, "a.png")]
    assert marked.categories == [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    assert [m.points for m in marked.objects[1]] == [((10, 20.5, 1), (30, 31, 0)), ((1, 2, 1),)]
    assert [(m.category_id, m.points) for m in marked.objects[2]] == [(2, ((5, 6, 1),)), (1, ((7, 8, 1),))]


def test_points_become_masks(photos, tmp_path, run_tool):
    marked = read_points(points_file(tmp_path, ROWS))
    asker, network = segmenter((2, 3, 9, 13), (21, 20, 29, 28), ious=[0.5, 0.75])
    labels = label_marked(asker, marked, photos)
    assert [(a["id"], a["image_id"], a["category_id"]) for a in labels.annotations] == [
        (1, 1, 1),
        (2, 1, 1),
        (3, 2, 2),
        (4, 2, 1),
    ]
    assert [a["predicted_iou"] for a in labels.annotations] == [0.5, 0.75, 0.5, 0.75]
    # two points and one point cannot be asked together without padding
    assert [prompts.points_xy.shape for prompts, _ in network.asked] == [(1, 2, 2), (1, 1, 2), (2, 1, 2)]
    assert network.asked[0][0].labels.tolist() == [[1, 0]]
    assert network.encoded == 2
    labels.write(tmp_path / "labels.json")
    code, out, error = run_tool("dataset", "check", tmp_path / "labels.json", "--images", photos)
    assert code == 0, out + error


def test_answers_come_back_in_the_order_of_the_objects():
    one, two = ((1.0, 1.0, 1),), ((1.0, 1.0, 1), (2.0, 2.0, 0))
    groups = prompts_of([Marked(1, "", points=p) for p in (one, two, one, two)], SIDE, SIDE)
    assert [(numbers, len(prompts)) for numbers, prompts in groups] == [([0, 2], 2), ([1, 3], 2)]


def test_the_column_of_objects_may_be_missing(tmp_path):
    marked = read_points(points_file(tmp_path, [r[:5] for r in ROWS[1:2] * 2], header="image,class,x,y,label"))
    assert len(marked.objects[1]) == 2


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "has no points"),
        ([["a.png", "cat", 5, 6, 2, ""]], "line 2: label: expected 1 inside of the object or 0 outside, got '2'"),
        ([["a.png", "cat", 5, 6, 0, ""]], "line 2: an object needs a point inside of it, with the label 1"),
        ([["a.png", "cat", "x", 6, 1, ""]], "line 2: x: expected a number, got 'x'"),
        ([["a.png", "cat", 5, "inf", 1, ""]], "line 2: y: expected a number, got 'inf'"),
        ([["a.png", "cat", 5, "", 1, ""]], "line 2: expected image, class, x, y, label, but there is no y"),
        ([["a.png", "cat", 5, 41, 1, ""]], "line 2: the point 5, 41 is outside of the image, which is 40 x 40"),
        ([["a.png", "cat", -1, 4, 1, ""]], "line 2: the point -1, 4 is outside"),
        ([["c.png", "cat", 5, 6, 1, ""]], "there is no image c.png"),
        ([["../a.png", "cat", 5, 6, 1, ""]], "line 2: image '../a.png': expected a path below the folder"),
        ([["/a.png", "cat", 5, 6, 1, ""]], "line 2: image '/a.png': expected a path below the folder"),
    ],
)
def test_points_that_cannot_be_labelled_are_refused(photos, tmp_path, rows, said):
    with pytest.raises(DataError, match=said):
        label_marked(segmenter((1, 1, 5, 5))[0], read_points(points_file(tmp_path, rows)), photos)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.csv", "picture,x,y\n", "expected a first line with image,class,x,y,label, got 'picture,x,y'"),
        ("p.csv", "", "expected a first line with image,class,x,y,label, got ''"),
        ("p.csv", 'image,class,x,y,label\n"a.png,cat,1,2,1\n', "no CSV"),
        ("p.csv", b"image,class,x,y,label\n\xff.png,cat,1,2,1\n", "not a text in UTF-8"),
        ("p.json", "{}", "expected a list of points"),
        ("p.json", "[1]", "expected a list of points"),
        ("p.json", "[", "not JSON"),
        (
            "p.json",
            '[{"image": 3, "class": "a", "x": 1, "y": 2, "label": 1}]',
            "point 1: image: expected a text, got 3",
        ),
        ("p.json", '[{"image": "a", "class": "a", "x": true, "y": 2, "label": 1}]', "point 1: x: expected a number"),
        ("p.json", '[{"image": "a", "class": "a", "x": 1, "y": 2, "label": true}]', "point 1: label: expected 1"),
    ],
)
def test_files_that_hold_no_points_are_refused(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=said):
        read_points(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    for read in (read_points, read_boxes):
        for name in ("p.csv", "p.json"):
            with pytest.raises(DataError, match="cannot be read: No such file"):
                read(tmp_path / name)


# ---- everything ----------------------------------------------------------------------------------------------------


def test_everything_is_of_the_class_object(photos, tmp_path, run_tool):
    asker, _ = segmenter((1, 1, 10, 10), (20, 5, 30, 30), (2, 30, 9, 39), (), ious=[0.9, 0.95, 0.3, 1.0])
    work = everything_work(asker, ["a.png", "street/b.png"], photos, GridOptions(points_per_side=2))
    labels = label_images(work, Partial(tmp_path / "labels.json", "these"))
    assert [i["file_name"] for i in labels.images] == ["a.png", "street/b.png"]
    assert labels.categories == [{"id": 1, "name": "object"}]
    first = [a for a in labels.annotations if a["image_id"] == 1]
    assert [a["bbox"] for a in first] == [[20, 5, 10, 25], [1, 1, 9, 9]]
    assert [a["predicted_iou"] for a in first] == [np.float32(0.95), np.float32(0.9)]
    assert [a["stability_score"] for a in first] == [1, 1]
    assert [a["id"] for a in labels.annotations] == [1, 2, 3, 4]
    labels.write(tmp_path / "labels.json")
    code, out, error = run_tool("dataset", "check", tmp_path / "labels.json", "--images", photos)
    assert code == 0, out + error


# ---- a run that stops ----------------------------------------------------------------------------------------------


class Stops:
    """Labels with one box an image, and stops at an image as often as it is told."""

    def __init__(self, at=None):
        self.at, self.seen = at, []

    def __call__(self, record, pixels):
        self.seen.append(record["file_name"])
        if record["file_name"] == self.at:
            self.at = None
            raise KeyboardInterrupt
        return [{"id": None, "image_id": record["id"], "category_id": 1, "area": 4, "bbox": [0, 0, 2, 2]}]


def work_of(label, photos):
    records = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "street/b.png"}]
    return Work(records, [{"id": 1, "name": "object"}], photos, label)


def test_a_stopped_run_goes_on_behind_its_last_image(photos, tmp_path):
    target, label = tmp_path / "labels.json", Stops("street/b.png")
    with pytest.raises(KeyboardInterrupt):
        label_images(work_of(label, photos), Partial(target, "these"))
    labels = label_images(work_of(label, photos), Partial(target, "these"))
    assert label.seen == ["a.png", "street/b.png", "street/b.png"]
    assert labels.already_there == 1
    at_once = label_images(work_of(Stops(), photos), Partial(tmp_path / "other.json", "these"))
    assert (labels.images, labels.annotations) == (at_once.images, at_once.annotations)
    assert [a["id"] for a in labels.annotations] == [1, 2]


def test_another_labelling_begins_anew(photos, tmp_path):
    label_images(work_of(Stops(), photos), Partial(tmp_path / "labels.json", "these"))
    label = Stops()
    labels = label_images(work_of(label, photos), Partial(tmp_path / "labels.json", "others"))
    assert (len(label.seen), labels.already_there) == (2, 0)


def test_a_torn_line_is_labelled_again_at_every_length(photos, tmp_path):
    target = tmp_path / "labels.json"
    whole = label_images(work_of(Stops(), photos), Partial(target, "these"))
    path = Partial(target, "these").path
    content = path.read_bytes()
    ends = [n + 1 for n, byte in enumerate(content) if byte == ord("\n")]
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        label = Stops()
        labels = label_images(work_of(label, photos), Partial(target, "these"))
        assert (labels.images, labels.annotations) == (whole.images, whole.annotations)
        assert len(label.seen) == 2 - max(0, sum(end <= length for end in ends) - 1)
        assert path.read_bytes() == content
