"""Whether a store and a truth number their categories alike: names decide, and what is not known is asked."""

import pytest

from thingstuff.errors import DataError
from thingstuff.report.store_categories import refuse_other_numbering, renumbering
from thingstuff.structures import Categories, Category

STORE = Categories((Category(1, "cat"), Category(2, "dog"), Category(9, "sky", isthing=False)))


def coco(**ids):
    return [{"id": number, "name": name} for name, number in ids.items()]


@pytest.mark.parametrize("truth", [coco(cat=1, dog=2), coco(cat=1, dog=2, cow=3), coco(cat=1), [], [None, {"id": 1}]])
def test_equal_numbering_says_nothing(truth):
    assert renumbering(STORE, truth) == ({}, [])


def test_other_ids_follow_the_names():
    moved, notes = renumbering(STORE, coco(dog=1, cat=2))
    assert moved == {1: 2, 2: 1}
    assert "'cat' has the id 1 in the store and 2 in the ground truth" in notes[0]


def test_another_name_is_pointed_out():
    moved, notes = renumbering(STORE, coco(cat=1, hound=2))
    assert moved == {}
    assert "category 2 is 'dog' in the store and 'hound' in the ground truth" in notes[0]


def test_other_ids_and_other_names_are_refused():
    with pytest.raises(DataError, match="does not know 'dog'"):
        renumbering(STORE, coco(cat=5, hound=2))


def test_panoptic_truth_must_be_numbered_alike():
    refuse_other_numbering(STORE, STORE)
    with pytest.raises(DataError, match="'cat' has the id 1 in the store and 2"):
        refuse_other_numbering(STORE, Categories((Category(2, "cat"), Category(1, "dog"))))
