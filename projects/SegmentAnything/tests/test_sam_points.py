"""Points in a CSV or a JSON become masks in COCO's instances JSON, those of one object together."""

import csv
import json

import pytest
from label_cases import SIDE, label_marked, photos, segmenter
from sam_masks.boxes_file import read_boxes
from sam_masks.objects import Marked, prompts_of
from sam_masks.points_file import read_points

from thingstuff.errors import DataError

__all__ = ["photos"]


def points_file(folder, rows, name="points.csv", header="image,class,x,y,label,object"):
    path = folder / name
    if path.suffix == ".json":
        path.write_text(json.dumps([dict(zip(header.split(","), row, strict=False)) for row in rows]))
        return path
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


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
