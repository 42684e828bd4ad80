"""COCO -> every format that can be written -> COCO: the same images, categories, instances and pixels.

What a format cannot hold is named here: LVIS, masks of ids, VOC, YOLO, Label Studio and folders of masks have no
crowds; masks of ids, VOC and Cityscapes have one instance a pixel; masks of ids and Cityscapes no category ids that 16
bits cannot hold beside the number of the instance; and Cityscapes has one crowd of a category in an image.
"""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import SHARED

from thingstuff.data.convert import convert
from thingstuff.data.formats import FORMATS, Source, WriteOptions
from thingstuff.data.open_data import open_data
from thingstuff.structures import MaskCrops, PanopticMap

WITH_CROWDS = ("coco", "cvat", "fiftyone", "labelme", "supervisely", "via")
WITHOUT_CROWDS = ("id_masks", "lvis", "mask_folders", "voc", "yolo", "label_studio")
WITHOUT_OVERLAPS = ("id_masks", "voc", "cityscapes")
TINY = SHARED / "real/coco_tiny"


@pytest.fixture(params=["shapes", "coco_tiny"])
def coco(request, small_shapes):
    """A split's instances, read from COCO."""
    if request.param == "shapes":
        return _read_coco(small_shapes / "annotations/instances_val.json", small_shapes / "val")
    if not TINY.is_dir():
        pytest.skip("../shared/data/real/coco_tiny is not there")
    whole = _read_coco(TINY / "annotations/instances_val2017.json", TINY / "val2017")
    crowded = {note["image_id"] for note in whole.annotations if note["iscrowd"]}
    images = sorted(whole.images, key=lambda image: image["id"] not in crowded)
    return _first_images(replace(whole, images=images), 16)


@pytest.fixture(scope="module")
def shapes(small_shapes):
    """The embedded data set's stuff and panoptic truth."""
    annotations, root = small_shapes / "annotations", small_shapes / "val"
    labels = {0: None, 1: "sky", 2: "grass", 3: "water", 4: "sand"}
    panoptic = Source(annotations / "panoptic_val.json", root, options={"folder": str(small_shapes / "panoptic_val")})
    semantic = Source(small_shapes / "stuff_val", root, options={"labels": labels})
    return SimpleNamespace(
        panoptic=FORMATS["coco_panoptic"].read(panoptic), stuff=FORMATS["semantic"].read(semantic), root=root
    )


# ---- instances ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copy_images", [False, True])
@pytest.mark.parametrize("name", [*WITH_CROWDS, "cityscapes"])
def test_every_pixel_and_every_crowd_comes_back(coco, name, copy_images, tmp_path):
    truth = coco if not copy_images else _first_images(coco, 5)
    if name in WITHOUT_OVERLAPS:
        truth = _with_small_ids(_with_single_crowds(_without_overlaps(truth)))
    again = _there_and_back(truth, name, tmp_path, copy_images)
    assert _masks(again) == _masks(truth)


@pytest.mark.parametrize("name", WITHOUT_CROWDS)
def test_every_pixel_but_those_of_crowds_comes_back(coco, name, tmp_path):
    truth = _without_crowds(coco)
    if name in WITHOUT_OVERLAPS:
        truth = _with_small_ids(_without_overlaps(truth))
    again = _there_and_back(truth, name, tmp_path)
    assert _masks(again) == _masks(truth)


@pytest.mark.parametrize("name", WITHOUT_CROWDS)
def test_crowds_are_left_out_where_there_are_none(coco, name, tmp_path):
    """And nothing else is, but where there is one instance a pixel, what lies below others."""
    truth = _with_small_ids(coco)
    crowds = sum(note["iscrowd"] for note in truth.annotations)
    again = _there_and_back(truth, name, tmp_path)
    assert not any(note["iscrowd"] for note in again.annotations)
    lost = len(truth.annotations) - crowds - len(again.annotations)
    assert lost == 0 or (name in WITHOUT_OVERLAPS and 0 < lost == _hidden(_without_crowds(truth)))


def test_category_ids_that_16_bits_cannot_hold_are_lost_in_masks_of_ids(coco, tmp_path):
    """The highest is 64, since 64 * 1000 + 999 < 65536: instances and pixels are the same, without categories."""
    highest = max(category["id"] for category in coco.categories)
    truth = _without_overlaps(_without_crowds(coco))
    again = _there_and_back(truth, "id_masks", tmp_path)
    names = {category["name"] for category in again.categories}
    assert names == ({"object"} if highest > 64 else {category["name"] for category in truth.categories})
    assert _masks(again, with_names=highest <= 64) == _masks(truth, with_names=highest <= 64)


