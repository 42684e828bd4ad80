"""The greedy rule on scenes small enough to decide by hand: one for every outcome, and what holds in all."""

from __future__ import annotations

import numpy as np
import pytest
from merge_scenes import CATEGORIES, detections_of, random_scene

from thingstuff.errors import ConfigError, DataError
from thingstuff.merge import Greedy, InstanceEntry, StuffEntry, merge
from thingstuff.merge.canvas import Canvas, segment_ids
from thingstuff.structures import VOID, Categories, Category, Detections, MaskCrops, PanopticMap, Segment

CAT, SKY, GRASS = 7, 40, 3
PETS = Categories((Category(SKY, "sky", isthing=False), Category(CAT, "cat"), Category(GRASS, "grass", isthing=False)))
EVERYTHING = Greedy(overlap_thresh=1, stuff_area_limit=0, instances_confidence_thresh=0)
NO_STUFF = np.zeros((1, 10), np.uint16)


def cats(*rows, height=1, width=10):
    """Instances (first column, column behind the last, score), as high as the image."""
    bitmaps = np.zeros((len(rows), height, width), bool)
    for bitmap, (start, stop, _) in zip(bitmaps, rows, strict=True):
        bitmap[:, start:stop] = True
    masks = MaskCrops.from_bitmaps(bitmaps)
    scores = np.array([score for *_, score in rows], np.float32)
    return Detections(masks, masks.boxes_xyxy.astype(np.float32), scores, np.full(len(rows), CAT, np.int64))


def test_kept_eroded_and_two_kinds_of_dropped():
    instances = cats((0, 4, 0.75), (2, 10, 0.875), (3, 5, 0.625), (8, 9, 0.25))
    panoptic, ledger = merge(instances, NO_STUFF, PETS)
    assert panoptic.ids.tolist() == [[2, 2, 1, 1, 1, 1, 1, 1, 1, 1]]
    assert panoptic.segments == (
        Segment(1, CAT, True, 8, (2, 0, 8, 1), 0.875),
        Segment(2, CAT, True, 2, (0, 0, 2, 1), 0.75),
    )
    assert ledger.instances == (
        InstanceEntry(1, CAT, 0.875, 8, "kept", 8, 1),
        InstanceEntry(0, CAT, 0.75, 4, "eroded", 2, 2, covered_by=((1, 2),)),  # 2 of 4 is not more than half
        InstanceEntry(2, CAT, 0.625, 2, "dropped", 0, None, "overlap", 1.0, 0.5, ((1, 2),)),
        InstanceEntry(3, CAT, 0.25, 1, "dropped", 0, None, "confidence", 0.25, 0.5),
    )
    assert ledger.stuff == ()


def test_a_covered_instance_uses_an_id_and_an_empty_one_does_not():
    _, ledger = merge(cats((0, 5, 0.9), (5, 5, 0.8), (1, 3, 0.7), (4, 8, 0.6)), NO_STUFF, PETS, EVERYTHING)
    assert [(e.outcome, e.reason, e.segment_id) for e in ledger.instances] == [
        ("kept", None, 1),
        ("dropped", "empty", None),
        ("dropped", "covered", None),
        ("eroded", None, 3),
    ]
    assert [(e.value, e.threshold) for e in ledger.instances[1:3]] == [(0, 1), (0, 1)]


def test_several_takers_come_most_pixels_first_and_ties_by_index():
    takers = ((7, 9, 0.9), (0, 1, 0.9), (1, 4, 0.9), (5, 7, 0.8))
    _, ledger = merge(cats(*takers, (0, 10, 0.5)), NO_STUFF, PETS, EVERYTHING)
    assert ledger.instances[-1].covered_by == ((2, 3), (0, 2), (3, 2), (1, 1))
    assert ledger.instances[-1].lost_px == 8


def test_equal_scores_go_by_input_order():
    _, ledger = merge(cats((0, 6, 0.9), (4, 10, 0.9), (0, 10, 0.9)), NO_STUFF, PETS, EVERYTHING)
    assert [e.index for e in ledger.instances] == [0, 1, 2]
    assert [e.visible_px for e in ledger.instances] == [6, 4, 0]


def test_a_score_of_exactly_the_threshold_stays():
    instances = cats((0, 5, 0.1), (5, 9, 0.05))
    thresh = np.float32(0.1).item()
    assert [e.outcome for e in merge(instances, NO_STUFF, PETS, Greedy(0.5, 0, thresh))[1].instances] == [
        "kept",
        "dropped",
    ]
    # the float32 next to 0.7 lies below 0.7, and is compared as such
    assert merge(cats((0, 5, 0.7)), NO_STUFF, PETS, Greedy(0.5, 0, 0.7))[1].instances[0].reason == "confidence"


