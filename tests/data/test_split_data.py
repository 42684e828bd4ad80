"""Splits: sizes, seeds, rare classes in each, frames of one video in one; and what cannot be shared out."""

from collections import Counter
from pathlib import Path

import pytest

from thingstuff.data.split_data import split
from thingstuff.data.truth import PanopticFiles, SplitTruth
from thingstuff.errors import DataError

CATEGORIES = [{"id": 5, "name": "Straße"}, {"id": 9, "name": "猫"}, {"id": 2, "name": "rare"}]
HALVES = {"train": 0.5, "val": 0.5}


def truth(names, classes=(), **more):
    """Image n is `names[n]` and has one instance of each class in `classes[n]`."""
    images = [{"id": 100 + n, "file_name": name, "width": 8, "height": 6} for n, name in enumerate(names)]
    pairs = [(100 + n, c) for n, found in enumerate(classes) for c in found]
    notes = [{"id": n, "image_id": i, "category_id": c, "bbox": [0, 0, 1, 1]} for n, (i, c) in enumerate(pairs)]
    return SplitTruth("t.json", Path("/data"), CATEGORIES, images, notes, **more)


def numbered(count):
    return [f"ö {n:03d}.jpg" for n in range(count)]


def names(part):
    return [image["file_name"] for image in part.images]


def images_with(part, category):
    return len({note["image_id"] for note in part.annotations if note["category_id"] == category})


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize(
    ("count", "shares", "sizes"),
    [
        (10, {"a": 0.7, "b": 0.2, "c": 0.1}, [7, 2, 1]),
        (3, {"a": 0.98, "b": 0.01, "c": 0.01}, [1, 1, 1]),  # none is empty
        (7, HALVES, [4, 3]),
        (10, {"a": 0.1, "b": 0.2}, [1, 2]),  # the rest is in none
        (1, {"a": 1}, [1]),
        (29, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, [10, 10, 9]),
    ],
)
def test_each_image_once_and_sizes_by_share(count, shares, sizes, stratify):
    parts = split(truth(numbered(count), [[5]] * count), shares, 3, stratify=stratify)
    assert list(parts) == list(shares)
    assert [len(part.images) for part in parts.values()] == sizes
    found = [name for part in parts.values() for name in names(part)]
    assert len(set(found)) == len(found) == min(count, sum(sizes))


def test_annotations_go_with_their_images():
    whole = truth(numbered(6), [[5], [5, 9], [], [2], [9], [9, 9]])
    parts = split(whole, HALVES, 1)
    for part in parts.values():
        ids = {image["id"] for image in part.images}
        assert part.annotations == [note for note in whole.annotations if note["image_id"] in ids]
        assert part.json_path is None


@pytest.mark.parametrize("seed", range(5))
def test_rare_classes_are_in_every_split(seed):
    # 60 images: all show class 5, 20 class 9, 4 class 2; by 75 % and 25 % that is 45 + 15, 15 + 5 and 3 + 1
    classes = [[5, *([9] if n % 3 == 0 else []), *([2] if n % 15 == 4 else [])] for n in range(60)]
    parts = split(truth(numbered(60), classes), {"train": 0.75, "val": 0.25}, seed)
    expected = {5: (45, 15), 9: (15, 5), 2: (3, 1)}
    for category, counts in expected.items():
        assert tuple(images_with(part, category) for part in parts.values()) == counts


def test_classes_of_panoptic_segments_count_too():
    notes = [{"image_id": 100 + n, "segments_info": [{"id": 1, "category_id": 9 if n < 4 else 5}]} for n in range(40)]
    panoptic = PanopticFiles(Path("p.json"), Path("p"), notes)
    whole = SplitTruth("p", Path("/data"), CATEGORIES, truth(numbered(40)).images, None, panoptic=panoptic)
    for part in split(whole, HALVES, 8).values():
        assert part.annotations is None
        found = Counter(note["segments_info"][0]["category_id"] for note in part.panoptic.annotations)
        assert found == {9: 2, 5: 18}


