"""Panoptic truth of instances and stuff, and back: equal to the embedded data set's, and every rule on a made scene."""

import json
from dataclasses import replace

import numpy as np
import pytest

from thingstuff.data.panoptic.build import build_panoptic
from thingstuff.data.panoptic.split import split_panoptic, split_panoptic_truth
from thingstuff.data.shapes import CATEGORIES
from thingstuff.data.truth import PanopticFiles, SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.evaluation import CocoPanoptic, evaluate_panoptic
from thingstuff.structures import MaskCrops, read_png, rgb_to_ids, rle, write_png

# ---- the embedded data set ---------------------------------------------------------------------------------------


def shapes_truth(root, split="val"):
    content = json.loads((root / f"annotations/instances_{split}.json").read_text())
    stuff = {image["id"]: root / f"stuff_{split}" / image["file_name"] for image in content["images"]}
    meaning = {0: None} | {n: category.id for n, category in enumerate(CATEGORIES.stuff, 1)}
    parts = {key: content[key] for key in ("images", "annotations")}
    return SplitTruth(
        f"instances_{split}.json", root / split, CATEGORIES.to_coco(), **parts, stuff=StuffFiles(stuff, meaning)
    )


@pytest.mark.parametrize("policy", ["fail", "area", "order"])
def test_shapes_parts_give_shapes_panoptic_files(small_shapes, tmp_path, policy):
    built = build_panoptic(shapes_truth(small_shapes), tmp_path / "made", policy)
    assert (built.json_path, built.folder) == (tmp_path / "made.json", tmp_path / "made")
    assert (built.shared_px, built.hidden, built.is_whole) == (0, (), True)
    expected = json.loads((small_shapes / "annotations/panoptic_val.json").read_text())
    found = json.loads(built.json_path.read_text())
    for key in ("images", "annotations", "categories"):
        assert found[key] == expected[key]
    assert found["annotations"] == built.annotations
    for record in expected["annotations"]:
        own, theirs = (read_png(f / record["file_name"], "RGB") for f in (built.folder, small_shapes / "panoptic_val"))
        np.testing.assert_array_equal(own, theirs)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made", "made.json"]


def test_built_truth_scores_100_against_itself(small_shapes, tmp_path):
    built = build_panoptic(shapes_truth(small_shapes, "train"), tmp_path / "made")
    scores = evaluate_panoptic(built.json_path, built.json_path)
    assert scores.percent()["PQ"] == scores.percent()["SQ"] == scores.percent()["RQ"] == 100
    theirs = small_shapes / "annotations/panoptic_train.json"
    assert evaluate_panoptic(theirs, built.json_path, small_shapes / "panoptic_train").percent()["PQ"] == 100


def test_shapes_panoptic_files_give_shapes_parts(small_shapes, tmp_path):
    truth = split_panoptic(
        small_shapes / "annotations/panoptic_val.json",
        tmp_path / "stuff",
        png_folder=small_shapes / "panoptic_val",
        image_root=small_shapes / "val",
    )
    expected = shapes_truth(small_shapes)
    assert truth.annotations == expected.annotations
    assert truth.images == expected.images and truth.image_root == expected.image_root
    assert (truth.stuff.label_ids, truth.stuff.void_labels) == (expected.stuff.label_ids, {255})
    for image in truth.images:
        np.testing.assert_array_equal(truth.stuff.read(image["id"]), expected.stuff.read(image["id"]))
        assert truth.stuff.paths[image["id"]] == tmp_path / "stuff" / image["file_name"]


# ---- a made scene ------------------------------------------------------------------------------------------------

PERSON, CAR, SKY, GRASS = 7, 3, 40, 9
RECORDS = [
    {"id": PERSON, "name": "person", "isthing": 1},
    {"id": SKY, "name": "sky", "isthing": 0},
    {"id": CAR, "name": "car"},
    {"id": GRASS, "name": "grass", "isthing": 0},
]
HEIGHT, WIDTH = 6, 8


def mask(x0, y0, x1, y1):
    bitmap = np.zeros((HEIGHT, WIDTH), np.uint8)
    bitmap[y0:y1, x0:x1] = 1
    return bitmap


def note(category_id, bitmap, image_id=1, **more):
    return {"image_id": image_id, "category_id": category_id, "segmentation": rle.encode(bitmap), **more}


def scene(folder, notes, labels=None, label_ids=None, images=None):
    """One image of 6 x 8 pixels. Labels: 0 = things, 1 = sky, 2 = grass, 255 = void, unless `label_ids` says else."""
    images = images or [{"id": 1, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH}]
    stuff = None
    if labels is not None:
        write_png(folder / "labels.png", labels)
        stuff = StuffFiles({1: folder / "labels.png"}, label_ids or {0: None, 1: SKY, 2: GRASS})
    return SplitTruth("made.json", folder, RECORDS, images, notes, stuff)


