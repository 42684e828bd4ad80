"""Between splits: exchanged folders, classes that one lacks, and splits and images without anything."""

from dataclasses import replace

import pytest
from planted import added, changed, found, sound_splits, the_only

from thingstuff.data.checks.splits import SPLITS
from thingstuff.data.truth import PanopticFiles


@pytest.fixture
def splits(tmp_path):
    return sound_splits(tmp_path)


def test_a_sound_data_set_has_none(splits):
    assert found(SPLITS, splits, is_quick=True) == found(SPLITS, splits) == []


def test_swapped(splits):
    roots = {"train": splits["val"].image_root, "val": splits["train"].image_root}
    swapped = {name: replace(split, image_root=roots[name]) for name, split in splits.items()}
    findings = found(SPLITS, swapped, is_quick=True)
    assert [(f.code.name, f.split, f.place) for f in findings] == [
        ("splits-swapped", "train", "train.json"),
        ("splits-swapped", "val", "val.json"),
    ]
    expected = f"of its 3 images 3 are not in its folder {roots['train']}, and 3 of those are in the folder of val, "
    assert findings[0].message == expected + str(roots["val"])


def test_one_image_that_is_elsewhere_or_nowhere_is_not_swapped(splits, tmp_path):
    (tmp_path / "train/train_1.png").rename(tmp_path / "val/train_1.png")
    (tmp_path / "val/val_1.png").unlink()
    (tmp_path / "val/val_2.png").unlink()
    assert found(SPLITS, splits, is_quick=True) == []


def of_class(truth, category_id):
    return [n for n, note in enumerate(truth.annotations) if note["category_id"] == category_id]


def test_a_class_that_one_split_lacks(splits):
    """Cars become persons; a crowd of cars is no instance."""
    val = splits["val"]
    for number in of_class(val, 7):
        crowd = val.annotations[number]["iscrowd"]
        val = val if crowd else changed(val, "annotations", number, category_id=3)
    finding = the_only(SPLITS, {**splits, "val": val}, "class-missing", is_quick=True)
    assert (finding.split, finding.place) == ("val", "val.json")
    # 5 of the 8 instances of each split are cars, one of them a crowd
    assert finding.message == "it has no instance of 'car': train has 4"


def test_classes_go_by_their_names(splits):
    """The splits number them differently."""
    val = splits["val"]
    for number, category in enumerate(val.categories):
        val = changed(val, "categories", number, id=category["id"] + 100)
    for number, note in enumerate(val.annotations):
        val = changed(val, "annotations", number, category_id=note["category_id"] + 100)
    assert found(SPLITS, {**splits, "val": val}, is_quick=True) == []


def test_a_class_that_nobody_has(splits):
    """Stuff has no instances anyway."""
    more = {n: added(s, "categories", id=9, name="bus") for n, s in splits.items()}
    more = {n: added(s, "categories", id=10, name="sky", isthing=0) for n, s in more.items()}
    finding = the_only(SPLITS, more, "class-unused", is_quick=True)
    assert (finding.split, finding.message) == ("train", "no split has an instance of 'bus'")


def test_an_image_of_nothing(splits):
    train = splits["train"]
    kept = [note for note in train.annotations if note["image_id"] != train.images[1]["id"]]
    finding = the_only(SPLITS, {**splits, "train": replace(train, annotations=kept)}, "image-empty", is_quick=True)
    assert (finding.split, finding.place) == ("train", "train.json: images[1]")
    assert finding.message == "no annotation is of 'train_1.png'"


def test_a_split_of_nothing(splits):
    empty = replace(splits["val"], images=[], annotations=[])
    finding = the_only(SPLITS, {**splits, "val": empty}, "split-empty", is_quick=True)
    assert (finding.split, finding.place) == ("val", "val.json")


def test_segments_of_panoptic_truth_are_instances_as_well(splits, tmp_path):
    def panoptic(split, category_ids):
        infos = [{"id": n, "category_id": i} for n, i in enumerate(category_ids, 1)]
        files = PanopticFiles(tmp_path / "a.json", tmp_path, [{"image_id": 10, "segments_info": infos}])
        return replace(added(split, "categories", id=9, name="sky", isthing=0), annotations=None, panoptic=files)

    both = {"train": panoptic(splits["train"], [3, 7, 9]), "val": panoptic(splits["val"], [9, 7])}
    finding = the_only(SPLITS, both, "class-missing", is_quick=True)
    assert finding.message == "it has no instance of 'person': train has 1"


def test_without_instances_nothing_is_said_of_classes_and_images(splits):
    assert found(SPLITS, {n: replace(s, annotations=None) for n, s in splits.items()}, is_quick=True) == []


@pytest.mark.parametrize("value", [None, [], {}, "a", 1.5, float("nan"), True])
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        *(("images", "id"), ("images", "file_name"), ("annotations", "image_id"), ("annotations", "category_id")),
        *(("categories", "id"), ("categories", "name"), ("categories", "isthing"), ("annotations", "iscrowd")),
    ],
)
def test_strange_records_break_nothing(splits, kind, key, value):
    found(SPLITS, {**splits, "train": changed(splits["train"], kind, 1, **{key: value})}, is_quick=True)
