"""Categories: every conversion, both ways, against the written-out rule and Detectron2's own tables."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import load_script

from thingstuff.errors import DataError
from thingstuff.structures import NOT_STUFF, VOID, Categories, Category

SKY, CAT, GRASS, DOG = (
    Category(40, "sky", isthing=False),
    Category(7, "cat", color=(1, 2, 3)),
    Category(3, "grass", isthing=False, color=(9, 9, 9)),
    Category(90, "dog"),
)
PETS = Categories((SKY, CAT, GRASS, DOG))


def detectron2_tables():
    """builtin_meta.py alone: it imports nothing, while the package around it imports torch."""
    package = importlib.util.find_spec("detectron2")
    if package is None:
        pytest.skip("detectron2 is absent")
    path = Path(package.origin).parent / "data/datasets/builtin_meta.py"
    return load_script(path)


def test_things_and_stuff_keep_the_order():
    assert PETS.things == (CAT, DOG) and PETS.stuff == (SKY, GRASS) and len(PETS) == 4


def test_lookups():
    assert PETS.by_id(3) is GRASS and PETS.by_name("dog") is DOG
    with pytest.raises(DataError, match="no category has the id 4: the ids are 3, 7, 40, 90"):
        PETS.by_id(4)
    with pytest.raises(DataError, match="no category is named 'cow': the names are sky, cat, grass, dog"):
        PETS.by_name("cow")


def test_hashable_and_comparable():
    same = Categories((SKY, CAT, GRASS, DOG))
    assert same == PETS and hash(same) == hash(PETS) and Categories((CAT,)) != PETS


def test_thing_indices_both_ways():
    assert PETS.thing_indices([90, 7, 7]).tolist() == [1, 0, 0]
    assert PETS.thing_ids([1, 0, 0]).tolist() == [90, 7, 7]
    for empty in (PETS.thing_indices([]), PETS.thing_ids(np.zeros(0, np.int32))):
        assert empty.shape == (0,) and empty.dtype == np.int64


def test_thing_indices_refuse_stuff_and_strangers():
    with pytest.raises(DataError, match=r"category 'sky' \(id 40\): expected a thing"):
        PETS.thing_indices(np.array([7, 40]))
    with pytest.raises(DataError, match="no category has the id 8"):
        PETS.thing_indices([7, 8])
    with pytest.raises(DataError, match="got float64"):
        PETS.thing_indices([7.0])
    for index in (-1, 2):
        with pytest.raises(DataError, match=f"expected 0 to 1, got {index}"):
            PETS.thing_ids([index])


def test_stuff_map_both_ways():
    ids = np.array([[40, 7, 3], [255, 90, 40]], np.uint8)
    stuff = PETS.stuff_map(ids, void_ids=[255])
    assert stuff.dtype == np.uint16
    assert stuff.tolist() == [[1, NOT_STUFF, 2], [VOID, NOT_STUFF, 1]]
    assert PETS.stuff_ids(stuff).tolist() == [[40, -1, 3], [-1, -1, 40]]
    assert PETS.stuff_ids(stuff, not_stuff_id=0, void_id=255).tolist() == [[40, 0, 3], [255, 0, 40]]


def test_stuff_map_by_the_written_out_rule():
    rng = np.random.default_rng(0)
    for _ in range(50):
        numbers = rng.choice(2**40, 30, replace=False) - 2**39
        categories = Categories(tuple(Category(int(n), f"c{n}", bool(rng.integers(2))) for n in numbers))
        ids = rng.choice(numbers, rng.integers(0, 9, 2))
        labels = {c.id: i + 1 for i, c in enumerate(c for c in categories.all if not c.isthing)}
        expected = [[labels.get(int(n), NOT_STUFF) for n in row] for row in ids]
        assert categories.stuff_map(ids).tolist() == expected


def test_stuff_map_refuses_unknown_ids_rather_than_calling_them_void():
    with pytest.raises(DataError, match="no category has the id 255"):
        PETS.stuff_map(np.array([[40, 255]]))
    with pytest.raises(DataError, match="the id 40 is a category's and cannot mean void"):
        PETS.stuff_map(np.array([[40]]), void_ids=[40])
    with pytest.raises(DataError, match="got 3"):
        PETS.stuff_ids(np.array([[1, 3]], np.uint16))


def test_coco_round_trip():
    records = PETS.to_coco()
    assert records[1] == {"id": 7, "name": "cat", "isthing": 1, "color": [1, 2, 3]}
    assert records[0] == {"id": 40, "name": "sky", "isthing": 0}
    assert Categories.from_coco(records) == PETS


def test_coco_detection_categories_are_things():
    assert Categories.from_coco([{"id": 1, "name": "a", "supercategory": "b"}]).all == (Category(1, "a", isthing=True),)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], "two categories share the id 1"),
        ([{"id": 1, "name": "a"}, {"id": 2, "name": "a"}], "two categories share the name 'a'"),
        ([{"id": 1, "name": "a"}, {"id": 2}], r"categories\[1\]: expected the keys id and name"),
        ([{"id": "1", "name": "a"}], "category 'a': expected an integer id, got '1'"),
        ([{"id": True, "name": "a"}], "expected an integer id"),
        ([{"id": 1, "name": ""}], "category 1: expected a name"),
        ([{"id": 1, "name": "a", "color": [1, 2]}], "category 1: expected a colour"),
        ([{"id": 1, "name": "a", "color": [1, 2, 256]}], "category 1: expected a colour"),
        ([{"id": 1, "name": "a", "color": "red"}], "category 1: expected a colour"),
    ],
)
def test_bad_records_are_refused(records, message):
    with pytest.raises(DataError, match=message):
        Categories.from_coco(records)


def test_detectron2_panoptic_metadata_is_read_and_written():
    expected = detectron2_tables()._get_coco_panoptic_separated_meta()
    categories = Categories.from_metadata(SimpleNamespace(**expected))
    written = categories.to_metadata()
    for key in ("thing_classes", "stuff_classes", "thing_dataset_id_to_contiguous_id"):
        assert written[key] == expected[key]
    assert written["stuff_dataset_id_to_contiguous_id"] == expected["stuff_dataset_id_to_contiguous_id"]
    for key in ("thing_colors", "stuff_colors"):
        assert written[key] == [list(color) for color in expected[key]]
    assert Categories.from_metadata(written) == categories


def test_detectron2_standard_metadata_names_the_same_categories():
    tables = detectron2_tables()
    categories = Categories.from_metadata(tables._get_builtin_metadata("coco_panoptic_standard"))
    records = tables.COCO_CATEGORIES
    assert [(c.id, c.name) for c in categories.things] == [(r["id"], r["name"]) for r in records if r["isthing"]]
    assert [(c.id, c.name) for c in categories.stuff] == [(r["id"], r["name"]) for r in records if not r["isthing"]]


def test_detectron2_instance_metadata_and_a_semantic_one():
    tables = detectron2_tables()
    assert Categories.from_metadata(tables._get_builtin_metadata("coco")).stuff == ()
    semantic = Categories.from_metadata({"stuff_classes": ["wall", "floor"]})
    assert semantic.all == (Category(0, "wall", isthing=False), Category(1, "floor", isthing=False))


def test_metadata_round_trip_keeps_everything_but_the_mixed_order():
    for categories in (PETS, Categories((CAT,)), Categories((SKY,)), Categories(())):
        read = Categories.from_metadata(categories.to_metadata())
        assert [(c.id, c.name) for c in read.things] == [(c.id, c.name) for c in categories.things]
        assert [(c.id, c.name) for c in read.stuff] == [(c.id, c.name) for c in categories.stuff]


@pytest.mark.parametrize("isthing", [True, False])
def test_a_category_with_id_0_does_not_collide_with_the_things_class(isthing):
    categories = Categories((Category(0, "zero", isthing), Category(1, "one", not isthing)))
    metadata = categories.to_metadata()
    assert metadata["stuff_dataset_id_to_contiguous_id"] == {-1: 0, int(isthing): 1}
    read = Categories.from_metadata(metadata)
    assert (read.things[0].id, read.stuff[0].id) == (1 - isthing, int(isthing))


def test_metadata_that_does_not_fit_is_refused():
    with pytest.raises(DataError, match="thing_dataset_id_to_contiguous_id: class 1 has no name"):
        Categories.from_metadata({"thing_classes": ["a"], "thing_dataset_id_to_contiguous_id": {5: 0, 6: 1}})
    with pytest.raises(DataError, match="share the id 0"):
        Categories.from_metadata({"thing_classes": ["a"], "stuff_classes": ["b"]})


def test_colors_are_kept_distinct_and_stable():
    colors = PETS.colors()
    assert colors[1] == (1, 2, 3) and colors[2] == (9, 9, 9)
    many = Categories(tuple(Category(n, str(n)) for n in range(1000)))
    assert len(set(many.colors())) == 1000
    assert all(0 <= part <= 255 for color in many.colors() for part in color)
    assert Categories(many.all[500:]).colors()[0] == many.colors()[500]


def test_a_fallback_gives_way_to_a_given_color():
    fallback = Categories((Category(5, "a"),)).colors()[0]
    colors = Categories((Category(5, "a"), Category(6, "b", color=fallback))).colors()
    assert colors[1] == fallback and colors[0] != fallback
