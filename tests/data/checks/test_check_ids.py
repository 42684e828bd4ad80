"""Ids that clash, point to nothing or are none, and records that lack what the rest relies on."""

from dataclasses import replace

import pytest
from planted import CATEGORIES, REMOVED, added, changed, found, sound_splits, the_only

from thingstuff.data.checks.ids import IDS
from thingstuff.data.truth import PanopticFiles, StuffFiles

ROOT = {"id": 0, "name": "objects", "supercategory": "none"}


@pytest.fixture
def splits(tmp_path):
    return sound_splits(tmp_path)


def planted(splits, kind, number, **values):
    return {**splits, "train": changed(splits["train"], kind, number, **values)}


def with_root(truth, **values):
    """The split with Roboflow's dummy category, of which all others are."""
    return replace(truth, categories=[{**ROOT, **values}, *({**c, "supercategory": "objects"} for c in CATEGORIES)])


@pytest.mark.parametrize("is_quick", [True, False])
def test_the_sound_set_has_none(splits, is_quick):
    assert found(IDS, splits, is_quick) == []
    assert IDS.mend(splits["train"]) == splits["train"]


def test_no_annotations_and_no_images(splits):
    empty = {"train": replace(splits["train"], annotations=None), "val": replace(splits["val"], annotations=[])}
    assert found(IDS, empty) == []
    assert found(IDS, {"train": replace(splits["train"], images=[], annotations=[])}) == []
    assert found(IDS, {}) == []


def test_two_categories_with_one_id(splits):
    splits = planted(splits, "categories", 1, id=3)
    splits["train"] = replace(
        splits["train"], annotations=[a for a in splits["train"].annotations if a["category_id"] == 3]
    )
    one = the_only(IDS, splits, "category-id-duplicate")
    assert one.place == "train.json: categories[1]" and one.split == "train"
    assert one.message == "'car' and 'person' share the id 3"


def test_two_categories_with_one_name(splits):
    one = the_only(IDS, planted(splits, "categories", 1, name="person"), "category-name-duplicate")
    assert one.place == "train.json: categories[1]"
    assert one.message == "the ids 3 and 7 share the name 'person'"


@pytest.mark.parametrize("own_id", ["9", 9.0, None, True, [9]])
def test_a_category_id_that_is_no_integer(splits, own_id):
    truth = added(splits["train"], "categories", id=own_id, name="dog")
    one = the_only(IDS, {**splits, "train": truth}, "category-id-invalid")
    assert one.place == "train.json: categories[2]"
    assert one.message == f"'dog' has the id {own_id!r}, expected an integer"


def test_a_category_that_is_only_the_parent(splits):
    planted = {name: with_root(truth) for name, truth in splits.items()}
    findings = found(IDS, planted)
    assert [(one.code.name, one.split) for one in findings] == [
        ("category-unused-root", "train"),
        ("category-unused-root", "val"),
    ]
    assert "'objects' (id 0)" in findings[0].message and findings[0].place == "train.json: categories[0]"
    mended = IDS.mend(planted["train"])
    assert [c["name"] for c in mended.categories] == ["person", "car"]
    assert "objects" in mended.notes[-1]
    assert planted["train"].categories[0] == ROOT


def test_a_parent_that_is_used_stays(splits):
    used = {name: with_root(truth) for name, truth in splits.items()}
    used["train"] = changed(used["train"], "annotations", 3, category_id=0)
    assert found(IDS, used) == []
    with_stuff = with_root(splits["train"])
    for truth in (
        replace(with_stuff, stuff=StuffFiles({}, {0: None, 1: 0})),
        replace(with_stuff, panoptic=PanopticFiles("a", "b", [{"segments_info": [{"id": 1, "category_id": 0}]}])),
    ):
        assert found(IDS, {"train": truth}) == []
        assert IDS.mend(truth) == truth


def test_a_parent_of_some_only_stays(splits):
    truth = replace(splits["train"], categories=[ROOT, {**CATEGORIES[0], "supercategory": "objects"}, CATEGORIES[1]])
    assert found(IDS, {"train": truth}) == []
    own = with_root(splits["train"], supercategory="objects")  # COCO's person is its own supercategory
    assert found(IDS, {"train": own}) == []


