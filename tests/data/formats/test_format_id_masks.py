"""Masks of ids: values of every kind of PNG are instances, pairs are found by name, pictures are refused."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from mutated_json import mutated_files
from PIL import Image
from round_trips import (
    assert_measured,
    assert_survives,
    coco_tiny,
    first_images,
    iou,
    masks_of,
    mutated_bytes,
    shapes_truth,
    without_crowds,
)

from thingstuff.data.formats import Source, WriteOptions, format_of
from thingstuff.data.formats.id_masks import ID_MASKS
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category, MaskCrops, ids_to_rgb, write_png

IDS = np.zeros((8, 9), np.uint16)
IDS[1:3, 1:4] = 7
IDS[5:7, 6:9] = 7  # not connected, and yet the same
IDS[4:8, 0:2] = 200
IDS[0, 8] = 1


def write_set(root, ids=IDS, name="a", ending=".jpg", size=None):
    for folder in ("images", "masks"):
        (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size or ids.shape[::-1]).save(root / "images" / f"{name}{ending}")
    write_png(root / "masks" / f"{name}.png", ids)
    return root / "masks"


def read(path, images=None, categories=None, **options):
    return ID_MASKS.read(Source(path, images, categories, options))


def rle_masks(truth):
    return [MaskCrops.from_rles([note["segmentation"]], 8, 9).bitmap(0) for note in truth.annotations]


# values


@pytest.mark.parametrize("kind", ["grey8", "grey16", "RGB", "palette"])
def test_every_value_is_one_instance(tmp_path, kind):
    folder = write_set(tmp_path)
    if kind == "grey8":
        write_png(folder / "a.png", IDS.astype(np.uint8))
    if kind == "RGB":
        write_png(folder / "a.png", ids_to_rgb(IDS.astype(np.uint32) * 300))
    if kind == "palette":
        indexed = Image.fromarray(IDS.astype(np.uint8), "L")
        indexed.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
        indexed.save(folder / "a.png")
    truth = read(folder)
    for mask, value in zip(rle_masks(truth), [1, 7, 200], strict=True):
        np.testing.assert_array_equal(mask, value == IDS)
    assert_measured(truth)
    factor = 300 if kind == "RGB" else 1
    assert truth.annotation_places == [f"a.png: id {value * factor}" for value in (1, 7, 200)]
    assert truth.image_places == ["a.png"]
    assert truth.images == [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 8}]
    assert truth.categories == [{"id": 1, "name": "object"}]
    assert {note["category_id"] for note in truth.annotations} == {1}


def test_an_empty_mask_is_an_image_without_instances(tmp_path):
    truth = read(write_set(tmp_path, np.zeros((4, 5), np.uint8)))
    assert (len(truth.images), truth.annotations) == (1, [])


def test_the_one_category_can_be_declared(tmp_path):
    folder = write_set(tmp_path)
    truth = read(folder, categories=Categories((Category(9, "cell"),)))
    assert {note["category_id"] for note in truth.annotations} == {9}
    with pytest.raises(DataError, match="masks: 2 categories, and nothing tells them apart: say by which `divisor`"):
        read(folder, categories=Categories((Category(9, "cell"), Category(2, "x"))))


def test_with_a_divisor_values_tell_the_category(tmp_path):
    ids = np.zeros((3, 6), np.uint16)
    ids[0] = [0, 7, 24000, 24001, 26000, 65535]
    truth = read(write_set(tmp_path, ids), divisor=1000)
    assert [note["category_id"] for note in truth.annotations] == [24, 24, 26, 65]
    assert truth.categories == [{"id": n, "name": f"class_{n}"} for n in (24, 26, 65)]
    assert any("left out: 1 regions with values below the divisor 1000" in note for note in truth.notes)
    declared = Categories((Category(24, "person"), Category(26, "car")))
    truth = read(tmp_path / "masks", categories=declared, divisor=1000)
    assert [note["category_id"] for note in truth.annotations] == [24, 24, 26, 65]
    for wrong in (0, True, "1000", 1.5):
        with pytest.raises(DataError, match="divisor: expected a whole number above 1"):
            read(tmp_path / "masks", divisor=wrong)


def test_a_mask_of_another_size_keeps_its_own(tmp_path):
    truth = read(write_set(tmp_path, size=(30, 20)))
    assert (truth.images[0]["width"], truth.images[0]["height"]) == (30, 20)
    assert truth.annotations[0]["segmentation"]["size"] == [8, 9]


def test_a_picture_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    folder = write_set(tmp_path)
    write_png(folder / "a.png", noise)
    with pytest.raises(DataError, match=r"a\.png: \d+ different values, as in a photograph"):
        read(folder)
    Image.fromarray(noise).convert("RGBA").save(folder / "a.png")
    with pytest.raises(DataError, match="got 8-bit RGB with alpha"):
        read(folder)
    many = np.arange(1, 1601, dtype=np.uint16).repeat(12).reshape(160, 120)
    write_png(folder / "a.png", many)
    assert len(read(folder).annotations) == 1600


# pairs


def test_nested_names_are_paired_and_what_is_alone_is_named(tmp_path):
    for name in ("x/a", "x/b", "y/a"):
        write_set(tmp_path, name=name)
    Image.new("RGB", (3, 3)).save(tmp_path / "images/alone.jpg")
    write_png(tmp_path / "masks/lost.png", IDS)
    truth = read(tmp_path / "masks")
    assert [image["file_name"] for image in truth.images] == ["lost.jpg", "x/a.jpg", "x/b.jpg", "y/a.jpg"]
    assert (truth.images[0]["width"], truth.images[0]["height"]) == (9, 8)
    assert any("left out: 1 of the images" in note for note in truth.notes)


def test_ends_of_names_as_in_cityscapes(tmp_path):
    images, masks = tmp_path / "leftImg8bit/train/aachen", tmp_path / "gtFine/train/aachen"
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    Image.new("RGB", (9, 8)).save(images / "a_1_leftImg8bit.png")
    write_png(masks / "a_1_gtFine_instanceIds.png", IDS)
    write_png(masks / "a_1_gtFine_labelIds.png", IDS.astype(np.uint8))
    with pytest.raises(DataError, match="none of the masks has an image in .*: try `suffix: _instanceIds`"):
        read(tmp_path / "gtFine/train", tmp_path / "leftImg8bit/train")
    truth = read(
        tmp_path / "gtFine/train",
        tmp_path / "leftImg8bit/train",
        suffix="_gtFine_instanceIds",
        image_suffix="_leftImg8bit",
    )
    assert [image["file_name"] for image in truth.images] == ["aachen/a_1_leftImg8bit.png"]


def test_masks_among_their_images(tmp_path):
    Image.new("RGB", (9, 8)).save(tmp_path / "a.jpg")
    Image.new("RGB", (9, 8)).save(tmp_path / "b.png")
    for name in ("a_mask.png", "b_mask.png"):
        write_png(tmp_path / name, IDS)
    truth = read(tmp_path, suffix="_mask.png")
    assert [image["file_name"] for image in truth.images] == ["a.jpg", "b.png"]


def test_folders_that_cannot_be_paired_are_refused(tmp_path):
    folder = write_set(tmp_path)
    write_set(tmp_path, ending=".bmp")
    with pytest.raises(DataError, match=r"both a\.bmp and a\.jpg are called 'a'"):
        read(folder)
    with pytest.raises(DataError, match="there are no masks"):
        read(folder, suffix="_x")
    with pytest.raises(DataError, match="suffix: expected a text, got 3"):
        read(folder, suffix=3)
    with pytest.raises(DataError, match="expected a folder of masks"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read(folder, tmp_path / "nowhere")


def test_only_what_cannot_be_a_map_of_classes_is_recognised(tmp_path):
    assert format_of("auto", write_set(tmp_path / "16")).name == "id_masks"
    assert not ID_MASKS.recognises(write_set(tmp_path / "8", IDS.astype(np.uint8)))
    assert ID_MASKS.recognises(write_set(tmp_path / "named", IDS.astype(np.uint8), "a_instanceIds"))
    assert not ID_MASKS.recognises(tmp_path / "nowhere")


def test_damaged_files_are_refused_in_one_line_or_read(tmp_path):
    folder = write_set(tmp_path)
    sound = (folder / "a.png").read_bytes()
    assert_survives(lambda: read(folder), folder / "a.png", mutated_bytes(sound, 300))
    (folder / "a.png").write_bytes(sound)
    image = (tmp_path / "images/a.jpg").read_bytes()
    for data in mutated_bytes(image, 200):
        (tmp_path / "images/a.jpg").write_bytes(data)
        assert len(read(folder).annotations) == 3
    (tmp_path / "images/a.jpg").write_bytes(image)
    beside = {"categories": [{"id": 1, "name": "x"}], "divisor": 1000}
    assert_survives(lambda: read(folder), folder / "instances.json", mutated_files(beside, 200))


# writing


def test_shapes_are_written_and_read_again(small_shapes, tmp_path):
    written = without_crowds(shapes_truth(small_shapes))
    path = ID_MASKS.write(written, tmp_path / "out", WriteOptions(copy_images=True))
    assert path == tmp_path / "out/masks"
    again = read(path)
    assert again.image_root == tmp_path / "out/images"
    assert again.categories == written.categories
    assert_same_instances(again, written)
    plain = read(path, written.image_root, divisor=65535)  # asked for, and so it goes before what lies beside the masks
    assert plain.annotations == []


def assert_same_instances(read_again, written):
    """The values go by category, so the order is another."""
    got, expected = masks_of(read_again), masks_of(written)
    assert got.keys() == expected.keys()
    for name, masks in expected.items():
        assert len(got[name]) == len(masks)
        for category, _, mask in masks:
            (same,) = [other for one, _, other in got[name] if one == category and (other & mask).any()]
            np.testing.assert_array_equal(same, mask)


def test_real_instances_are_written_and_read_again(tmp_path, caplog):
    """80 categories with ids up to 90, which 16 bits do not hold; where instances overlap the later one is whole."""
    written = without_crowds(first_images(coco_tiny(), 30))
    with caplog.at_level(logging.WARNING, "thingstuff"):
        path = ID_MASKS.write(written, tmp_path / "out", WriteOptions())
    used = {note["category_id"] for note in written.annotations}
    assert ("the categories are lost" in caplog.text) == (max(used) > 64)
    assert "pixels below other instances" in caplog.text
    again = read(path, written.image_root)
    got, expected = masks_of(again), masks_of(written)
    assert got.keys() == expected.keys()
    for name, masks in expected.items():
        union = np.zeros_like(masks[0][2]) if masks else None
        for _, _, mask in reversed(masks):
            visible = mask & ~union
            union |= mask
            assert not visible.any() or max(iou(visible, other) for _, _, other in got[name]) == 1


def test_later_instances_lie_on_top_and_what_that_costs_is_logged(tmp_path, caplog):
    bitmaps = np.zeros((3, 8, 9), bool)
    bitmaps[0, 1:3, 1:3] = bitmaps[1, 0:4, 0:4] = bitmaps[2, 3:6, 3:6] = True
    notes = [
        {"id": n, "image_id": 1, "category_id": 4, "segmentation": rle}
        for n, rle in enumerate(MaskCrops.from_bitmaps(bitmaps).to_rles(), 1)
    ]
    notes.append({**notes[0], "iscrowd": 1})
    notes.append({"image_id": 1, "category_id": 4, "bbox": [1, 1, 2, 2]})
    image = {"id": 1, "file_name": "a.jpg", "width": 9, "height": 8}
    truth = SplitTruth("made", tmp_path, [{"id": 4, "name": "cell"}], [image], notes)
    Image.new("RGB", (9, 8)).save(tmp_path / "a.jpg")
    with caplog.at_level(logging.WARNING, "thingstuff"):
        path = ID_MASKS.write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    # four pixels of the first and one of the second
    assert "lost are 5 pixels below other instances, and 1 whole instances" in caplog.text
    assert "left out: 1 crowd regions" in caplog.text
    assert "left out: 1 boxes without a mask" in caplog.text
    again = read(path)
    assert again.categories == [{"id": 4, "name": "cell", "isthing": 1}]
    np.testing.assert_array_equal(rle_masks(again)[0], bitmaps[1] & ~bitmaps[2])
    np.testing.assert_array_equal(rle_masks(again)[1], bitmaps[2])
