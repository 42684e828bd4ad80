"""The export for FiftyOne: scores, masks and links, and nothing that a reader takes for truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from predicted_scenes import CATEGORIES, detections, full, stored, stuff_map
from pycocotools import mask as coco_mask

from thingstuff.data.formats import Source
from thingstuff.data.formats.fiftyone import FIFTYONE
from thingstuff.errors import DataError
from thingstuff.store import PredictedImage
from thingstuff.store.exports import EXPORTS, ExportOptions

HEIGHT, WIDTH = 24, 32


def exported(tmp_path, *images, **options):
    path = EXPORTS["fiftyone"](stored(tmp_path, *images), tmp_path / "out", ExportOptions(**options))
    assert path == tmp_path / "out/labels.json"
    return json.loads(path.read_text())


def photos(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def test_detections_have_their_scores_boxes_and_masks(tmp_path):
    images = [full("b/x.jpg", 0), full("a.jpg", 1)]
    content = exported(tmp_path, *images)
    assert [(one["id"], one["file_name"]) for one in content["images"]] == [(1, "a.jpg"), (2, "b/x.jpg")]
    assert all((one["height"], one["width"]) == (HEIGHT, WIDTH) for one in content["images"])
    kinds = {one["name"]: (one["id"], one["supercategory"]) for one in content["categories"]}
    assert kinds == {c.name: (c.id, "thing" if c.isthing else "stuff") for c in CATEGORIES.all}
    assert [note["id"] for note in content["annotations"]] == list(range(1, 7))
    for image_id, image in ((1, images[1]), (2, images[0])):
        found = image.detections
        notes = [note for note in content["annotations"] if note["image_id"] == image_id]
        assert [note["category_id"] for note in notes] == found.category_ids.tolist()
        assert [note["score"] for note in notes] == found.scores.tolist()
        for note, bitmap, (x0, y0, x1, y1) in zip(notes, found.masks.to_bitmaps(), found.boxes_xyxy, strict=True):
            np.testing.assert_array_equal(coco_mask.decode(note["segmentation"]), bitmap)
            assert note["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0])
            assert (note["area"], note["iscrowd"]) == (bitmap.sum(), 0)


def test_the_threshold_holds_and_stuff_comes_first_with_a_score(tmp_path):
    image = full("a.jpg", 0)
    thresh = float(np.median(image.detections.scores))
    notes = exported(tmp_path, image, score_thresh=thresh, include_stuff=True)["annotations"]
    stuff = [note for note in notes if note["category_id"] in [c.id for c in CATEGORIES.stuff]]
    assert notes[: len(stuff)] == stuff and {note["score"] for note in stuff} == {1.0}
    assert len(notes) - len(stuff) == (image.detections.scores >= thresh).sum()
    labels = {category.id: label for label, category in enumerate(CATEGORIES.stuff, 1)}
    for note in stuff:
        region = image.stuff_map == labels[note["category_id"]]
        np.testing.assert_array_equal(coco_mask.decode(note["segmentation"]), region)
        assert note["area"] == region.sum()


def test_boxes_alone(tmp_path):
    notes = exported(tmp_path, PredictedImage("a.jpg", HEIGHT, WIDTH, detections=detections(0, masks=False)))
    assert len(notes["annotations"]) == 3
    assert not any("segmentation" in note for note in notes["annotations"])


def test_images_are_linked(tmp_path):
    root = photos(tmp_path / "photos", "a.jpg", "b/x.jpg")
    exported(tmp_path, full("a.jpg", 0), full("b/x.jpg", 1), image_root=root)
    for name in ("a.jpg", "b/x.jpg"):
        assert (tmp_path / "out/data" / name).samefile(root / name)


def test_images_are_copied_where_there_are_no_links(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    exported(tmp_path, full("a.jpg", 0), image_root=photos(tmp_path / "photos", "a.jpg"))
    copy = tmp_path / "out/data/a.jpg"
    assert not copy.samefile(tmp_path / "photos/a.jpg") and copy.read_bytes() == b"a.jpg"


def test_a_second_export_replaces_its_links_and_never_an_image(tmp_path):
    root = photos(tmp_path / "photos", "a.jpg")
    store = stored(tmp_path, full("a.jpg", 0))
    for _ in range(2):
        EXPORTS["fiftyone"](store, tmp_path / "out", ExportOptions(image_root=root))
    other = photos(tmp_path / "other", "a.jpg")
    (other / "a.jpg").write_bytes(b"other")
    EXPORTS["fiftyone"](store, tmp_path / "out", ExportOptions(image_root=other))
    assert (root / "a.jpg").read_bytes() == b"a.jpg"
    assert (tmp_path / "out/data/a.jpg").read_bytes() == b"other"


def test_an_image_that_is_there_already_stays(tmp_path):
    """Where somebody exports into the folder that holds the images."""
    root = photos(tmp_path / "out/data", "a.jpg")
    EXPORTS["fiftyone"](stored(tmp_path, full("a.jpg", 0)), tmp_path / "out", ExportOptions(image_root=root))
    assert (root / "a.jpg").read_bytes() == b"a.jpg"


def test_frames_of_videos_are_left_out(tmp_path, caplog):
    root = photos(tmp_path / "photos", "a.jpg", "clip.mp4")
    content = exported(tmp_path, full("a.jpg", 0), full("clip.mp4/000012", 1), image_root=root)
    assert [one["file_name"] for one in content["images"]] == ["a.jpg"]
    assert {note["image_id"] for note in content["annotations"]} == {1}
    assert "left out: 1 entries that are no files in" in caplog.text


def test_an_image_that_cannot_be_put_there_is_named(tmp_path):
    root = photos(tmp_path / "photos", "a.jpg")
    (tmp_path / "out/data/a.jpg").mkdir(parents=True)
    with pytest.raises(DataError, match="data/a.jpg: the image cannot be put there: Is a directory"):
        exported(tmp_path, full("a.jpg", 0), image_root=root)


def test_the_folder_is_no_truth(tmp_path):
    """Neither refused nor left out are only those that somebody gave no score."""
    image = full("a.jpg", 0, stuff_map=stuff_map(3))
    content = exported(tmp_path, image, include_stuff=True, image_root=photos(tmp_path / "photos", "a.jpg"))
    count = len(content["annotations"])
    with pytest.raises(DataError, match=f"{count} predictions, which have a score"):
        FIFTYONE.read(Source(tmp_path / "out"))
    assert FIFTYONE.read(Source(tmp_path / "out", lenient=True)).annotations == []
    del content["annotations"][0]["score"]
    (tmp_path / "out/labels.json").write_text(json.dumps(content))
    truth = FIFTYONE.read(Source(tmp_path / "out", lenient=True))
    assert truth.annotations == content["annotations"][:1]
    assert (truth.image_root / truth.images[0]["file_name"]).read_bytes() == b"a.jpg"
