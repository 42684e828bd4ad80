"""Panoptic files: the JSON against images and categories, and the PNGs against the JSON."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import SHARED
from planted import added, found, the_only
from planted_stuff import GRASS, SKY, with_panoptic

from thingstuff.data.checks.panoptic import PANOPTIC
from thingstuff.data.truth import PanopticFiles, SplitTruth
from thingstuff.evaluation.json_file import read_json
from thingstuff.structures import ids_to_rgb, read_png, rgb_to_ids, write_png

PLACE = "panoptic_train.json: annotations[1]"


@pytest.fixture
def splits(tmp_path):
    return with_panoptic(tmp_path)


def changed(splits, number=1, **values):
    """With another annotation in the training split."""
    train = splits["train"]
    records = list(train.panoptic.annotations)
    records[number] = {**records[number], **values}
    return {**splits, "train": replace(train, panoptic=replace(train.panoptic, annotations=records))}


def infos(splits):
    return splits["train"].panoptic.annotations[1]["segments_info"]


def segment_changed(splits, number, **values):
    segments = list(infos(splits))
    segments[number] = {**segments[number], **values}
    return changed(splits, segments_info=segments)


def png(splits):
    return splits["train"].panoptic.folder / splits["train"].panoptic.annotations[1]["file_name"]


def repaint(splits, function):
    ids = rgb_to_ids(read_png(png(splits), "RGB"))
    write_png(png(splits), ids_to_rgb(function(ids.copy()).astype(np.uint32)))


def test_sound_files_have_none(splits):
    assert found(PANOPTIC, splits) == found(PANOPTIC, splits, is_quick=True) == []
    # segments of the second image: a person, a car, a crowd of cars, sky and grass
    assert [info["category_id"] for info in infos(splits)] == [3, 7, 7, SKY, GRASS]


def test_a_set_without_panoptic_files_has_none(splits):
    assert found(PANOPTIC, {name: replace(split, panoptic=None) for name, split in splits.items()}) == []


def test_published_files_have_none():
    folder = SHARED / "golden/panoptic_coco"
    if not folder.is_dir():
        pytest.skip("../shared/data/golden/panoptic_coco is absent")
    content = read_json(folder / "panoptic_examples.json")
    files = PanopticFiles(folder / "panoptic_examples.json", folder / "panoptic_examples", content["annotations"])
    categories, images = read_json(folder / "panoptic_coco_categories.json"), content["images"]
    truth = SplitTruth("examples", folder / "input_images", categories, images, panoptic=files)
    assert found(PANOPTIC, {"train": truth}) == []


@pytest.mark.parametrize("is_quick", [True, False])
def test_missing(splits, is_quick):
    png(splits).unlink()
    finding = the_only(PANOPTIC, splits, "panoptic-missing", is_quick)
    assert (finding.split, finding.place) == ("train", PLACE)
    assert finding.message == f"there is no file 'train_1.png' in {png(splits).parent}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../panoptic_val/val_1.png", "'../panoptic_val/val_1.png' leads out of the folder"),
        (None, "expected the name of a PNG as file_name, got None"),
        ([], "expected the name of a PNG as file_name, got []"),
        ("\ud800", "expected the name of a PNG"),
        ("TRAIN_1.png", "there is 'train_1.png', which differs in case alone"),
    ],
)
def test_names_that_lead_to_no_file(splits, name, message):
    finding = the_only(PANOPTIC, changed(splits, file_name=name), "panoptic-missing")
    assert message in finding.message


def test_a_missing_folder(splits):
    png(splits).parent.rename(png(splits).parent.with_name("elsewhere"))
    findings = found(PANOPTIC, splits)
    assert [f.code.name for f in findings] == ["panoptic-missing"] * 3
    assert findings[0].message.endswith("which is no folder")


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda _: b"", lambda _: b"GIF89a"])
def test_unreadable(splits, damage):
    png(splits).write_bytes(damage(png(splits).read_bytes()))
    finding = the_only(PANOPTIC, splits, "panoptic-unreadable")
    assert finding.place == PLACE and str(png(splits)) in finding.message
    assert found(PANOPTIC, splits, is_quick=True) == []


def test_another_kind_of_png(splits):
    write_png(png(splits), np.zeros((64, 40), np.uint8))
    assert "expected an 8-bit RGB PNG" in the_only(PANOPTIC, splits, "panoptic-unreadable").message


def test_other_size(splits):
    """A row of void more changes no segment."""
    repaint(splits, lambda ids: np.vstack([ids, np.zeros((1, 40))]))
    finding = the_only(PANOPTIC, splits, "panoptic-size")
    assert finding.place == PLACE
    assert finding.message == "train_1.png has 40 x 65 pixels (width x height), its image 40 x 64"


def test_unlisted_pixels(splits):
    """The one pixel of void."""

    def paint(ids):
        ids[0, 0] = 77
        return ids

    repaint(splits, paint)
    finding = the_only(PANOPTIC, splits, "panoptic-unlisted-pixels")
    assert finding.place == PLACE
    assert finding.message == "1 pixels of train_1.png are of segments that are not described: [77]"


def test_empty_segment_and_its_mend(splits):
    more = {"id": 77, "category_id": 7, "area": 5, "bbox": [0, 0, 5, 1], "iscrowd": 0}
    wrong = changed(splits, segments_info=[*infos(splits), more])
    finding = the_only(PANOPTIC, wrong, "panoptic-empty-segment")
    assert (finding.place, finding.message) == (PLACE, "segment 77 has no pixel in train_1.png")
    mended = PANOPTIC.mend(wrong["train"])
    assert mended.panoptic.annotations == splits["train"].panoptic.annotations
    assert not mended.panoptic.is_whole
    assert mended.notes == ("train.json: the segments of 1 panoptic maps are described as their pixels have them",)
    assert found(PANOPTIC, {**splits, "train": mended}) == []
    assert wrong["train"].panoptic.annotations[1]["segments_info"][-1] == more


@pytest.mark.parametrize(
    ("values", "stated"),
    [
        ({"area": 721}, "area 721 and box [2, 10, 18, 40]"),
        ({"area": None}, "area None and box [2, 10, 18, 40]"),
        ({"area": "720"}, "area '720' and box [2, 10, 18, 40]"),
        ({"bbox": [2, 10, 20, 40]}, "area 720 and box [2, 10, 20, 40]"),
        ({"bbox": [2, 10, 18]}, "area 720 and box [2, 10, 18]"),
        ({"bbox": [2, 10, 18, float("nan")]}, "area 720 and box [2, 10, 18, nan]"),
    ],
)
def test_area_and_box_and_their_mend(splits, values, stated):
    """The person, 18 x 40 pixels at (2, 10)."""
    wrong = segment_changed(splits, 0, **values)
    finding = the_only(PANOPTIC, wrong, "panoptic-area")
    assert finding.place == PLACE
    assert finding.message == f"segment 1: {stated} are stated, its pixels have 720 and [2, 10, 18, 40]"
    mended = PANOPTIC.mend(wrong["train"])
    assert mended.panoptic.annotations == splits["train"].panoptic.annotations


def test_a_box_that_counts_to_the_last_pixel_is_none(splits):
    assert found(PANOPTIC, segment_changed(splits, 0, bbox=[2, 10, 17, 39])) == []


def test_sound_files_are_mended_into_themselves(splits):
    assert PANOPTIC.mend(splits["train"]) is splits["train"]
    assert PANOPTIC.mend(replace(splits["train"], panoptic=None)).panoptic is None


@pytest.mark.parametrize("category_id", [99, None, "3", [], {}, -1])
def test_unknown_category(splits, category_id):
    finding = the_only(
        PANOPTIC, segment_changed(splits, 1, category_id=category_id), "panoptic-category", is_quick=True
    )
    assert finding.place == f"{PLACE}: segments_info[1]"
    assert finding.message == f"segment 2: no category has the id {category_id!r}"


def test_duplicate_segment(splits):
    wrong = changed(splits, segments_info=[*infos(splits), infos(splits)[1]])
    finding = the_only(PANOPTIC, wrong, "panoptic-duplicate-segment", is_quick=True)
    assert finding.place == f"{PLACE}: segments_info[5]"
    assert finding.message == "the id 2 is that of segments_info[1] already"
    the_only(PANOPTIC, wrong, "panoptic-duplicate-segment")


def test_annotation_of_no_image(splits):
    wrong = {**splits, "train": replace(splits["train"], images=splits["train"].images[::2])}
    finding = the_only(PANOPTIC, wrong, "panoptic-image", is_quick=True)
    assert (finding.place, finding.message) == (PLACE, "there is no image with the id 20")


def test_image_without_annotation(splits):
    train = added(splits["train"], "images", id=99, file_name="more.png", width=4, height=4)
    finding = the_only(PANOPTIC, {**splits, "train": train}, "panoptic-image", is_quick=True)
    assert (finding.place, finding.message) == ("train.json: images[3]", "image 99 has no panoptic annotation")


def test_two_annotations_of_an_image(splits):
    files = splits["train"].panoptic
    twice = replace(files, annotations=[*files.annotations, files.annotations[1]])
    finding = the_only(
        PANOPTIC, {**splits, "train": replace(splits["train"], panoptic=twice)}, "panoptic-image", is_quick=True
    )
    assert finding.place == "panoptic_train.json: annotations[3]"
    assert finding.message == "image 20 has an annotation already, number 1"


def test_stuff_in_several_segments(splits):
    """The sky is called grass; instances may well be several of a category."""
    finding = the_only(PANOPTIC, segment_changed(splits, 3, category_id=GRASS), "panoptic-isthing", is_quick=True)
    assert finding.place == PLACE
    assert finding.message == "the stuff category 51 has 2 segments, [4, 5], expected one"


@pytest.mark.parametrize("info", [None, 7, "x", [], {}, {"id": "1", "category_id": 3}, {"id": True, "category_id": 3}])
def test_segments_that_are_none(splits, info):
    wrong = changed(splits, segments_info=[*infos(splits), info])
    finding = the_only(PANOPTIC, wrong, "panoptic-record")
    assert finding.place == f"{PLACE}: segments_info[5]"
    assert "expected a segment with an id from 1 to 16777215 and a category_id" in finding.message
    assert PANOPTIC.mend(wrong["train"]) is wrong["train"]


@pytest.mark.parametrize("number", [0, -1, 256**3, 10**40])
def test_ids_that_no_png_can_hold(splits, number):
    wrong = changed(splits, segments_info=[*infos(splits), {"id": number, "category_id": 3}])
    the_only(PANOPTIC, wrong, "panoptic-record", is_quick=True)


@pytest.mark.parametrize("value", [None, 7, "x", {}, True])
def test_lists_of_segments_that_are_none(splits, value):
    assert the_only(PANOPTIC, changed(splits, segments_info=value), "panoptic-record").place == PLACE


def test_of_a_part_of_a_file_the_image_is_named(splits):
    """The numbers of its annotations are not those of the file."""
    png(splits).unlink()
    train = splits["train"]
    part = replace(train.panoptic, annotations=train.panoptic.annotations[1:], is_whole=False)
    wrong = replace(train, panoptic=part, images=train.images[1:])
    assert the_only(PANOPTIC, {"train": wrong}, "panoptic-missing").place == (
        "panoptic_train.json: the annotation of image 20"
    )


def values_of_any_kind(rng):
    return [None, True, -1, 1.5, float("nan"), "", "x", [], [[]], {}, {"id": 1}, 10**30][int(rng.integers(12))]


def test_records_of_any_kind_break_nothing(splits):
    rng = np.random.default_rng(4)
    for _ in range(300):
        wrong = changed(splits)
        records = wrong["train"].panoptic.annotations
        record = {**records[1], "segments_info": [dict(info) for info in infos(splits)]}
        where = [records, record, record["segments_info"], record["segments_info"][int(rng.integers(5))]]
        records[1] = record
        place = where[int(rng.integers(4))]
        key = int(rng.integers(len(place))) if isinstance(place, list) else list(place)[int(rng.integers(len(place)))]
        place[key] = values_of_any_kind(rng)
        for finding in found(PANOPTIC, wrong, is_quick=bool(rng.integers(2))):
            assert "\n" not in finding.message
        PANOPTIC.mend(wrong["train"])
