"""Label maps of stuff: missing, damaged, of another size, with unknown labels, under things, and all void."""

from dataclasses import replace

import numpy as np
import pytest
from planted import found, the_only
from planted_stuff import GRASS, LABEL_IDS, SKY, with_stuff

from thingstuff.data.checks.stuff import STUFF
from thingstuff.data.truth import StuffFiles
from thingstuff.structures import read_png, write_png

PERSON, CAR = 3, 7
IMAGE = 20  # the second


@pytest.fixture
def splits(tmp_path):
    return with_stuff(tmp_path)


def path_of(splits, image_id=IMAGE):
    return splits["train"].stuff.paths[image_id]


def change(splits, function, image_id=IMAGE):
    path = path_of(splits, image_id)
    labels = read_png(path, "grey8")
    write_png(path, function(labels.copy()))
    return labels


def with_labels(splits, label_ids, **more):
    return {n: replace(s, stuff=StuffFiles(s.stuff.paths, label_ids, **more)) for n, s in splits.items()}


def said(finding):
    """What is said after the map's path."""
    path, _, message = finding.message.partition(".png: ")
    assert "/stuff/" in path
    return message


def test_sound_maps_have_none(splits):
    assert found(STUFF, splits) == found(STUFF, splits, is_quick=True) == []


def test_a_set_without_stuff_has_none(splits):
    assert found(STUFF, {name: replace(split, stuff=None) for name, split in splits.items()}) == []


@pytest.mark.parametrize("is_quick", [True, False])
def test_missing(splits, is_quick):
    path_of(splits).unlink()
    finding = the_only(STUFF, splits, "stuff-missing", is_quick)
    assert (finding.split, finding.place) == ("train", "train.json: images[1]")
    assert finding.message == f"there is no label map {path_of(splits)}"


def test_missing_in_the_list(splits):
    paths = {image_id: path for image_id, path in splits["train"].stuff.paths.items() if image_id != IMAGE}
    splits["train"] = replace(splits["train"], stuff=StuffFiles(paths, LABEL_IDS))
    assert the_only(STUFF, splits, "stuff-missing", is_quick=True).message == "image 20 has no label map"


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda _: b"", lambda _: b"GIF89a", lambda data: data[:60]]
)
def test_unreadable(splits, damage):
    path_of(splits).write_bytes(damage(path_of(splits).read_bytes()))
    finding = the_only(STUFF, splits, "stuff-unreadable")
    assert finding.place == "train.json: images[1]" and str(path_of(splits)) in finding.message
    assert found(STUFF, splits, is_quick=True) == []


def test_other_size(splits):
    change(splits, lambda labels: labels[:-1])
    finding = the_only(STUFF, splits, "stuff-size")
    assert finding.place == "train.json: images[1]"
    assert said(finding) == "the label map has 40 x 63 pixels (width x height), its image 40 x 64"


def test_unknown_labels(splits):
    def paint(labels):
        labels[0, 1:4], labels[0, 4:6] = 9, 17
        return labels

    change(splits, paint)
    finding = the_only(STUFF, splits, "stuff-label")
    assert finding.place == "train.json: images[1]"
    assert said(finding) == "labels 9 (3 px), 17 (2 px) mean nothing: known are [0, 1, 2], void [255]"


def test_many_unknown_labels_are_not_all_said(splits):
    def paint(labels):
        labels[0, 1:11] = range(100, 110)
        return labels

    change(splits, paint)
    assert "104 (1 px) and 5 more mean nothing" in the_only(STUFF, splits, "stuff-label").message


def test_void_labels_are_the_declared_ones(splits):
    findings = found(STUFF, with_labels(splits, LABEL_IDS, void_labels=frozenset()))
    assert [f.code.name for f in findings] == ["stuff-label"] * 6
    assert said(findings[0]) == "labels 255 (1 px) mean nothing: known are [0, 1, 2], void []"


def test_stuff_under_things(splits):
    """The map has sky and grass alone, though others can say 0."""
    change(splits, lambda labels: np.where(labels == 0, 2, labels).astype(np.uint8))
    finding = the_only(STUFF, splits, "stuff-under-things")
    assert finding.place == "train.json: images[1]"
    # the instances of the second image: 18 x 40, 16 x 30; its crowd is none
    assert said(finding) == (
        "100% of the 1200 pixels of its instances have labels of stuff, though the maps have a label for things"
    )


