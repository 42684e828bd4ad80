"""Supervisely: what is written is what its programs expect, and is read again."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import zlib

import numpy as np
import pytest
from PIL import Image
from round_trips import HEIGHT, WIDTH, assert_same_masks, coco_tiny, shapes_truth
from supervisely_files import images

from thingstuff.data.formats import Source, WriteOptions, format_of
from thingstuff.data.formats.supervisely import SUPERVISELY
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops


@pytest.mark.parametrize("copy_images", [False, True])
def test_shapes_are_written_and_read_again(small_shapes, tmp_path, copy_images):
    written = shapes_truth(small_shapes)
    path = SUPERVISELY.write(written, tmp_path / "out", WriteOptions(copy_images))
    assert format_of("auto", path) is SUPERVISELY
    again = SUPERVISELY.read(Source(path, None if copy_images else written.image_root))
    assert_same_masks(again, written)
    assert again.image_root == (tmp_path / "out/ds0/img" if copy_images else written.image_root)


def test_real_polygons_and_crowds_are_written_and_read_again(tmp_path):
    written = coco_tiny()
    path = SUPERVISELY.write(written, tmp_path / "out", WriteOptions())
    assert_same_masks(SUPERVISELY.read(Source(path, written.image_root)), written)


def made(folder, *names, **changes):
    """One ring, a crowd, two boxes and a mask without a pixel in the first image."""
    ring = np.ones((HEIGHT, WIDTH), bool)
    ring[3:5, 3:5] = False
    full, empty = MaskCrops.from_bitmaps(np.stack([ring, ring & False])).to_rles()
    common = {"image_id": 0, "category_id": 2}
    notes = [
        {"id": 1, **common, "segmentation": full},
        {"id": 2, **common, "segmentation": full, "iscrowd": 1},
        {"id": 3, **common, "bbox": [1, 2, 3.5, 4]},
        {"id": 4, **common, "bbox": [1, 2, 3, 4]},
        {"id": 5, **common, "segmentation": empty},
    ]
    records = [{"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in enumerate(names)]
    categories = [{"id": 0, "name": "background"}, {"id": 2, "name": "cat", "color": [1, 2, 255]}]
    truth = SplitTruth("made", folder, categories, records, notes)
    return dataclasses.replace(truth, **changes)


def test_what_is_written(tmp_path, caplog):
    names = ("a.jpg", "ds0/b.jpg", "x/y/c.jpg")
    images(tmp_path / "photos", *names)
    folder = SUPERVISELY.write(made(tmp_path / "photos", *names), tmp_path / "out", WriteOptions(copy_images=True))
    assert "left out: 1 masks without a pixel, which supervisely cannot hold" in caplog.text
    meta = json.loads((folder / "meta.json").read_text())
    assert [each["title"] for each in meta["classes"]] == ["background", "cat"]
    assert meta["classes"][1] == {"title": "cat", "shape": "any", "color": "#0102ff"}
    record = json.loads((folder / "ds1/ann/a.jpg.json").read_text())  # since a folder of the images is ds0
    assert record["size"] == {"height": HEIGHT, "width": WIDTH}
    assert [each["geometryType"] for each in record["objects"]] == ["bitmap", "bitmap", "rectangle", "rectangle"]
    assert record["objects"][2]["points"]["exterior"] == [[1, 2], [4.5, 6]]
    assert record["objects"][3]["points"]["exterior"] == [[1, 2], [3, 5]]
    alpha = np.asarray(
        Image.open(io.BytesIO(zlib.decompress(base64.b64decode(record["objects"][0]["bitmap"]["data"]))))
    )
    assert alpha.sum() == HEIGHT * WIDTH - 4
    for name in ("ds1/img/a.jpg", "ds0/img/b.jpg", "x/datasets/y/img/c.jpg"):
        assert (folder / name).is_file()
    again = SUPERVISELY.read(Source(folder))
    assert sorted(image["file_name"] for image in again.images) == sorted(
        ["ds1/img/a.jpg", "ds0/img/b.jpg", "x/datasets/y/img/c.jpg"]
    )
    assert [note["iscrowd"] for note in again.annotations] == [0, 1, 0, 0]
    assert again.annotations[3]["segmentation"] == [[1, 2, 4, 2, 4, 6, 1, 6]]
    elsewhere = SUPERVISELY.read(Source(folder, tmp_path / "photos"))
    assert {image["file_name"] for image in elsewhere.images} == set(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["b/a.jpg", "b//a.jpg"], r"images\[1\] and made: images\[0\] are one file: keep one"),
        ([f"{'x' * 240}.jpg"], r"images\[0\]: its name is too long to have labels"),
    ],
)
def test_names_that_cannot_be_written_are_refused(tmp_path, names, message):
    with pytest.raises(DataError, match=message):
        SUPERVISELY.write(made(tmp_path, *names), tmp_path / "out", WriteOptions())


def test_a_box_that_is_none_is_refused(tmp_path):
    notes = [{"id": 1, "image_id": 0, "category_id": 2, "bbox": [1, 2, float("nan"), 4]}]
    with pytest.raises(DataError, match=r"made: annotations\[0\]: expected coordinates in pixels, got nan"):
        SUPERVISELY.write(made(tmp_path, "a.jpg", annotations=notes), tmp_path / "out", WriteOptions())