def stuff_row(*labels):
    return np.array([labels], np.uint16)


def test_stuff_kept_eroded_and_dropped():
    stuff_map = stuff_row(1, 1, 1, 2, 2, 2, 0, 0, VOID, VOID)
    panoptic, ledger = merge(cats((2, 5, 0.9)), stuff_map, PETS, Greedy(0.5, 2, 0.5))
    assert panoptic.ids.tolist() == [[2, 2, 1, 1, 1, 0, 0, 0, 0, 0]]
    assert panoptic.segments[1:] == (Segment(2, SKY, False, 2, (0, 0, 2, 1)),)
    assert ledger.stuff == (
        StuffEntry(SKY, 3, "eroded", 2, 2),
        StuffEntry(GRASS, 3, "dropped", 0, None, "area", 1.0, 2.0),
    )
    _, ledger = merge(cats((8, 9, 0.9)), stuff_map, PETS, Greedy(0.5, 2, 0.5))
    assert [e.outcome for e in ledger.stuff] == ["kept", "kept"]


@pytest.mark.parametrize(
    ("limit", "kept"), [(0, [SKY, GRASS]), (0.3, [SKY, GRASS]), (0.31, [SKY]), (3, [SKY, GRASS]), (4, [SKY]), (8, [])]
)
def test_a_limit_below_one_is_a_share_of_the_image(limit, kept):
    stuff_map = stuff_row(1, 1, 1, 1, 1, 1, 1, 2, 2, 2)
    panoptic, _ = merge(cats(), stuff_map, PETS, Greedy(stuff_area_limit=limit))
    assert [s.category_id for s in panoptic.segments] == kept


def test_covered_stuff_uses_an_id_where_there_is_no_limit():
    panoptic, ledger = merge(cats((0, 3, 0.9)), stuff_row(1, 1, 1, 2, 2, 2, 2, 2, 2, 2), PETS, EVERYTHING)
    assert [s.id for s in panoptic.segments] == [1, 3]
    assert ledger.stuff[0] == StuffEntry(SKY, 3, "dropped", 0, None, "covered", 0.0, 1.0)
    _, ledger = merge(cats((0, 3, 0.9)), stuff_row(1, 1, 1, 2, 2, 2, 2, 2, 2, 2), PETS, Greedy(1, 1, 0))
    assert ledger.stuff[0] == StuffEntry(SKY, 3, "dropped", 0, None, "area", 0.0, 1.0)


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (4, 0)])
def test_nothing_at_all(shape):
    height, width = shape
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    for masks in (None, MaskCrops.from_bitmaps(np.zeros((0, height, width), bool))):
        for stuff_map in (np.zeros(shape, np.uint16), np.full(shape, VOID, np.uint16)):
            panoptic, ledger = merge(Detections(masks, *none, height, width), stuff_map, PETS)
            assert panoptic.segments == () and ledger.instances == () and ledger.stuff == ()
            np.testing.assert_array_equal(panoptic.ids, np.zeros(shape, np.uint32))
            assert panoptic.ids.dtype == np.uint32


