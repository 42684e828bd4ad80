"""Boxes, or a grid of points, become COCO's instances JSON, valid for the data set checks."""

import json

import numpy as np
import pytest
from label_cases import SIDE, label_marked, photos, segmenter
from sam_masks.boxes_file import read_boxes
from sam_masks.everything import GridOptions
from sam_masks.label import Work, everything_work, label_images
from sam_masks.partial import Partial

from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops

__all__ = ["photos"]


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