def built_map(truth, folder, policy="fail"):
    """H x W segment ids, and the segments_info by id."""
    built = build_panoptic(truth, folder / "out", policy)
    record = built.annotations[0]
    CocoPanoptic.open(built.json_path).read(1)  # consistent in itself
    return rgb_to_ids(read_png(built.folder / record["file_name"], "RGB")), record["segments_info"], built


def two_of_different_size():
    """The first is 4 x 3, the second 4 x 2; columns 2 and 3 of rows 1 and 2, 4 pixels, belong to both."""
    return [note(PERSON, mask(0, 0, 4, 3)), note(CAR, mask(2, 1, 6, 3))]


def test_a_pixel_of_two_instances_is_refused(tmp_path):
    truth = scene(tmp_path, two_of_different_size())
    message = (
        r"^made\.json: images\[0\]: made\.json: annotations\[0\] and made\.json: annotations\[1\] share 4 pixels: mend"
    )
    with pytest.raises(DataError, match=message):
        build_panoptic(truth, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("policy", "in_order", "above"), [("area", 1, 2), ("area", -1, 1), ("order", 1, 2), ("order", -1, 2)]
)
def test_the_smaller_or_the_later_instance_wins(tmp_path, policy, in_order, above):
    """With "area" the car (8 pixels) lies above the person (12), with "order" the second record above the first."""
    notes = two_of_different_size()[::in_order]
    ids, infos, built = built_map(scene(tmp_path, notes), tmp_path, policy)
    bitmaps = [rle.decode(n["segmentation"]) == 1 for n in notes]
    expected = np.where(bitmaps[0], 1, np.where(bitmaps[1], 2, 0))
    expected[bitmaps[0] & bitmaps[1]] = above
    np.testing.assert_array_equal(ids, expected)
    assert [i["category_id"] for i in infos] == [n["category_id"] for n in notes]
    assert [i["area"] for i in infos] == [int((expected == 1).sum()), int((expected == 2).sum())]
    assert built.shared_px == 4


def test_annotations_of_one_place_are_two(tmp_path):
    truth = replace(scene(tmp_path, two_of_different_size()), annotation_places=["street.xml"] * 2)
    assert len(built_map(truth, tmp_path, "area")[1]) == 2


def test_of_equal_areas_the_later_one_wins(tmp_path):
    notes = [note(CAR, mask(0, 0, 4, 2)), note(CAR, mask(2, 0, 6, 2)), note(PERSON, mask(1, 0, 5, 2))]
    ids, _, built = built_map(scene(tmp_path, notes), tmp_path, "area")
    np.testing.assert_array_equal(ids[0], [1, 3, 3, 3, 3, 2, 0, 0])
    assert built.shared_px == 2 * 2 + 4 * 2 and built.hidden == ()


def test_an_instance_under_others_or_without_pixels_has_no_segment(tmp_path):
    notes = [note(CAR, mask(1, 1, 3, 3)), note(CAR, mask(0, 0, 0, 0)), note(PERSON, mask(0, 0, 4, 4))]
    ids, infos, built = built_map(scene(tmp_path, notes), tmp_path, "order")
    assert [(i["id"], i["category_id"], i["area"], i["bbox"]) for i in infos] == [(1, PERSON, 16, [0, 0, 4, 4])]
    assert set(np.unique(ids)) == {0, 1}
    assert built.hidden == ("made.json: annotations[0]", "made.json: annotations[1]")


def test_stuff_is_where_no_instance_is_and_void_where_nobody_knows(tmp_path):
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[0], labels[1:3], labels[3] = 1, 2, 255  # and things below, of which one instance is known
    ids, infos, _ = built_map(scene(tmp_path, [note(CAR, mask(0, 2, 3, 5))], labels), tmp_path)
    expected = np.zeros((HEIGHT, WIDTH))
    expected[0], expected[1:3], expected[2:5, 0:3] = 2, 3, 1
    np.testing.assert_array_equal(ids, expected)
    assert infos == [
        {"id": 1, "category_id": CAR, "area": 9, "bbox": [0, 2, 3, 3], "iscrowd": 0},
        {"id": 2, "category_id": SKY, "area": 8, "bbox": [0, 0, 8, 1], "iscrowd": 0},
        {"id": 3, "category_id": GRASS, "area": 13, "bbox": [0, 1, 8, 2], "iscrowd": 0},
    ]