def test_categories_without_stuff():
    panoptic, _ = merge(cats((2, 5, 0.9)), NO_STUFF, Categories((Category(CAT, "cat"),)))
    assert panoptic.ids.tolist() == [[0, 0, 1, 1, 1, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("count", [252, 253, 300])
def test_ids_beyond_a_byte(count):
    """252 instances and two stuff labels are the last that fit into 255 codes; the answer is the same on both sides."""
    instances = cats(*((n, n + 1, 1 - n / 1000) for n in range(count)), width=count + 2)
    stuff_map = np.full((1, count + 2), 2, np.uint16)
    stuff_map[0, -1] = VOID
    panoptic, _ = merge(instances, stuff_map, PETS, EVERYTHING)
    assert panoptic.ids.tolist() == [[*range(1, count + 2), 0]]


def test_codes_beyond_16_bits():
    """As many labels and instances as no 16 bits hold, on the canvas itself."""
    canvas = Canvas(np.array([[1, VOID, 65000, 1]], np.uint16), 65000, 600)
    one, box = np.ones((1, 1), np.uint8), (3, 0, 4, 1)
    canvas.paint(one, box, 599)
    canvas.note_lost(canvas.owners(one, box), 4)
    assert canvas.takers() == {4: ((599, 1),)}
    codes = canvas.codes()
    ids = {1: 8, 65000: 7, canvas.code(599): 9}
    assert segment_ids(codes, ids, canvas.runs(codes)).tolist() == [[8, 0, 7, 9]]


def test_losses_of_more_instances_than_one_table_holds():
    rows = [(0, 9, 0.9)] + [(n % 9, n % 9 + 1, 0.8) for n in range(300)]
    _, ledger = merge(cats(*rows), NO_STUFF, PETS, EVERYTHING)
    assert [e.covered_by for e in ledger.instances] == [()] + [((0, 1),)] * 300


def test_inputs_stay_as_they_are():
    rng = np.random.default_rng(0)
    (bitmaps, scores, classes, stuff_map), rule = random_scene(rng)
    detections = detections_of(MaskCrops.from_bitmaps(bitmaps), scores, classes)
    for array in (*detections.masks.crops, detections.scores, detections.category_ids, stuff_map):
        array.flags.writeable = False
    panoptic, _ = merge(detections, stuff_map, CATEGORIES, rule)
    panoptic.ids[:] = 0  # the answer is the caller's own


def test_pixels_are_all_accounted_for():
    rng = np.random.default_rng(1)
    for _ in range(150):
        (bitmaps, scores, classes, stuff_map), rule = random_scene(rng)
        panoptic, ledger = merge(
            detections_of(MaskCrops.from_bitmaps(bitmaps), scores, classes), stuff_map, CATEGORIES, rule
        )
        entries = (*ledger.instances, *ledger.stuff)
        assert sum(entry.visible_px for entry in entries) == np.count_nonzero(panoptic.ids)
        assert sorted(e.index for e in ledger.instances) == list(range(len(scores)))
        assert [e.area_px for e in ledger.instances] == [bitmaps[e.index].sum() for e in ledger.instances]
        for entry in ledger.instances:
            taken = sum(pixels for _, pixels in entry.covered_by)
            assert entry.lost_px == taken if entry.outcome != "dropped" else entry.lost_px >= taken
        things = np.isin(panoptic.ids, [s.id for s in panoptic.segments if s.isthing])
        for entry in ledger.stuff:
            region = stuff_map == CATEGORIES.stuff.index(CATEGORIES.by_id(entry.category_id)) + 1
            free = region & ~things
            assert entry.area_px == region.sum()
            assert entry.visible_px == (0 if entry.outcome == "dropped" else free.sum())
            np.testing.assert_array_equal(panoptic.ids[free], entry.segment_id or 0)
        assert {e.category_id for e in ledger.stuff} == {
            CATEGORIES.stuff[label - 1].id for label in np.unique(stuff_map).tolist() if label not in (0, VOID)
        }
        assert [s.id for s in panoptic.segments] == [e.segment_id for e in entries if e.segment_id is not None]
        PanopticMap(panoptic.ids, panoptic.segments)


@pytest.mark.parametrize(
    ("detections", "stuff_map", "message"),
    [
        (Detections(None, *(getattr(cats((0, 5, 1)), f) for f in ("boxes_xyxy", "scores", "category_ids")), 1, 10),
         NO_STUFF, "detections: expected masks, which a merge needs, got 1 boxes without"),
        (cats((0, 5, 1)), NO_STUFF[:, :9], r"stuff map: expected uint16 of shape \(1, 10\), got .* \(1, 9\)"),
        (cats((0, 5, 1)), NO_STUFF.astype(np.int64), "stuff map: expected uint16 .* got int64"),
        (cats((0, 5, 1)), NO_STUFF + np.uint16(3), r"stuff map: expected 0 to 2 .* got 3"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused(detections, stuff_map, message):
    with pytest.raises(DataError, match=message):
        merge(detections, stuff_map, PETS)


@pytest.mark.parametrize(
    ("category_id", "message"),
    [(SKY, "detections: category 'sky' .*: expected a thing, got stuff"), (8, "detections: no category has the id 8")],
)
def test_instances_of_no_thing_category_are_refused(category_id, message):
    instances = cats((0, 5, 1), (5, 9, 1))
    instances.category_ids[1] = category_id
    with pytest.raises(DataError, match=message):
        merge(instances, NO_STUFF, PETS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("overlap_thresh", 1.01),
        ("overlap_thresh", -0.1),
        ("overlap_thresh", float("nan")),
        ("overlap_thresh", "0.5"),
        ("instances_confidence_thresh", 2),
        ("instances_confidence_thresh", True),
        ("stuff_area_limit", -1),
        ("stuff_area_limit", float("inf")),
        ("stuff_area_limit", None),
    ],
)
def test_impossible_thresholds_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"expected {name} to be a number, 0 .* got {value!r}"):
        Greedy(**{name: value})
