"""The grid of images with their truth: which images, what is drawn on them, and what becomes of damaged ones."""

import math
import random
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from mutated_json import STRANGE

from thingstuff.data.truth import PanopticFiles, SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.report.dataset_layers import ImageTruth, truth_pictures
from thingstuff.report.dataset_preview import PreviewOptions, preview
from thingstuff.structures import rle
from thingstuff.structures.png import write_png

CATEGORIES = [{"id": 3, "name": "Straße"}, {"id": 8, "name": "sky", "isthing": 0, "color": [0, 0, 255]}]
H, W, GREY = 40, 60, 90
SMALL = PreviewOptions(count=3, cell_px=100)


def truth(folder, names=("a.png", "b.png", "ö/c.png"), annotated=True):
    """Grey images, the first of which has a square with a mask and a box without."""
    images = []
    for n, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((H, W, 3), GREY, np.uint8))
        images.append({"id": 10 + n, "file_name": name, "width": W, "height": H})
    notes = [
        {"id": 1, "image_id": 10, "category_id": 3, "bbox": [5, 5, 20, 20], "segmentation": [square(5, 5, 25, 25)]},
        {"id": 2, "image_id": 10, "category_id": 3, "bbox": [35, 5, 20, 20]},
    ]
    return SplitTruth("t.json", folder, CATEGORIES, images, notes if annotated else None)


def square(x0, y0, x1, y1):
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def with_maps(whole, folder):
    """Labels and segments: sky above row 10 of the first image, one thing in its lower left corner."""
    labels = np.zeros((H, W), np.uint8)
    labels[:10] = 1
    ids = np.zeros((H, W, 3), np.uint8)
    ids[:10, :, 0], ids[30:, :20, 0] = 1, 2
    write_png(folder / "labels.png", labels)
    write_png(folder / "ids.png", ids)
    segments = [{"id": 1, "category_id": 8}, {"id": 2, "category_id": 3}]
    record = {"image_id": 10, "file_name": "ids.png", "segments_info": segments}
    stuff = StuffFiles({10: folder / "labels.png"}, {0: None, 1: 8})
    return replace(whole, stuff=stuff, panoptic=PanopticFiles(folder / "p.json", folder, [record]))


def drawn(whole, row=0):
    (found,) = ImageTruth.of(whole, [row])
    return truth_pictures(found, np.full((H, W, 3), GREY, np.uint8), 4000)