def test_two_images_with_one_id(splits):
    truth = splits["train"]
    truth = replace(truth, annotations=[a for a in truth.annotations if a["image_id"] != 20])
    one = the_only(IDS, {"train": changed(truth, "images", 1, id=10)}, "image-id-duplicate")
    assert one.place == "train.json: images[1]"
    assert one.message == "the id 10 is also that of train.json: images[0]"


@pytest.mark.parametrize("own_id", [REMOVED, None])
def test_an_image_without_id(splits, own_id):
    truth = splits["train"]
    truth = replace(truth, annotations=[a for a in truth.annotations if a["image_id"] != 20])
    one = the_only(IDS, {"train": changed(truth, "images", 1, id=own_id)}, "image-id-missing")
    assert one.place == "train.json: images[1]" and one.message == "the image has no id"


def test_annotation_ids_that_come_twice_are_numbered_anew(splits):
    planted_splits = planted(splits, "annotations", 2, id=100)
    one = the_only(IDS, planted_splits, "annotation-id-duplicate")
    assert one.place == "train.json: annotations[2]"
    assert one.message == "the id 100 is also that of train.json: annotations[0]"
    mended = IDS.mend(planted_splits["train"])
    assert [a["id"] for a in mended.annotations] == [100, 101, 108, 103, 104, 105, 106, 107]
    assert planted_splits["train"].annotations[2]["id"] == 100
    assert found(IDS, {**splits, "train": mended}) == []


@pytest.mark.parametrize("image_id", [11, "10"])
def test_an_annotation_of_an_unknown_image(splits, image_id):
    planted_splits = planted(splits, "annotations", 1, image_id=image_id)
    one = the_only(IDS, planted_splits, "annotation-unknown-image")
    assert one.place == "train.json: annotations[1]" and one.message == f"no image has the id {image_id!r}"
    mended = IDS.mend(planted_splits["train"])
    assert [a["id"] for a in mended.annotations] == [100, 102, 103, 104, 105, 106, 107]
    # what stayed is still found in the files
    assert mended.annotation_place(0) == "train.json: annotations[0]"
    assert mended.annotation_place(1) == "train.json: annotations[2]"
    assert len(planted_splits["train"].annotations) == 8


def test_places_of_the_format_are_kept(splits):
    truth = replace(splits["train"], annotation_places=[f"a.json: shapes[{n}]" for n in range(8)])
    truth = changed(truth, "annotations", 1, image_id=11)
    assert the_only(IDS, {"train": truth}, "annotation-unknown-image").place == "a.json: shapes[1]"
    mended = IDS.mend(truth)
    assert [mended.annotation_place(n) for n in range(2)] == ["a.json: shapes[0]", "a.json: shapes[2]"]


def test_an_unknown_category(splits):
    one = the_only(IDS, planted(splits, "annotations", 1, category_id=8), "annotation-unknown-category")
    assert one.place == "train.json: annotations[1]"
    assert one.message == "no category has the id 8: the ids are 3, 7"


def test_an_unknown_label_text(splits):
    one = the_only(IDS, planted(splits, "annotations", 1, category_id="Car"), "annotation-unknown-category")
    assert one.message == "the label 'Car' is none of the categories 'person', 'car'"


@pytest.mark.parametrize(("shift", "word"), [(-1, "lower"), (1, "higher")])
def test_all_ids_moved_by_one(splits, shift, word):
    truth = splits["train"]
    moved = [{**a, "category_id": a["category_id"] + shift} for a in truth.annotations]
    findings = found(IDS, {"train": replace(truth, annotations=moved)})
    assert [one.code.name for one in findings] == ["annotation-unknown-category"] * 8
    assert all(one.message.endswith(f"all ids are one {word} than the categories'") for one in findings)


@pytest.mark.parametrize("number", [0, 3, 5])  # a polygon, an RLE, an uncompressed one
def test_an_annotation_that_repeats_another(splits, number):
    truth = added(splits["train"], "annotations", **{**splits["train"].annotations[number], "id": 300})
    one = the_only(IDS, {"train": truth}, "annotation-duplicate")
    assert one.place == "train.json: annotations[8]"
    assert one.message == f"the same image, category and shape as train.json: annotations[{number}]"
    mended = IDS.mend(truth)
    assert mended.annotations == splits["train"].annotations and len(truth.annotations) == 9


