"""Detectron2's panoptic pair becomes a map and comes back, in both of its numbering conventions."""

import copy

import numpy as np
import pytest
import torch
from detectron2.data.datasets.builtin_meta import _get_builtin_metadata
from detectron2.modeling.meta_arch.panoptic_fpn import combine_semantic_and_instance_outputs
from detectron2.structures import Instances

import thingstuff.config  # noqa: F401
from thingstuff.errors import DataError
from thingstuff.modeling.panoptic_outputs import to_panoptic_map, to_panoptic_seg, with_dataset_ids
from thingstuff.structures import Categories, Category, PanopticMap

CATEGORIES = Categories(
    (Category(40, "sky", isthing=False), Category(7, "cat"), Category(3, "sea", isthing=False), Category(5, "dog"))
)
SEPARATED = CATEGORIES.to_metadata()  # cat 0, dog 1; things 0, sky 1, sea 2
STANDARD = {  # positions in one list
    "thing_dataset_id_to_contiguous_id": {7: 1, 5: 3},
    "stuff_dataset_id_to_contiguous_id": {40: 0, 3: 2},
    "label_divisor": 1000,
}


def tensor(rows):
    return torch.tensor(rows, dtype=torch.int32)


def categories_of(panoptic):
    return {s.id: (s.category_id, s.isthing) for s in panoptic.segments}


def info(number, isthing, category_id, **fields):
    return {"id": number, "isthing": isthing, "category_id": category_id, **fields}


def test_the_id_maps_tell_the_convention():
    ids = tensor([[1, 1, 2, 0], [3, 3, 2, 0]])
    expected = {1: (5, True), 2: (40, False), 3: (3, False)}
    separated = [info(1, True, 1, score=0.5), info(2, False, 1), info(3, False, 2)]
    standard = [info(1, True, 3), info(2, False, 0), info(3, False, 2)]
    found = to_panoptic_map((ids, separated), SEPARATED, CATEGORIES)
    assert categories_of(found) == expected == categories_of(to_panoptic_map((ids, standard), STANDARD, CATEGORIES))
    assert found.ids.tolist() == ids.tolist() and [s.score for s in found.segments] == [0.5, None, None]


def test_without_isthing_category_ids_are_the_data_sets():
    found = to_panoptic_map(
        (tensor([[4, 9]]), [{"id": 4, "category_id": 7}, {"id": 9, "category_id": 3}]), {}, CATEGORIES
    )
    assert categories_of(found) == {4: (7, True), 9: (3, False)}


def test_ids_that_hold_their_class():
    labels = torch.tensor([[-1, 0, 1001], [2000, 1002, 1002]])
    found = to_panoptic_map((labels, None), STANDARD, CATEGORIES)
    assert found.ids.tolist() == [[0, 1, 1002], [2001, 1003, 1003]]
    assert categories_of(found) == {1: (40, False), 1002: (7, True), 1003: (7, True), 2001: (3, False)}
    with pytest.raises(DataError, match="set label_divisor in the metadata"):
        to_panoptic_map((labels, None), SEPARATED, CATEGORIES)


def test_without_id_maps_indices_are_ids():
    categories = Categories((Category(0, "cat"), Category(1, "dog")))
    found = to_panoptic_map((tensor([[6]]), [info(6, True, 1)]), {"thing_classes": ["cat", "dog"]}, categories)
    assert categories_of(found) == {6: (1, True)}


def test_segments_without_a_pixel_are_left_out():
    segments = [info(1, True, 0, score=0.9), info(2, True, 1, score=0.8)]
    assert categories_of(to_panoptic_map((tensor([[2, 0]]), segments), SEPARATED, CATEGORIES)) == {2: (5, True)}
    assert to_panoptic_map((tensor([[0, 0]]), segments), SEPARATED, CATEGORIES).segments == ()
    assert to_panoptic_map((tensor([[0, 0]]), []), SEPARATED, CATEGORIES).segments == ()


def test_nothing_is_changed_in_place():
    pair = (torch.tensor([[-1, 1001]]), None)
    segments = [info(1, True, 0)]
    before = copy.deepcopy(segments)
    to_panoptic_map(pair, STANDARD, CATEGORIES)
    to_panoptic_map((tensor([[1]]), segments), SEPARATED, CATEGORIES)
    with_dataset_ids(segments, SEPARATED)
    assert segments == before and pair[0].tolist() == [[-1, 1001]]