def test_a_little_stuff_under_things_is_no_mistake(splits):
    """Half of the pixels, not more: the first instance, 18 x 40, in its upper 600 / 18 rows."""

    def paint(labels):
        things = np.flatnonzero(labels[:, 2:20].ravel() == 0)[:600]
        labels[:, 2:20].flat[things] = 1
        return labels

    change(splits, paint)
    assert found(STUFF, splits) == []


def test_stuff_under_things_is_right_where_maps_know_no_things(splits):
    for image_id in (10, 20, 30):
        for split in ("train", "val"):
            path = splits[split].stuff.paths[image_id]
            labels = read_png(path, "grey8")
            write_png(path, np.where(labels == 0, 2, labels).astype(np.uint8))
    assert found(STUFF, with_labels(splits, {1: SKY, 2: GRASS})) == []


def as_category_ids(truth, labels, image_id):
    """The labels with the ids of categories instead: of things where they are, and of stuff."""
    drawn = np.array([0, SKY, GRASS] + [255] * 253, np.uint8)[labels]
    for note in truth.annotations:
        if note["image_id"] == image_id:
            x, y, width, height = map(int, note["bbox"])
            drawn[y : y + height, x : x + width] = note["category_id"]
    return drawn


def test_ids_of_categories_for_labels(splits):
    """Labels 3 and 7, ids of thing categories, mean stuff in the declaration."""
    labels = {0: None, PERSON: GRASS, CAR: SKY, SKY: SKY, GRASS: GRASS}
    for split in ("train", "val"):
        for image_id, path in splits[split].stuff.paths.items():
            write_png(path, as_category_ids(splits[split], read_png(path, "grey8"), image_id))
    findings = found(STUFF, with_labels(splits, labels))
    assert [f.code.name for f in findings] == ["stuff-under-things"] * 6
    assert said(findings[1]) == (
        "at 100% of the 1200 pixels of its instances the label is the id of the instance's category, which as a label "
        "means something else, or nothing"
    )
    assert found(STUFF, with_labels(splits, labels | {PERSON: PERSON, CAR: CAR})) == []
    assert found(STUFF, with_labels(splits, labels | {PERSON: None, CAR: None})) == []


def test_a_stuff_label_that_happens_to_be_the_id_is_no_mistake(splits):
    """Cars before grass, whose label is 7: there is grass around them as well."""
    for split in ("train", "val"):
        for path in splits[split].stuff.paths.values():
            write_png(path, np.full(read_png(path, "grey8").shape, CAR, np.uint8))
    assert found(STUFF, with_labels(splits, {CAR: GRASS})) == []


def test_all_void(splits):
    change(splits, lambda labels: np.full_like(labels, 255))
    finding = the_only(STUFF, splits, "stuff-all-void")
    assert (finding.place, said(finding)) == ("train.json: images[1]", f"all {40 * 64} pixels are void")


def test_broken_masks_are_left_to_their_own_check(splits):
    train = splits["train"]
    strange = [
        None,
        [],
        [[1]],
        [["a"] * 6],
        {},
        {"size": [64, 40], "counts": [2**62] * 4},
        {"size": [1], "counts": "x"},
        5,
    ]
    notes = [{**train.annotations[3], "segmentation": one} for one in strange]
    notes += [{**train.annotations[3], "category_id": []}, {**train.annotations[3], "image_id": []}]
    splits["train"] = replace(train, annotations=[*train.annotations, *notes])
    assert found(STUFF, splits) == []


@pytest.mark.parametrize("value", [None, [], "a", {}, 1.5, -3, 10**12, True])
@pytest.mark.parametrize("key", ["id", "height", "width"])
def test_strange_images_break_nothing(splits, key, value):
    train = splits["train"]
    images = [train.images[0], {**train.images[1], key: value}, train.images[2]]
    codes = {f.code.name for f in found(STUFF, {"train": replace(train, images=images)})}
    assert codes <= {"stuff-missing", "stuff-size"}


def test_a_map_that_is_drawn_is_read_as_well(splits):
    """A label map that is no PNG of its own, but drawn from a file of another kind."""
    stuff = splits["train"].stuff
    drawn = {IMAGE: lambda: np.full((64, 40), 255, np.uint8)}
    splits["train"] = replace(splits["train"], stuff=replace(stuff, drawn=drawn))
    assert the_only(STUFF, splits, "stuff-all-void").place == "train.json: images[1]"