def test_one_seed_one_split_in_whatever_order_images_are_listed():
    classes = [[(5, 9, 2)[n % 3]] for n in range(30)]
    whole = truth(numbered(30), classes)
    turned = SplitTruth("t.json", Path("/data"), CATEGORIES, whole.images[::-1], whole.annotations[::-1])
    one, same, other = (split(t, HALVES, seed) for t, seed in ((whole, 4), (turned, 4), (whole, 5)))
    assert {k: set(names(p)) for k, p in one.items()} == {k: set(names(p)) for k, p in same.items()}
    assert {k: set(names(p)) for k, p in one.items()} != {k: set(names(p)) for k, p in other.items()}


@pytest.mark.parametrize("stratify", [True, False])
def test_frames_of_one_video_stay_together(stratify):
    frames = [f"clips/vidéo{v}_{n:02d}.png" for v in range(10) for n in range(4)]
    whole = truth(frames, [[5] if n % 2 else [9] for n in range(40)])
    parts = split(whole, {"train": 0.6, "val": 0.4}, 2, stratify=stratify, group_by=r"vidéo(\d+)_")
    videos = [{name.split("_")[0] for name in names(part)} for part in parts.values()]
    assert not videos[0] & videos[1]
    assert [len(names(part)) for part in parts.values()] == [24, 16]


def test_a_large_group_leaves_something_for_the_others():
    frames = [*(f"a_{n}.png" for n in range(18)), "b_0.png", "b_1.png"]
    parts = split(truth(frames, [[5]] * 20), {"train": 0.9, "val": 0.1}, 0, group_by=r"^(\w)_")
    assert sorted(len(part.images) for part in parts.values()) == [2, 18]


def test_no_annotations_and_an_image_that_is_listed_twice():
    whole = truth(["a.jpg", "b.jpg", "a.jpg"])
    parts = split(whole, HALVES, 0)
    assert sorted(sorted(names(part)) for part in parts.values()) == [["a.jpg", "a.jpg"], ["b.jpg"]]


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({}, "one split or more"),
        ({"a": 0}, "'a': expected a share above 0"),
        ({"a": -0.1}, "-0.1"),
        ({"a": float("nan")}, "nan"),
        ({"a": True}, "True"),
        ({"a": "half"}, "'half'"),
        ({"a": 2}, "up to 1, got 2"),
        ({"a": 0.8, "b": 0.3}, "got 1.1"),
        (dict.fromkeys("abcde", 0.2), "4 images are too few for 5 splits"),
    ],
)
def test_bad_shares_are_refused(shares, words):
    with pytest.raises(DataError, match=words):
        split(truth(numbered(4)), shares)


@pytest.mark.parametrize(
    ("group_by", "words"),
    [
        ("([0-9]+", "is no regular expression"),
        ("[0-9]+", "has no group"),
        ("(x+)", "finds no group in the image name 'ö 000.jpg'"),
        ("(x)?ö", "finds no group"),
        ("(ö)", "1 groups of images are too few for 2 splits"),
    ],
)
def test_bad_expressions_are_refused(group_by, words):
    with pytest.raises(DataError, match=words.replace("(", r"\(")):
        split(truth(numbered(4)), HALVES, group_by=group_by)


def test_nothing_to_split_and_records_that_are_damaged():
    with pytest.raises(DataError, match="0 images are too few"):
        split(truth([]), {"a": 1})
    with pytest.raises(DataError, match=r"t.json: images\[1\]: file_name: expected a text, got None"):
        split(truth(["a.jpg", None]), {"a": 1})
    with pytest.raises(DataError, match="seed"):
        split(truth(["a.jpg"]), {"a": 1}, -1)
    odd = truth(numbered(4), [[5], [[1]], [{}], [None]])
    assert sum(len(part.images) for part in split(odd, HALVES).values()) == 4  # classes that are none count for none
    odd.annotations[3]["image_id"] = [1]
    with pytest.raises(DataError, match=r"t.json: annotations\[3\]: image_id: expected a number or a text, got \[1\]"):
        split(odd, HALVES)
    odd.images[2]["id"] = {}
    with pytest.raises(DataError, match=r"t.json: images\[2\]: id: expected a number or a text"):
        split(odd, HALVES)