def test_boxes_alone_can_repeat_too(splits):
    bare = [{k: v for k, v in a.items() if k != "segmentation"} for a in splits["train"].annotations]
    truth = replace(splits["train"], annotations=[*bare, {**bare[4], "id": 300}])
    assert the_only(IDS, {"train": truth}, "annotation-duplicate").place == "train.json: annotations[8]"


def test_nearly_the_same_is_not_the_same(splits):
    first = splits["train"].annotations[0]
    longer = [first["segmentation"][0] + [30.0, 30.0]]
    truth = splits["train"]
    for number, values in enumerate(({"category_id": 7}, {"image_id": 30}, {"segmentation": longer})):
        truth = added(truth, "annotations", **{**first, **values, "id": 300 + number})
    assert found(IDS, {"train": truth}) == []


INCOMPLETE_IMAGES = [
    *(("file_name", REMOVED), ("file_name", 7), ("file_name", " "), ("width", REMOVED), ("width", "64")),
    *(("width", 0), ("height", -3), ("height", 48.5), ("height", True), ("height", None), ("width", float("nan"))),
]


@pytest.mark.parametrize(("key", "value"), INCOMPLETE_IMAGES)
def test_an_image_record_that_is_incomplete(splits, key, value):
    one = the_only(IDS, planted(splits, "images", 2, **{key: value}), "record-incomplete")
    assert one.place == "train.json: images[2]"
    assert one.message.startswith(f"it has no {key}" if value in (REMOVED, None) else f"{key} is {value!r}, expected")


INCOMPLETE_ANNOTATIONS = [
    *(("id", REMOVED), ("id", 1.5), ("image_id", REMOVED), ("category_id", None), ("iscrowd", "yes"), ("iscrowd", 2)),
    *(("segmentation", "abc"), ("segmentation", 5), ("segmentation", [1, 2, 3, 4, 5, 6])),
]


@pytest.mark.parametrize(("key", "value"), INCOMPLETE_ANNOTATIONS)
def test_an_annotation_record_that_is_incomplete(splits, key, value):
    one = the_only(IDS, planted(splits, "annotations", 2, **{key: value}), "record-incomplete")
    assert one.place == "train.json: annotations[2]"
    assert one.message.startswith(f"it has no {key}" if value in (REMOVED, None) else f"{key} is {value!r}, expected")


def test_a_polygon_that_is_not_in_a_list_is_recognised(splits):
    one = the_only(IDS, planted(splits, "annotations", 2, segmentation=[1, 2, 3, 4, 5, 6]), "record-incomplete")
    assert one.message.endswith("a polygon must be in a list, also if it is the only one")


@pytest.mark.parametrize("image_id", [1.5, [10], {}])
def test_an_image_id_of_no_use_is_unknown_as_well(splits, image_id):
    codes = {one.code.name for one in found(IDS, planted(splits, "annotations", 2, image_id=image_id))}
    assert codes == {"annotation-unknown-image", "record-incomplete"}


@pytest.mark.parametrize(("step", "word"), [(1, "higher"), (-1, "lower")])
def test_image_ids_that_are_all_one_off(splits, step, word):
    """Only the annotations that fall off an end are noticed, and leaving them out would hide that all are wrong."""
    split = splits["train"]
    ids = sorted(image["id"] for image in split.images)
    number = {own: n for n, own in enumerate(ids, 10)}  # without gaps, so that most shifted ids exist
    images = [{**image, "id": number[image["id"]]} for image in split.images]
    notes = [{**note, "image_id": number[note["image_id"]] + step} for note in split.annotations]
    shifted = replace(split, images=images, annotations=notes)
    findings = [f for f in found(IDS, {"train": shifted}, True) if f.code.name == "annotation-unknown-image"]
    assert findings
    assert all(f"all ids are one {word} than the images'" in finding.message for finding in findings)
    assert len(IDS.mend(shifted).annotations) == len(notes)