def at(picture, x, y):
    """The colour at the middle of a pixel of the image, in the enlarged picture."""
    scale = picture.shape[0] // H
    return picture[y * scale + scale // 2, x * scale + scale // 2].tolist()


def is_plain(picture, x, y):
    return at(picture, x, y) == [GREY] * 3


def test_every_kind_of_truth_lies_where_it_should(tmp_path):
    pictures, problems = drawn(with_maps(truth(tmp_path), tmp_path))
    assert list(pictures) == ["instances", "stuff", "panoptic"]
    assert problems == []
    assert not is_plain(pictures["instances"], 15, 20)  # within the mask
    assert is_plain(pictures["instances"], 45, 18)  # a box has no fill ...
    assert has_frame(pictures["instances"], 55, 18)  # ... but a frame
    blue = [round(GREY * 0.45 + 255 * 0.55), round(GREY * 0.45), round(GREY * 0.45)]  # in BGR, as overlays weigh them
    for title in ("stuff", "panoptic"):
        assert np.abs(np.array(at(pictures[title], 3, 5)) - blue).max() <= 1
        assert is_plain(pictures[title], 30, 35)
    assert not is_plain(pictures["panoptic"], 3, 37)
    assert is_plain(pictures["stuff"], 3, 37)


def test_crowds_and_unknown_classes_are_drawn(tmp_path):
    whole = truth(tmp_path)
    plain, _ = drawn(whole)
    whole.annotations[0]["iscrowd"] = 1
    crowd, problems = drawn(whole)
    assert problems == []
    assert (crowd["instances"] != plain["instances"]).any(), "its label says what it is"
    whole.annotations[0]["category_id"] = "Auto"
    unknown, problems = drawn(whole)
    assert problems == ["t.json: annotations[0]: no category has the id 'Auto'"]
    assert not is_plain(unknown["instances"], 15, 20)


def has_frame(picture, x, y):
    """Whether a line goes near the left edge of a pixel of the image."""
    scale = picture.shape[0] // H
    return bool((picture[y * scale, (x - 1) * scale : (x + 1) * scale] != GREY).any())


@pytest.mark.parametrize(
    ("changes", "words", "is_box_there"),
    [
        ({"segmentation": [[1, 2]]}, "3 corners or more", True),
        ({"segmentation": {"size": [9, 9], "counts": [0, 81]}}, "40", True),
        ({"segmentation": [square(200, 200, 210, 210)]}, "no pixel in the image", True),
        ({"segmentation": None, "bbox": None}, "neither a mask nor a box", False),
        ({"segmentation": [], "bbox": [5, 5, -20, math.nan]}, "neither a mask nor a box", False),
    ],
)
def test_an_annotation_that_cannot_be_drawn_is_named(tmp_path, changes, words, is_box_there):
    whole = truth(tmp_path)
    whole.annotations[0].update(changes)
    pictures, problems = drawn(whole)
    assert len(problems) == 1
    assert problems[0].startswith("t.json: annotations[0]: ")
    assert words in problems[0]
    assert has_frame(pictures["instances"], 25, 18) is is_box_there
    assert has_frame(pictures["instances"], 55, 18), "the other is drawn"


def test_a_mask_without_box_and_an_image_without_annotations(tmp_path):
    whole = truth(tmp_path)
    bitmap = np.zeros((H, W), np.uint8)
    bitmap[5:25, 5:25] = 1
    whole.annotations[0] = {"image_id": 10, "category_id": 3, "segmentation": rle.encode(bitmap)}
    pictures, problems = drawn(whole)
    assert problems == []
    assert not is_plain(pictures["instances"], 15, 20)
    pictures, problems = drawn(whole, 1)
    assert problems == []
    assert (pictures["instances"] == GREY).all()


def test_maps_that_are_not_there_or_do_not_fit_are_named(tmp_path):
    whole = with_maps(truth(tmp_path), tmp_path)
    pictures, problems = drawn(whole, 1)
    assert list(pictures) == ["instances"]
    assert [problem.split(": ")[-1] for problem in problems] == [
        "image 11 has no label map",
        "has no annotation of the image",
    ]
    write_png(tmp_path / "labels.png", np.zeros((3, 3), np.uint8))
    whole.panoptic.annotations[0]["file_name"] = "../ids.png"
    _, problems = drawn(whole)
    assert "labels.png" in problems[0]
    assert "(3, 3)" in problems[0]
    assert "'../ids.png'" in problems[1]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_grid_has_a_cell_for_each_picture(tmp_path, suffix):
    whole = truth(tmp_path)
    found = preview({"train": whole}, tmp_path / f"out{suffix}", SMALL)
    assert sorted(found.images) == [("train", "a.png"), ("train", "b.png"), ("train", "ö/c.png")]
    assert found.notes == []
    picture = cv2.imread(str(found.path))
    # two images with two pictures each in a row: 4 cells with 5 gaps
    gap = max(4, 100 // 40)
    assert picture.shape[1] == 4 * 100 + 5 * gap
    alone = preview({"train": replace(whole, annotations=None)}, tmp_path / "alone.png", replace(SMALL, count=1))
    assert cv2.imread(str(alone.path)).shape[1] == 100 + 2 * gap


def test_the_seed_chooses_and_each_split_has_its_turn(tmp_path):
    names = [f"{n:02d}.png" for n in range(20)]
    splits = {split: truth(tmp_path / split, names) for split in ("train", "val")}
    one, same, other = (
        preview(splits, tmp_path / "out.png", PreviewOptions(4, seed, cell_px=100)).images for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other
    assert [split for split, _ in one] == ["train", "train", "val", "val"]
    few = {"train": splits["train"], "test": truth(tmp_path / "test", ["z.png"])}
    found = preview(few, tmp_path / "out.png", PreviewOptions(4, cell_px=100)).images
    assert [split for split, _ in found] == ["train"] * 3 + ["test"]
    turned = {"train": replace(splits["train"], images=splits["train"].images[::-1]), "val": splits["val"]}
    assert set(preview(turned, tmp_path / "out.png", PreviewOptions(4, 1, cell_px=100)).images) == set(one)


def test_images_by_name(tmp_path):
    splits = {split: truth(tmp_path / split) for split in ("train", "val")}
    asked = PreviewOptions(images=["ö/c.png", "b"], cell_px=100)
    found = preview(splits, tmp_path / "out.png", asked)
    assert found.images == [(split, name) for split in splits for name in ("b.png", "ö/c.png")]
    with pytest.raises(DataError, match=r"no image is named 'bb.png': the nearest is 'b.png'"):
        preview(splits, tmp_path / "none.png", PreviewOptions(images=["bb.png"]))
    assert not (tmp_path / "none.png").exists()


def test_an_image_that_cannot_be_read_is_a_grey_tile(tmp_path):
    whole = truth(tmp_path)
    (tmp_path / "b.png").write_bytes(b"no image")
    whole.images[2]["file_name"] = "../out of here.png"
    whole.images[0]["width"] = 7
    found = preview({"train": whole}, tmp_path / "out.png", SMALL)
    notes = sorted(found.notes)
    assert len(notes) == 3
    assert notes[0].startswith("train: ../out of here.png: expected a file_name below the image folder")
    assert notes[1] == "train: a.png: the image is 60 x 40 pixels, and its record says 7 x 40"
    assert notes[2].startswith("train: b.png: ")
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="none of the 3 images can be read"):
        preview({"train": whole}, tmp_path / "none.png", SMALL)
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    ("options", "words"), [({"count": 0}, "count"), ({"seed": -1}, "seed"), ({"cell_px": 5}, "cell_px")]
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(DataError, match=words):
        PreviewOptions(**options)


def test_nothing_to_show_and_a_path_that_is_no_picture(tmp_path):
    whole = truth(tmp_path)
    for splits in ({}, {"train": replace(whole, images=[])}):
        with pytest.raises(DataError, match="no images"):
            preview(splits, tmp_path / "out.png")
    with pytest.raises(DataError, match=r"as \.png, \.jpg, \.jpeg, not as '\.gif'"):
        preview({"train": whole}, tmp_path / "out.gif")
    doubled = replace(whole, categories=[*CATEGORIES, CATEGORIES[0]])
    with pytest.raises(DataError, match=r"t\.json: two categories share"):
        preview({"train": doubled}, tmp_path / "out.png", SMALL)


def test_fuzz(tmp_path):
    """Damaged records end in a picture with notes, or in one line."""
    values = [
        *STRANGE,
        {"counts": 1},
        {"counts": "~~", "size": [H, W]},
        {"counts": [5, "x"], "size": [H, W]},
        [[1e9] * 6],
        [[math.nan] * 6],
        [{}],
    ]
    generator = random.Random(11)
    for _ in range(150):
        whole = with_maps(truth(tmp_path, ("a.png",)), tmp_path)
        whole = replace(whole, categories=[dict(c) for c in CATEGORIES])
        maps = whole.panoptic.annotations
        records = [*whole.categories, *whole.images, *whole.annotations, *maps, *maps[0]["segments_info"]]
        for _ in range(2):
            record = generator.choice(records)
            record[generator.choice(list(record))] = generator.choice(values)
        try:
            found = preview({"train": whole}, tmp_path / "out.png", SMALL)
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert all("\n" not in line for line in found.notes)
            assert Path(found.path).is_file()
