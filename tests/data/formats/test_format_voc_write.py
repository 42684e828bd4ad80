"""VOC's files as they are written: palettes, labelmap.txt, the list, and what they cannot hold."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from PIL import Image
from round_trips import assert_same_masks, first_images, masks_of, shapes_truth, without_crowds
from test_format_voc import COLORS, read

from thingstuff.data.formats import WriteOptions
from thingstuff.data.formats.voc import VOC
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops
from thingstuff.structures.png import png_kind, read_label_png, read_palette


def made(tmp_path, bitmaps, names=("cat",), ids=None, file_name="a.jpg"):
    """A split of one image; the n-th bitmap is of the n-th of `ids`, or all are of the first category."""
    owned = zip(ids or [5] * len(bitmaps), MaskCrops.from_bitmaps(bitmaps).to_rles(), strict=True)
    notes = [
        {"id": n, "image_id": 1, "category_id": own, "segmentation": rle, "iscrowd": 0}
        for n, (own, rle) in enumerate(owned, 1)
    ]
    height, width = bitmaps.shape[1:]
    (tmp_path / file_name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(tmp_path / file_name)
    images = [{"id": 1, "file_name": file_name, "width": width, "height": height}]
    categories = [{"id": 5 * n, "name": name} for n, name in enumerate(names, 1)]
    return SplitTruth("made.json", tmp_path, categories, images, notes)


def test_shapes_are_written_and_read_again(small_shapes, tmp_path):
    """The shapes lie on each other: what is drawn last has all of its pixels."""
    written = without_crowds(shapes_truth(small_shapes))
    path = VOC.write(written, tmp_path / "out", WriteOptions(copy_images=True))
    again = read(path, list="default")
    assert again.image_root == tmp_path / "out/JPEGImages"
    assert [c["name"] for c in again.categories] == [c["name"] for c in written.categories]
    assert len(again.images) == len(written.images)
    assert masks_of(again).keys() == masks_of(written).keys()
    for name, masks in masks_of(again).items():
        np.testing.assert_array_equal(masks[-1][2], masks_of(written)[name][-1][2])
        assert [mask[0] for mask in masks] == [mask[0] for mask in masks_of(written)[name]]
    assert_same_masks(read(path), again)
    assert_same_masks(read(VOC.write(again, tmp_path / "twice", WriteOptions(copy_images=True))), again)


def test_the_files_are_those_of_voc(tmp_path):
    bitmaps = np.zeros((2, 8, 9), bool)
    bitmaps[0, 1:3, 1:3] = bitmaps[1, 5:7, 5:7] = True
    truth = made(tmp_path, bitmaps, ("cat", "dog"), [10, 5], "night/b c.jpg")
    path = VOC.write(truth, tmp_path / "out", WriteOptions())
    assert (path / "labelmap.txt").read_text().splitlines() == [
        *("# label:color_rgb:parts:actions", "background:0,0,0::", "cat:128,0,0::", "dog:0,128,0::"),
    ]
    assert (path / "ImageSets/Segmentation/default.txt").read_text() == "night/b c\n"
    for folder, values in (("SegmentationObject", [0, 1, 2]), ("SegmentationClass", [0, 2, 1])):
        png = path / folder / "night/b c.png"
        assert png_kind(png) == "8-bit palette"
        np.testing.assert_array_equal(read_palette(png), COLORS)
        expected = values[1] * bitmaps[0] + values[2] * bitmaps[1]
        np.testing.assert_array_equal(read_label_png(png), expected)
        np.testing.assert_array_equal(np.array(Image.open(png)), expected)
        np.testing.assert_array_equal(np.array(Image.open(png).convert("RGB")), COLORS[expected])
    assert_same_masks(read(path, tmp_path), truth)


def test_names_that_differ_in_their_suffix_alone(tmp_path):
    bitmaps = np.ones((1, 4, 4), bool)
    first, second = made(tmp_path, bitmaps), made(tmp_path, bitmaps, file_name="a.png")
    images = [*first.images, {**second.images[0], "id": 2}]
    truth = SplitTruth("made.json", tmp_path, first.categories, images, first.annotations)
    again = read(VOC.write(truth, tmp_path / "out", WriteOptions(copy_images=True)))
    assert_same_masks(again, truth)


def test_what_voc_cannot_hold_is_logged(tmp_path, caplog):
    bitmaps = np.zeros((3, 8, 9), bool)
    bitmaps[0, 1:3, 1:3] = bitmaps[1, 0:4, 0:4] = bitmaps[2, 3:6, 3:6] = True
    truth = made(tmp_path, bitmaps)
    truth.annotations.append({**truth.annotations[0], "iscrowd": 1})
    with caplog.at_level(logging.WARNING, "thingstuff"):
        path = VOC.write(truth, tmp_path / "out", WriteOptions())
    # four pixels of the first and one of the second
    assert "lost are 5 pixels below other objects, and 1 whole objects" in caplog.text
    assert "left out: 1 crowd regions, which voc cannot hold" in caplog.text
    again = read(path, tmp_path)
    np.testing.assert_array_equal(masks_of(again)["a.jpg"][0][2], bitmaps[1] & ~bitmaps[2])


def test_an_image_has_254_objects(tmp_path, caplog):
    bitmaps = np.eye(256, dtype=bool).reshape(256, 16, 16)
    with caplog.at_level(logging.WARNING, "thingstuff"):
        path = VOC.write(made(tmp_path, bitmaps), tmp_path / "out", WriteOptions())
    assert "left out: 2 objects beyond 254 in an image" in caplog.text
    again = read(path, tmp_path)
    assert [mask.argmax() for _, _, mask in masks_of(again)["a.jpg"]] == list(range(254))


@pytest.mark.parametrize("name", ["a:b", "#a", " a", "a\nb", "background", "\ud800", "x" * 1001])
def test_names_of_classes_that_no_labelmap_can_hold(tmp_path, name):
    with pytest.raises(DataError, match="made.json: the category .* cannot stand in a labelmap.txt: rename it"):
        VOC.write(made(tmp_path, np.ones((1, 4, 4), bool), (name,)), tmp_path / "out", WriteOptions())


def test_a_background_that_nothing_uses_is_no_class(tmp_path):
    truth = made(tmp_path, np.ones((1, 4, 4), bool), ("background", "cat"), [10])
    assert [c["name"] for c in read(VOC.write(truth, tmp_path / "out", WriteOptions()), tmp_path).categories] == ["cat"]


def test_classes_beyond_254_and_names_with_line_breaks(tmp_path, caplog):
    names = [f"class {n}" for n in range(255)]
    with pytest.raises(DataError, match="255 categories are more than the 254 that voc can hold"):
        VOC.write(made(tmp_path, np.ones((1, 4, 4), bool), names), tmp_path / "out", WriteOptions())
    with caplog.at_level(logging.WARNING, "thingstuff"):
        truth = made(tmp_path, np.ones((1, 4, 4), bool), file_name="a\nb.jpg")
        path = VOC.write(truth, tmp_path / "out", WriteOptions())
    assert "default.txt lacks 1 names with line breaks in them" in caplog.text
    assert len(read(path, tmp_path).images) == 1


def test_an_image_without_instances_stays(small_shapes, tmp_path):
    truth = first_images(without_crowds(shapes_truth(small_shapes)), 2)
    bare = SplitTruth(truth.name, truth.image_root, truth.categories, truth.images, [])
    again = read(VOC.write(bare, tmp_path / "out", WriteOptions()), truth.image_root)
    assert (len(again.images), again.annotations) == (2, [])