@pytest.mark.parametrize("name", [*WITH_CROWDS, *WITHOUT_CROWDS, "cityscapes"])
def test_categories_have_their_names_and_colours_have_no_say(coco, name, tmp_path):
    """Formats of labels alone know no ids: they are numbered anew; those of COCO's kind and id_masks keep them."""
    truth = _with_small_ids(_first_images(coco, 3))
    again = _there_and_back(truth, name, tmp_path)
    used = {_name_of(truth, note) for note in truth.annotations}
    ids = {category["name"]: category["id"] for category in again.categories}
    assert used <= set(ids) | {_name_of(truth, note) for note in truth.annotations if note["iscrowd"]}
    if name in ("coco", "fiftyone", "id_masks", "lvis", "cityscapes"):
        assert ids == {category["name"]: category["id"] for category in truth.categories}


@pytest.mark.parametrize("tolerance_px", [0.0, 1.0])
def test_polygons_that_stand_for_masks_are_those_masks(coco, tolerance_px, tmp_path):
    """Masks as polygons: IoU 1 along the pixels' edges, whatever the size.

    With a tolerance of 1 px, 0.9 for masks of 400 pixels and more: a border of one pixel is 4 of 20 there in each
    direction at most, and the outline runs on both sides of it.
    """
    truth = _as_rle(_without_crowds(coco))
    options = WriteOptions(tolerance_px=tolerance_px)
    path = convert({"val": truth}, "labelme", tmp_path / "labelme", options).paths["val"]
    again = FORMATS["labelme"].read(Source(path, truth.image_root))
    pairs = [(_bitmap(truth, a), _bitmap(again, b)) for a, b in _in_order(truth, again)]
    pairs = [(a, b) for a, b in pairs if tolerance_px == 0 or a.sum() >= 400]
    assert len(again.annotations) == len(truth.annotations) and pairs
    worst = min((a & b).sum() / max(1, (a | b).sum()) if a.any() else 1 for a, b in pairs)
    assert worst >= (0.9 if tolerance_px else 1)


@pytest.mark.parametrize("name", [*WITH_CROWDS, *WITHOUT_CROWDS, "cityscapes"])
def test_the_command_does_the_same(run_tool, small_shapes, name, tmp_path):
    source = small_shapes / "annotations/instances_val.json"
    truth = _read_coco(source, small_shapes / "val")
    code, out, _ = run_tool("dataset", "convert", source, "--to", name, "--output", tmp_path / "out", "--copy-images")
    assert code == 0
    written = out.split()[-1]
    code, out, error = run_tool("dataset", "convert", written, "--to", "coco", "--output", tmp_path / "back")
    assert code == 0, error
    again = open_data(out.split()[-1]).splits["data"]
    assert len(again.images) == len(truth.images)
    wanted = _without_crowds(truth) if name in WITHOUT_CROWDS else truth
    if name not in WITHOUT_OVERLAPS:
        assert _masks(again) == _masks(wanted)
    assert len(again.annotations) == len(wanted.annotations) - _hidden(wanted) * (name in WITHOUT_OVERLAPS)


# ---- stuff and panoptic truth ------------------------------------------------------------------------------------


def test_label_maps_come_back(shapes, tmp_path):
    path = convert({"val": shapes.stuff}, "semantic", tmp_path / "out", WriteOptions()).paths["val"]
    again = FORMATS["semantic"].read(Source(path, shapes.root))
    assert again.categories == shapes.stuff.categories
    assert [i["file_name"] for i in again.images] == [i["file_name"] for i in shapes.stuff.images]
    for image in shapes.stuff.images:
        np.testing.assert_array_equal(_label_ids(again, image), _label_ids(shapes.stuff, image))


def test_panoptic_truth_comes_back(shapes, tmp_path):
    path = convert({"val": shapes.panoptic}, "coco_panoptic", tmp_path / "out", WriteOptions(copy_images=True)).paths[
        "val"
    ]
    again = FORMATS["coco_panoptic"].read(Source(path))
    assert again.image_root == path.parent / "images"
    assert (again.categories, again.images) == (shapes.panoptic.categories, shapes.panoptic.images)
    assert again.panoptic.annotations == shapes.panoptic.panoptic.annotations
    for one, other in zip(_panoptic_ids(again), _panoptic_ids(shapes.panoptic), strict=True):
        np.testing.assert_array_equal(one, other)


# ---- what is compared --------------------------------------------------------------------------------------------


def _read_coco(path, root):
    return FORMATS["coco"].read(Source(path, root))