@pytest.mark.parametrize("policy", ["fail", "area", "order"])
def test_crowds_lie_below_everything(tmp_path, policy):
    """Below the instance (records before and after), below the stuff, and over what the map calls things or void."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:2], labels[5] = 1, 255
    notes = [note(PERSON, mask(0, 0, 1, 6)), note(PERSON, mask(0, 1, 8, 6), iscrowd=1), note(CAR, mask(7, 0, 8, 6))]
    ids, infos, built = built_map(scene(tmp_path, notes, labels), tmp_path, policy)
    expected = np.full((HEIGHT, WIDTH), 2)
    expected[:2], expected[:, 0], expected[:, 7] = 4, 1, 3
    np.testing.assert_array_equal(ids, expected)
    assert [i["iscrowd"] for i in infos] == [0, 1, 0, 0]
    assert built.shared_px == 0


def test_crowds_lie_above_the_stuff_of_maps_that_know_no_things(tmp_path):
    labels = np.full((HEIGHT, WIDTH), 2, np.uint8)
    notes = [note(PERSON, mask(0, 0, 4, 4), iscrowd=1), note(CAR, mask(3, 3, 5, 5))]
    ids, _, _ = built_map(scene(tmp_path, notes, labels, {2: GRASS}), tmp_path)
    expected = np.full((HEIGHT, WIDTH), 3)
    expected[:4, :4], expected[3:5, 3:5] = 1, 2
    np.testing.assert_array_equal(ids, expected)
    # a map whose labels name thing categories knows things as well
    labels[:4, :4] = 5
    ids, _, _ = built_map(scene(tmp_path, notes[:1], labels, {2: GRASS, 5: PERSON}), tmp_path / "2")
    np.testing.assert_array_equal(ids, np.where(labels == 5, 1, 2))


def test_two_crowds_share_pixels_and_the_later_one_has_them(tmp_path):
    notes = [note(PERSON, mask(0, 0, 4, 4), iscrowd=1), note(CAR, mask(2, 0, 6, 4), iscrowd=1)]
    ids, _, built = built_map(scene(tmp_path, notes), tmp_path)
    np.testing.assert_array_equal(ids[0], [1, 1, 2, 2, 2, 2, 0, 0])
    assert built.shared_px == 0


def test_an_image_without_anything_is_void(tmp_path):
    ids, infos, _ = built_map(scene(tmp_path, []), tmp_path)
    assert infos == [] and not ids.any()
    ids, infos, _ = built_map(replace(scene(tmp_path, None, np.full((HEIGHT, WIDTH), 255, np.uint8))), tmp_path / "b")
    assert infos == [] and not ids.any()


def test_polygons_are_filled_as_everywhere(tmp_path):
    polygon = [[0.0, 0.0, 5.0, 0.0, 5.0, 4.0]]
    truth = scene(tmp_path, [{"image_id": 1, "category_id": CAR, "segmentation": polygon}])
    ids, _, _ = built_map(truth, tmp_path)
    np.testing.assert_array_equal(ids == 1, MaskCrops.from_polygons([polygon], HEIGHT, WIDTH).bitmap(0))


def test_names_are_nested_safe_and_distinct(tmp_path):
    names = ["a.jpg", "b/a.jpg", "b/a.tif", "c.png/d.jpg", "c.jpg"]
    size = {"height": 2, "width": 2}
    images = [{"id": n, "file_name": name, **size} for n, name in enumerate(names)]
    built = build_panoptic(scene(tmp_path, [], images=images), tmp_path / "out")
    expected = ["a.png", "b/a.jpg.png", "b/a.tif.png", "c.png~/d.png", "c.png"]
    assert [r["file_name"] for r in built.annotations] == expected
    assert sorted(p.relative_to(built.folder).as_posix() for p in built.folder.rglob("*.png")) == sorted(expected)
    twice = [*images, {"id": 9, "file_name": "a.jpg", **size}]
    with pytest.raises(DataError, match=r"images\[5\] and made\.json: images\[0\] are one file, a\.jpg: keep one"):
        build_panoptic(scene(tmp_path, [], images=twice), tmp_path / "more")


@pytest.mark.parametrize("name", ["../a.jpg", "/tmp/a.jpg", "b/../../a.jpg", "..\\a.jpg", "", ".", None, 7, "\ud800"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name):
    images = [{"id": 1, "file_name": name, "height": 2, "width": 2}]
    with pytest.raises(DataError, match=r"images\[0\]: expected a file_name below the image folder"):
        build_panoptic(scene(tmp_path, [], images=images), tmp_path / "out")


def image(**values):
    return [{"id": 1, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH, **values}]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"images": image(height=None)}, r"images\[0\]: expected a height and a width of 1 or more, got None and 8"),
        ({"images": image(width=True)}, r"got 6 and True"),
        ({"images": image(width=10**9, height=10**9)}, r"images\[0\]: expected at most 268435456 pixels, got 10{9} x"),
        ({"images": image(id=[1])}, r"images\[0\]: expected an id of its own, got \[1\]"),
        ({"images": image() + image()}, r"images\[1\]: expected an id of its own, got 1"),
        ({"categories": [*RECORDS, {"id": 7, "name": "dog"}]}, r"made\.json: two categories share the id 7"),
        ({"categories": [*RECORDS, {"id": 8, "name": "sky"}]}, r"made\.json: two categories share the name 'sky'"),
        ({"annotations": [note(CAR, mask(0, 0, 1, 1), 5)]}, r"annotations\[0\]: there is no image with the id 5"),
        ({"annotations": [note(CAR, mask(0, 0, 1, 1), {})]}, r"annotations\[0\]: there is no image with the id {}"),
        ({"annotations": [note(SKY, mask(0, 0, 1, 1))]}, r"annotations\[0\]: no thing category has the id 40"),
        ({"annotations": [note([], mask(0, 0, 1, 1))]}, r"annotations\[0\]: no thing category has the id \[\]"),
        ({"annotations": [{"image_id": 1, "category_id": CAR}]}, r"annotations\[0\]: it has no mask"),
        (
            {
                "annotations": [
                    {"image_id": 1, "category_id": CAR, "segmentation": {"size": [10**6] * 2, "counts": "a"}}
                ]
            },
            r"annotations\[0\]: expected an RLE of size \[6, 8\], got \[1000000, 1000000\]",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": CAR, "segmentation": {"size": [6, 8], "counts": [3]}}]},
            r"annotations\[0\]: mask 0: RLE: expected runs of 6 x 8",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": CAR, "segmentation": [["a"] * 6]}]},
            r"annotations\[0\]: mask 0: polygon: expected numbers",
        ),
        (
            {
                "annotations": [
                    {"image_id": 1, "category_id": CAR, "segmentation": {"size": [6, 8], "counts": [2**62] * 4}}
                ]
            },
            r"annotations\[0\]: expected run lengths of 0 to 48",
        ),
        ({"annotations": None}, r"made\.json has neither instances nor stuff"),
    ],
)
def test_what_cannot_be_built_is_named(tmp_path, wrong, message):
    truth = replace(scene(tmp_path, []), **wrong)
    with pytest.raises(DataError, match=message) as caught:
        build_panoptic(truth, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_categories_that_two_files_say_alike_count_once(tmp_path):
    truth = replace(scene(tmp_path, [note(CAR, mask(0, 0, 1, 1))]), categories=[*RECORDS, RECORDS[1]])
    built = build_panoptic(truth, tmp_path / "out")
    categories = json.loads(built.json_path.read_text())["categories"]
    assert categories == [{**record, "isthing": record.get("isthing", 1)} for record in RECORDS]


def test_label_maps_that_do_not_fit_are_named(tmp_path):
    truth = scene(tmp_path, [], np.full((HEIGHT, WIDTH), 7, np.uint8))
    with pytest.raises(DataError, match=r"images\[0\]: its label map: the label 7 is no category's"):
        build_panoptic(truth, tmp_path / "out")
    truth = scene(tmp_path, [], np.zeros((WIDTH, HEIGHT), np.uint8))
    with pytest.raises(DataError, match=r"images\[0\]: expected a label map of 6 x 8 pixels .*, got 8 x 6"):
        build_panoptic(truth, tmp_path / "out")
    with pytest.raises(DataError, match="image 1 has no label map"):
        build_panoptic(replace(truth, stuff=StuffFiles({}, {1: SKY})), tmp_path / "out")


def test_nothing_that_is_there_is_overwritten(tmp_path):
    truth = scene(tmp_path, [])
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("years of work")
    (tmp_path / "b.json").write_text("also")
    with pytest.raises(DataError, match="holds something already"):
        build_panoptic(truth, tmp_path / "full")
    with pytest.raises(DataError, match=r"b\.json is there already"):
        build_panoptic(truth, tmp_path / "b")
    with pytest.raises(DataError, match="there is no policy 'largest'"):
        build_panoptic(truth, tmp_path / "c", "largest")
    (tmp_path / "empty").mkdir()
    assert build_panoptic(truth, tmp_path / "empty").folder.is_dir()


def test_what_breaks_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    truth = scene(tmp_path, [])

    def fail(*_):
        raise OSError(28, "No space left on device")

    for place in ("thingstuff.data.panoptic.build.write_with_list", "thingstuff.data.panoptic.build.paint"):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
            patch.setattr(place, fail)
            build_panoptic(truth, tmp_path / "out")
        assert list(tmp_path.iterdir()) == []


# ---- the way back ------------------------------------------------------------------------------------------------


def test_parts_come_back(tmp_path):
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:2], labels[5] = 2, 255
    notes = [note(PERSON, mask(0, 0, 4, 3)), note(CAR, mask(4, 2, 8, 4), iscrowd=1)]
    built = build_panoptic(scene(tmp_path, notes, labels), tmp_path / "out")
    truth = split_panoptic(built.json_path, tmp_path / "back")
    expected = [
        {"id": 1, "category_id": PERSON, "area": 12, "bbox": [0, 0, 4, 3], "iscrowd": 0},
        {"id": 2, "category_id": CAR, "area": 8, "bbox": [4, 2, 4, 2], "iscrowd": 1},
    ]
    pairs = zip(expected, notes, strict=True)
    assert truth.annotations == [{**e, "image_id": 1, "segmentation": n["segmentation"]} for e, n in pairs]
    known = np.full((HEIGHT, WIDTH), 255)  # no instance and no stuff: void
    known[:2], known[:3, :4], known[2:4, 4:] = 2, 0, 0
    np.testing.assert_array_equal(truth.stuff.read(1), known)
    assert truth.stuff.label_ids == {0: None, 1: SKY, 2: GRASS}
    again = build_panoptic(truth, tmp_path / "again")
    assert again.annotations == built.annotations


def test_nothing_to_split_and_an_empty_map(tmp_path):
    truth = scene(tmp_path, [])
    with pytest.raises(DataError, match="has no panoptic truth"):
        split_panoptic_truth(truth, tmp_path / "back")
    built = build_panoptic(truth, tmp_path / "out")
    back = split_panoptic_truth(replace(truth, annotations=None, panoptic=built), tmp_path / "back")
    assert back.annotations == []
    assert (back.stuff.read(1) == 255).all()


def damaged(content, path, value):
    """The JSON with one value replaced, which stands at `path`."""
    changed = json.loads(json.dumps(content))
    *way, last = path
    here = changed
    for step in way:
        here = here[step]
    here[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("images",), None, r"expected a list of dictionaries 'images'"),
        (("annotations",), [3], r"expected a list of dictionaries 'annotations'"),
        (("annotations", 0, "file_name"), "../a.png", r"annotations\[0\]: expected a file_name below"),
        (("annotations", 0, "image_id"), [], r"annotations\[0\]: expected the image_id of an image"),
        (("annotations", 0, "image_id"), 5, r"no annotation is of image 1"),
        (("annotations", 0, "segments_info"), {}, r"annotations\[0\]: expected a list segments_info"),
        (("annotations", 0, "segments_info", 0), "x", r"segments_info\[0\]: expected an integer id and category_id"),
        (("annotations", 0, "segments_info", 0, "category_id"), [], r"segments_info\[0\]: expected an integer id"),
        (("annotations", 0, "segments_info", 0, "category_id"), 99, r"no category has the id 99"),
        (("annotations", 0, "segments_info"), [], r"pixels of segment 1, which no segment describes"),
        (("images", 0, "height"), -6, r"images\[0\]: expected a height and a width"),
        (("images", 0, "height"), 7, r"annotations\[0\]: expected a PNG of \(7, 8\) pixels"),
        (("images", 0, "id"), {}, r"images\[0\]: expected an id"),
        (("categories", 0), {"id": 1}, r"categories\[0\]"),
    ],
)
def test_panoptic_files_that_cannot_be_split_are_named(tmp_path, path, value, message):
    built = build_panoptic(scene(tmp_path, [note(CAR, mask(0, 0, 2, 2))]), tmp_path / "out")
    content = json.loads(built.json_path.read_text())
    built.json_path.write_text(json.dumps(damaged(content, path, value)))
    with pytest.raises(DataError, match=message) as caught:
        split_panoptic(built.json_path, tmp_path / "back")
    assert "\n" not in str(caught.value) and not (tmp_path / "back").exists()


def test_more_stuff_than_a_label_file_can_hold_is_refused(tmp_path):
    categories = [{"id": n, "name": f"stuff {n}", "isthing": 0} for n in range(255)]
    truth = SplitTruth("a.json", tmp_path, categories, [], panoptic=PanopticFiles(tmp_path / "a", tmp_path, []))
    with pytest.raises(DataError, match=r"a\.json: expected at most 254 categories of stuff"):
        split_panoptic_truth(truth, tmp_path / "back")
