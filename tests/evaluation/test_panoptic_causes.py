"""Planted causes of lost panoptic quality are found, each with the amount of a direct recomputation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thingstuff.errors import DataError
from thingstuff.evaluation import PanopticCounts
from thingstuff.evaluation.panoptic_causes import CAUSES, PanopticCauses
from thingstuff.merge import Greedy, merge
from thingstuff.structures import Categories, Category, Detections, MaskCrops, PanopticMap

CAT, SKY, DOG, SEA = 7, 40, 3, 41
CATEGORIES = Categories(
    (Category(CAT, "cat"), Category(SKY, "sky", isthing=False), Category(DOG, "dog"), Category(SEA, "sea", False))
)
EMPTY = PanopticCauses.empty(CATEGORIES)


def panoptic(ids, crowd_ids=()):
    """Ids tell their category themselves: 71 is a cat and so is 2071, 401 a sky."""
    ids = np.array(ids, np.uint32)
    category_ids = {i: i // 10 % 100 for i in np.unique(ids).tolist() if i}
    return PanopticMap.from_labels(ids, category_ids, CATEGORIES, crowd_ids=crowd_ids)


def row(*runs):
    """A map one pixel high, of (id, length) pairs."""
    return [[number for number, length in runs for _ in range(length)]]


def gains_of(found, truth, crowd_ids=()):
    return EMPTY.add(panoptic(found), panoptic(truth, crowd_ids), None).gains()


def pq_of(found, truth, crowd_ids=()):
    counts = PanopticCounts.empty(CATEGORIES).add(panoptic(found), panoptic(truth, crowd_ids))
    return counts.scores().numbers["PQ"]


def concerned(gains):
    """{cause: segments} of those that concern any; all others must gain nothing."""
    assert all(g.pq == 0 for g in gains.values() if g.segments == 0)
    return {cause: gain.segments for cause, gain in gains.items() if gain.segments}


# ---- nothing to mend ---------------------------------------------------------------------------------------------


def test_a_perfect_prediction_gains_nothing():
    scene = row((71, 5), (72, 3), (401, 8), (31, 2), (0, 2), (411, 1))
    gains = gains_of(scene, scene)
    assert tuple(gains) == CAUSES
    assert all((g.pq, g.pq_th, g.pq_st, g.segments) == (0, 0, 0, 0) for g in gains.values())


@pytest.mark.parametrize("shape", [(0, 0), (3, 4)])
def test_without_segments_gains_are_undefined(shape):
    nothing = np.zeros(shape, np.uint32)
    for gains in (EMPTY.gains(), gains_of(nothing, nothing)):
        assert all(math.isnan(g.pq) and g.segments == 0 for g in gains.values())


def test_a_prediction_of_nothing_is_all_missed():
    gains = gains_of(row((0, 10)), row((71, 5), (401, 5)))
    assert concerned(gains) == {"missed": 2}
    assert (gains["missed"].pq, gains["missed"].pq_th, gains["missed"].pq_st) == (1, 1, 1)


SKIES = (401, 6)
CAT_AND_SKY = row((71, 4), SKIES)


@pytest.mark.parametrize(
    "found, truth, crowd_ids, expected",
    [
        (CAT_AND_SKY, row((0, 4), SKIES), [], {}),  # void forgives
        (CAT_AND_SKY, CAT_AND_SKY, [71], {}),  # a crowd is neither found nor missed
        (row((72, 2), (73, 2), SKIES), CAT_AND_SKY, [71], {}),
        (row((0, 4), SKIES), CAT_AND_SKY, [71], {}),
        (row((31, 4), SKIES), CAT_AND_SKY, [71], {"false": 1}),  # of another category than the crowd
        (row((71, 10), SKIES), row((72, 4), (73, 6), SKIES), [72, 73], {}),
        (row((31, 2), (0, 2), SKIES), CAT_AND_SKY, [], {"missed": 1, "false": 1}),  # a tie, IoU 0.5
        (row((71, 1), (72, 1), (0, 2), SKIES), CAT_AND_SKY, [], {"missed": 1, "false": 2}),  # their union as well
        (row((71, 2), (31, 2), SKIES), CAT_AND_SKY, [], {"missed": 1, "false": 2}),  # a piece of another class
        (row((71, 4)), row((71, 2), (72, 2)), [], {"merged": 2}),
        (row((71, 4)), row((71, 2), (31, 2)), [], {"missed": 2, "false": 1}),
    ],
)
def test_what_is_a_cause_and_what_is_none(found, truth, crowd_ids, expected):
    assert concerned(gains_of(found, truth, crowd_ids)) == expected


def test_void_is_taken_out_of_the_union():
    # cat of 4 px, 3 on void: IoU with the dog is 1 / 2 with it and 1 / 1 without
    found, truth = row((71, 2), (401, 6)), row((31, 1), (0, 1), (401, 6))
    gains = gains_of(found, truth)
    assert concerned(gains) == {"class": 1}
    assert gains["class"].pq == 1 - pq_of(found, truth)


# ---- one cause alone ---------------------------------------------------------------------------------------------


def test_swapped_classes_gain_all_that_is_lost():
    rng = np.random.default_rng(0)
    causes, counts = EMPTY, PanopticCounts.empty(CATEGORIES)
    other = {CAT: DOG, DOG: SKY, SKY: SEA, SEA: CAT}
    for _ in range(6):
        ids = np.repeat(np.arange(1, 11, dtype=np.uint32), rng.integers(1, 9, 10))[None]
        true = {number: int(rng.choice([CAT, SKY, DOG, SEA])) for number in range(1, 11)}
        swapped = {number: other[true[number]] for number in (1 + rng.permutation(10)[:2]).tolist()}
        truth = PanopticMap.from_labels(ids, true, CATEGORIES)
        found = PanopticMap.from_labels(ids, true | swapped, CATEGORIES)
        causes, counts = causes.add(found, truth, None), counts.add(found, truth)
    gains, lost = causes.gains(), 1 - counts.scores().numbers["PQ"]
    assert 0 < lost < 1
    assert concerned(gains) == {"class": counts.fp.sum()}
    assert gains["class"].pq == lost == max(g.pq for g in gains.values())


def test_class_keeps_its_iou_and_frees_its_own_category():
    found, truth = row((31, 7), (401, 3), (32, 5)), row((71, 10), (31, 5))
    gains = gains_of(found, truth)
    # cat 0, dog 1 / 1.5, sky 0 (false) -> cat 0.7, dog 1, sky 0
    assert gains["class"].pq == pytest.approx((0.7 + 1 + 0) / 3 - (0 + 1 / 1.5 + 0) / 3)
    assert gains["class"].pq_th == pytest.approx((0.7 + 1) / 2 - (0 + 1 / 1.5) / 2)
    assert gains["class"].pq_st == 0
    assert concerned(gains) == {"class": 1, "false": 1}
    # without the sky, which was in no truth, three categories become two
    assert gains["false"].pq == pytest.approx((0 + 1 / 1.5) / 2 - (0 + 1 / 1.5 + 0) / 3)


def test_a_split_segment_becomes_one():
    found, truth = row((71, 4), (72, 4), (73, 2), (401, 5)), row((71, 10), (401, 5))
    gains = gains_of(found, truth)
    assert concerned(gains) == {"split": 1}
    assert gains["split"].pq == 1 - pq_of(found, truth) == 0.5


def test_the_union_of_pieces_has_its_iou():
    found, truth = row((71, 4), (72, 5), (401, 10)), row((71, 8), (0, 1), (71, 1), (401, 9))
    gains = gains_of(found, truth)
    # 8 of the 9 pixels of the cat, and the ninth of the prediction on void
    assert concerned(gains) == {"split": 1, "masks": 1}
    assert gains["split"].pq == pytest.approx((8 / 9 + 9 / 10) / 2 - 9 / 10 / 2)


def test_a_piece_that_lies_mostly_elsewhere_stays_what_it_is():
    found, truth = row((71, 4), (72, 4), (73, 3), (401, 9)), row((71, 9), (401, 11))
    gains = gains_of(found, truth)
    assert concerned(gains) == {"split": 1, "masks": 1, "false": 1}
    assert gains["split"].pq == pytest.approx((8 / 9 / 1.5 + 9 / 11) / 2 - 9 / 11 / 2)


def test_a_merged_segment_is_cut():
    found, truth = row((71, 15), (401, 5)), row((71, 5), (72, 5), (73, 5), (401, 5))
    gains = gains_of(found, truth)
    assert concerned(gains) == {"merged": 3}
    assert gains["merged"].pq == 1 - pq_of(found, truth) == 0.5


def test_a_merged_segment_that_matches_one_already():
    # 9 px of the first cat, 3 of 4 of the second, one on the sky
    found, truth = row((0, 1), (71, 9 + 3), (0, 1), (71, 1), (401, 4)), row((71, 10), (72, 4), (401, 5))
    gains = gains_of(found, truth)
    iou = 9 / (13 + 10 - 9)
    before, after = (iou / 1.5 + 4 / 5) / 2, ((9 / 10 + 3 / 4) / 2 + 4 / 5) / 2
    assert pq_of(found, truth) == pytest.approx(before)
    assert gains["merged"].pq == pytest.approx(after - before)
    assert concerned(gains) == {"merged": 2, "masks": 2}


def test_poor_masks_get_iou_1():
    found, truth = row((71, 8), (401, 12)), row((71, 10), (401, 10))
    gains = gains_of(found, truth)
    assert concerned(gains) == {"masks": 2}
    assert gains["masks"].pq == pytest.approx(1 - (8 / 10 + 10 / 12) / 2)
    assert (gains["masks"].pq_th, gains["masks"].pq_st) == pytest.approx((2 / 10, 2 / 12))


# ---- what the ledger knows ---------------------------------------------------------------------------------------

HEIGHT, WIDTH = 4, 20


def bitmap(x0, x1):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, x0:x1] = True
    return mask


def scene_of(*runs):
    return np.repeat(row(*runs), HEIGHT, axis=0)


def detections_of(*instances):
    """Each is (category, score, x0, x1)."""
    masks = MaskCrops.from_bitmaps(
        np.array([bitmap(x0, x1) for *_, x0, x1 in instances], bool).reshape(-1, HEIGHT, WIDTH)
    )
    return Detections(
        masks,
        masks.boxes_xyxy.astype(np.float32),
        np.array([score for _, score, *_ in instances], np.float32),
        np.array([category for category, *_ in instances], np.int64),
    )


def merged_gains(detections, labels, truth, crowd_ids=(), keep=("records", "detections", "stuff_map"), **limits):
    stuff_map = CATEGORIES.stuff_map(labels.astype(np.int64) // 10, void_ids=[0])
    found, ledger = merge(detections, stuff_map, CATEGORIES, Greedy(**{"stuff_area_limit": 0} | limits))
    records = list(ledger.records()) if "records" in keep else None
    causes = EMPTY.add(
        found,
        panoptic(truth, crowd_ids),
        records,
        detections if "detections" in keep else None,
        stuff_map if "stuff_map" in keep else None,
    )
    return causes.gains()


@pytest.mark.parametrize("reason", ["confidence", "overlap"])
def test_a_dropped_thing_is_put_back(reason):
    truth = scene_of((71, 10), (72, 10))
    low, limits = (0.3, {}) if reason == "confidence" else (0.8, {"overlap_thresh": 0.05})
    detections = detections_of((CAT, 0.9, 0, 10), (CAT, low, 9, 18), (DOG, 0.1, 0, 3))
    gains = merged_gains(detections, scene_of((0, 20)), truth, **limits)
    iou = 8 / 11  # columns 10 to 17 of 9 to 19
    assert concerned(gains) == {"dropped": 1}
    assert gains["dropped"].pq == pytest.approx((1 + iou) / 2 - 1 / 1.5)
    assert (gains["dropped"].pq_th, math.isnan(gains["dropped"].pq_st)) == (gains["dropped"].pq, True)


def test_the_best_dropped_thing_is_put_back_once():
    detections = detections_of((CAT, 0.3, 0, 7), (CAT, 0.2, 0, 9), (CAT, 0.1, 0, 8))
    gains = merged_gains(detections, scene_of((0, 20)), scene_of((71, 10), (0, 10)))
    assert concerned(gains) == {"dropped": 1}
    assert gains["dropped"].pq == pytest.approx(9 / 10)


def test_void_does_not_count_against_a_dropped_thing():
    gains = merged_gains(detections_of((CAT, 0.3, 0, 20)), scene_of((0, 20)), scene_of((71, 10), (0, 10)))
    assert gains["dropped"].pq == 1


@pytest.mark.parametrize("category, x1", [(DOG, 10), (CAT, 5)])
def test_a_dropped_thing_of_another_class_or_place_is_no_cause(category, x1):
    gains = merged_gains(detections_of((category, 0.3, 0, x1)), scene_of((0, 20)), scene_of((71, 10), (0, 10)))
    assert concerned(gains) == {"missed": 1}


def test_a_dropped_thing_on_a_crowd_or_a_match_is_no_cause():
    detections = detections_of((CAT, 0.9, 0, 10), (CAT, 0.8, 0, 10), (CAT, 0.3, 10, 20))
    assert concerned(merged_gains(detections, scene_of((0, 20)), scene_of((71, 10), (72, 10)), [72])) == {}


def test_stuff_below_the_limit_is_put_back():
    labels, truth = scene_of((411, 6), (401, 14)), scene_of((71, 2), (411, 5), (401, 13))
    detections = detections_of((CAT, 0.9, 0, 2))
    gains = merged_gains(detections, labels, truth, stuff_area_limit=5 * HEIGHT)
    # columns 2 to 5 of the sea, the cat taken out, of 2 to 6; the sky has one column more than the truth
    before, after = (1 + 13 / 14 + 0) / 3, (1 + 13 / 14 + 4 / 5) / 3
    assert concerned(gains) == {"stuff_limit": 1, "masks": 1}
    assert gains["stuff_limit"].pq == pytest.approx(after - before)
    assert gains["stuff_limit"].pq_th == 0


def test_stuff_that_would_not_match_stays_dropped():
    gains = merged_gains(
        detections_of(), scene_of((411, 2), (0, 18)), scene_of((411, 4), (401, 16)), stuff_area_limit=99
    )
    assert concerned(gains) == {"missed": 2}


def test_without_what_the_map_was_merged_from_such_segments_are_missed():
    arguments = (detections_of((CAT, 0.3, 0, 10)), scene_of((0, 10), (411, 10)), scene_of((71, 10), (411, 10)))
    found_by = {
        ("records", "detections", "stuff_map"): {"dropped": 1, "stuff_limit": 1},
        ("records", "detections"): {"dropped": 1, "missed": 1},
        ("records", "stuff_map"): {"stuff_limit": 1, "missed": 1},
        ("detections", "stuff_map"): {"missed": 2},
    }
    for keep, expected in found_by.items():
        assert concerned(merged_gains(*arguments, keep=keep, stuff_area_limit=99)) == expected


# ---- sums and refusals -------------------------------------------------------------------------------------------


def random_scene(rng):
    """Strips of truth, of which the prediction joins, cuts, shifts and confuses some; void and crowds among them."""
    width = 60
    cuts = np.unique(rng.integers(1, width, rng.integers(0, 9)))
    true_row = np.repeat(
        strip_ids(rng, cuts.size + 1, np.array([CAT, DOG, SKY])), np.diff(cuts, prepend=0, append=width)
    )
    kept = cuts[rng.random(cuts.size) < 0.7] + rng.choice([-1, 0, 0, 1], 1)
    found_cuts = np.unique(np.append(kept, rng.integers(1, width, rng.integers(0, 4))).clip(1, width - 1))
    starts = np.append(0, found_cuts)
    category_ids = true_row[(starts + np.append(starts[1:], width)) // 2] // 10 % 100
    found_row = np.repeat(strip_ids(rng, starts.size, category_ids, strips=True), np.diff(starts, append=width))
    crowd_ids = [i for i in np.unique(true_row).tolist() if i and rng.random() < 0.1]
    return panoptic(found_row[None]), panoptic(true_row[None], crowd_ids)


def strip_ids(rng, count, category_ids, strips=False):
    """Ids that tell their category in their tens and hundreds; one in ten is void, and of given ones confused."""
    chosen = np.where(rng.random(count) < 0.85, category_ids, CAT) if strips else rng.choice(category_ids, count)
    ids = 10 * chosen + 1000 * np.arange(1, count + 1)
    return np.where((rng.random(count) < 0.1) | (chosen == 0), 0, ids).astype(np.uint32)


def test_counts_are_those_of_panoptic_quality_and_no_gain_is_negative():
    rng = np.random.default_rng(1)
    for _ in range(200):
        found, truth = random_scene(rng)
        causes = EMPTY.add(found, truth, None)
        expected = PanopticCounts.empty(CATEGORIES).add(found, truth)
        for column in ("tp", "fp", "fn", "iou_sum"):
            np.testing.assert_array_equal(getattr(causes.counts, column), getattr(expected, column))
        gains = causes.gains()
        for cause, gain in gains.items():
            assert math.isnan(gain.pq) or gain.pq >= -1e-12, cause
        # a true segment that is missed has a cause, and so has a false prediction
        assert gains["missed"].segments <= expected.fn.sum()
        assert gains["false"].segments <= expected.fp.sum()


def mended_by_pixels(cause, found, truth):
    """The prediction after a mend, from whole masks; and how many true segments it concerns."""
    ids, category_of, void = found.ids.copy(), {s.id: s.category_id for s in found.segments}, truth.ids == 0
    masks, concerns = {s.id: found.ids == s.id for s in found.segments}, 0

    def overlap(mask, true):
        return np.sum(mask & true) / np.sum((mask & ~void) | true)

    true_masks = {t: truth.ids == t.id for t in truth.segments if not t.iscrowd}
    for t, true in true_masks.items():
        same = [s.id for s in found.segments if s.category_id == t.category_id]
        if cause == "class":
            wrong = [s.id for s in found.segments if s.id not in same and overlap(masks[s.id], true) > 0.5]
            category_of |= dict.fromkeys(wrong, t.category_id)
            concerns += len(wrong)
        if cause == "split" and not any(overlap(masks[i], true) > 0.5 for i in same):
            pieces = [i for i in same if 2 * np.sum(masks[i] & true) > np.sum(masks[i])]
            if pieces and overlap(np.isin(found.ids, pieces), true) > 0.5:
                ids[np.isin(found.ids, pieces)] = pieces[0]
                concerns += 1
    for s in found.segments if cause == "merged" else ():
        same = {t: true for t, true in true_masks.items() if t.category_id == s.category_id}
        parts = [true for true in same.values() if 2 * np.sum(masks[s.id] & true) > np.sum(true)]
        if len(parts) > 1:
            ids[masks[s.id]] = 0
            concerns += len(parts)
            for true in parts:
                number = max(category_of) + 1
                ids[masks[s.id] & true], category_of[number] = number, s.category_id
    used = {i: c for i, c in category_of.items() if i in ids}
    return PanopticMap.from_labels(ids, used, CATEGORIES), concerns


@pytest.mark.parametrize("cause", ["class", "split", "merged"])
def test_mends_are_those_of_whole_masks(cause):
    rng, total = np.random.default_rng(3), 0
    for _ in range(300):
        found, truth = random_scene(rng)
        causes = EMPTY.add(found, truth, None)
        mended, concerns = mended_by_pixels(cause, found, truth)
        expected = PanopticCounts.empty(CATEGORIES).add(mended, truth)
        for column in ("tp", "fp", "fn", "iou_sum"):
            np.testing.assert_allclose(getattr(causes.mended[cause], column), getattr(expected, column), rtol=1e-12)
        assert causes.segments[cause].sum() == concerns
        total += concerns
    assert total > 10


def test_images_add_up_in_any_order():
    rng = np.random.default_rng(2)
    pairs = [random_scene(rng) for _ in range(6)]
    whole, parts = EMPTY, [EMPTY, EMPTY]
    for number, (found, truth) in enumerate(pairs):
        whole = whole.add(found, truth, ())
        parts[number % 2] = parts[number % 2].add(found, truth, ())
    assert concerned_sums(parts[1] + parts[0]) == pytest.approx(concerned_sums(whole), nan_ok=True)
    assert math.isnan(EMPTY.gains()["class"].pq)  # nothing was added to it


def concerned_sums(causes):
    return [value for gain in causes.gains().values() for value in (gain.pq, gain.pq_th, gain.pq_st, gain.segments)]


def test_other_images_are_refused():
    small, large = panoptic(row((71, 20))), panoptic(scene_of((71, 20)))
    records = [{"kind": "instance", "outcome": "dropped", "index": 5, "category_id": CAT, "reason": "overlap"}]
    detections = detections_of((CAT, 0.5, 0, 20))
    with pytest.raises(DataError, match="shape"):
        EMPTY.add(small, large, None)
    with pytest.raises(DataError, match=r"masks of shape \(1, 20\)"):
        EMPTY.add(small, small, records, detections)
    with pytest.raises(DataError, match="an instance below 1, .* got 5"):
        EMPTY.add(large, large, records, detections)
    with pytest.raises(DataError, match="stuff map"):
        EMPTY.add(small, small, records, stuff_map=np.zeros((2, 20), np.uint16))