def _there_and_back(truth, name, folder, copy_images=False):
    """Written as `name`, read, written as COCO, read again."""
    path = convert({"val": truth}, name, folder / name, WriteOptions(copy_images)).paths["val"]
    between = FORMATS[name].read(Source(path, None if copy_images else truth.image_root))
    return _read_coco(
        convert({"val": between}, "coco", folder / "back", WriteOptions()).paths["val"], between.image_root
    )


def _masks(truth, with_names=True):
    """For each image how often there is an instance of that category, kind and pixels."""
    found = {image["file_name"]: Counter() for image in truth.images}
    names = {image["id"]: image["file_name"] for image in truth.images}
    for note in truth.annotations:
        label = _name_of(truth, note) if with_names else ""
        found[names[note["image_id"]]][label, note["iscrowd"], _bitmap(truth, note).tobytes()] += 1
    return found


def _in_order(one, other):
    """The n-th annotation of an image in the one truth, with that in the other."""
    for image in one.images:
        there = next(each["id"] for each in other.images if each["file_name"] == image["file_name"])
        here = [note for note in one.annotations if note["image_id"] == image["id"]]
        yield from zip(here, [note for note in other.annotations if note["image_id"] == there], strict=True)


def _bitmap(truth, note):
    image = next(image for image in truth.images if image["id"] == note["image_id"])
    return MaskCrops.from_coco([note["segmentation"]], image["height"], image["width"]).bitmap(0).astype(bool)


def _name_of(truth, note):
    return next(c["name"] for c in truth.categories if c["id"] == note["category_id"])


def _label_ids(truth, image):
    """H x W category ids, -1 where there may be a thing, -2 where nobody knows."""
    image_id = next(one["id"] for one in truth.images if one["file_name"] == image["file_name"])
    meaning = dict.fromkeys(truth.stuff.void_labels, -2) | truth.stuff.label_ids
    table = np.array([-1 if meaning.get(label) is None else meaning[label] for label in range(256)])
    return table[truth.stuff.read(image_id)]


def _panoptic_ids(truth):
    from thingstuff.structures import Categories

    categories, files = Categories.from_coco(truth.categories), truth.panoptic
    for note in files.annotations:
        yield PanopticMap.read_coco(files.folder / note["file_name"], note["segments_info"], categories).ids


# ---- what is written ---------------------------------------------------------------------------------------------


def _first_images(truth, count):
    ids = {image["id"] for image in truth.images[:count]}
    notes = [note for note in truth.annotations if note["image_id"] in ids]
    return replace(truth, images=truth.images[:count], annotations=notes)


def _without_crowds(truth):
    return replace(truth, annotations=[note for note in truth.annotations if not note["iscrowd"]])


def _as_rle(truth):
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth.images}
    rles = [
        MaskCrops.from_coco([note["segmentation"]], *sizes[note["image_id"]]).to_rles()[0] for note in truth.annotations
    ]
    notes = [note | {"segmentation": one} for note, one in zip(truth.annotations, rles, strict=True)]
    return replace(truth, annotations=notes)


def _with_small_ids(truth):
    """At most 64 categories, of the ids 1 to 64, so that a mask of ids can hold them; those beyond share an id."""
    new = {category["id"]: number % 64 + 1 for number, category in enumerate(truth.categories)}
    categories = [category | {"id": new[category["id"]]} for category in truth.categories[:64]]
    notes = [note | {"category_id": new[note["category_id"]]} for note in truth.annotations]
    return replace(truth, categories=categories, annotations=notes)


def _without_overlaps(truth):
    """Only instances that share no pixel with those before, and have one."""
    kept, taken = [], {}
    for note in truth.annotations:
        mask = _bitmap(truth, note)
        if mask.any() and not (mask & taken.get(note["image_id"], False)).any():
            taken[note["image_id"]] = mask | taken.get(note["image_id"], False)
            kept.append(note)
    return replace(truth, annotations=kept)


def _with_single_crowds(truth):
    """Of the crowds of a category in an image only the first."""
    kept, seen = [], set()
    for note in truth.annotations:
        key = note["image_id"], note["category_id"]
        if not note["iscrowd"] or key not in seen:
            kept.append(note)
        seen |= {key} if note["iscrowd"] else set()
    return replace(truth, annotations=kept)


def _hidden(truth):
    """How many instances have no pixel that none of the later ones has."""
    hidden, taken = 0, {}
    for note in reversed(truth.annotations):
        mask, later = _bitmap(truth, note), taken.get(note["image_id"], False)
        hidden += not (mask & ~np.asarray(later)).any()
        taken[note["image_id"]] = mask | later
    return hidden