def random_outputs(rng, side=24):
    """Overlapping boxes with distinct scores, and semantic labels in blocks."""
    count = int(rng.integers(0, 7))
    instances = Instances((side, side))
    masks = np.zeros((count, side, side), bool)
    for mask, (y, x) in zip(masks, rng.integers(0, side - 4, (count, 2)), strict=True):
        mask[y : y + rng.integers(0, 14), x : x + rng.integers(1, 14)] = True
    instances.pred_masks = torch.tensor(masks)
    instances.scores = torch.tensor(rng.permutation(20)[:count].astype("f") / 20)
    instances.pred_classes = torch.tensor(rng.integers(0, 2, count))
    return instances, torch.tensor(rng.integers(0, 3, (4, 4)).repeat(side // 4, 0).repeat(side // 4, 1))


def test_what_panoptic_fpn_gives_comes_back_exactly():
    rng = np.random.default_rng(0)
    for _ in range(50):
        ids, segments = combine_semantic_and_instance_outputs(*random_outputs(rng), 0.6, 30, 0.2)
        panoptic = to_panoptic_map((ids, segments), SEPARATED, CATEGORIES)
        index_by_segment = {s["id"]: s["instance_id"] for s in segments if s["isthing"]}
        again, infos = to_panoptic_seg(panoptic, index_by_segment, SEPARATED)
        assert torch.equal(again, ids) and again.dtype == ids.dtype
        assert infos == segments


def test_a_map_in_the_standard_convention():
    panoptic = PanopticMap.from_labels(np.array([[1, 2]], np.uint32), {1: 5, 2: 40}, CATEGORIES)
    ids, infos = to_panoptic_seg(panoptic, {}, STANDARD)
    assert ids.tolist() == [[1, 2]]
    assert infos == [info(1, True, 3), info(2, False, 0, area=1)]


@pytest.mark.parametrize("name", ["coco_panoptic_separated", "coco_panoptic_standard"])
def test_every_coco_category_goes_there_and_back(name):
    metadata = _get_builtin_metadata(name)
    categories = Categories.from_metadata(metadata)
    assert (len(categories.things), len(categories.stuff)) == (80, 53)
    category_ids = {number: c.id for number, c in enumerate(categories.all, 1)}
    panoptic = PanopticMap.from_labels(np.array([list(category_ids)], np.uint32), category_ids, categories)
    assert to_panoptic_map(to_panoptic_seg(panoptic, {}, metadata), metadata, categories).segments == panoptic.segments


@pytest.mark.parametrize(
    ("rows", "segments", "message"),
    [
        ([[1]], [info(1, True, 2)], "segment 1: the data set has no thing class 2"),
        ([[1]], [info(1, False, 3)], "segment 1: the data set has no stuff class 3"),
        ([[1]], [info(1, False, 0)], "no category has the id 0"),  # Panoptic FPN's class "things"
        ([[1, 2]], [info(1, True, 0)], "pixels of segment 2, which no segment describes"),
        ([[1]], [info(1, True, 0), info(1, True, 1)], "two segments share the id 1"),
    ],
)
def test_bad_pairs_are_refused(rows, segments, message):
    with pytest.raises(DataError, match=message):
        to_panoptic_map((tensor(rows), segments), SEPARATED, CATEGORIES)


def test_maps_that_detectron2_cannot_hold_are_refused():
    large = PanopticMap.from_labels(np.array([[2**31]], np.uint32), {2**31: 7}, CATEGORIES)
    with pytest.raises(DataError, match=r"segment 2147483648: expected an id below 2\*\*31"):
        to_panoptic_seg(large, {}, SEPARATED)
    cat = PanopticMap.from_labels(np.array([[1]], np.uint32), {1: 7}, CATEGORIES)
    with pytest.raises(DataError, match="segment 1: the metadata has no thing class for category 7"):
        to_panoptic_seg(cat, {}, {"thing_dataset_id_to_contiguous_id": {}})
