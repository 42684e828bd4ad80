"""Panoptic quality against its formula: pixel sets and fractions, on maps small enough to count by hand."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from thingstuff.errors import DataError
from thingstuff.evaluation import PanopticCounts
from thingstuff.structures import Categories, Category, PanopticMap

CAT, SKY, DOG, SEA = 7, 40, 3, 41
CATEGORIES = Categories(
    (Category(CAT, "cat"), Category(SKY, "sky", isthing=False), Category(DOG, "dog"), Category(SEA, "sea", False))
)
EMPTY = PanopticCounts.empty(CATEGORIES)


def panoptic(ids, category_ids=None, crowd_ids=()):
    """Segment ids and their categories; ids of 10 and more tell theirs themselves, 71 is a cat."""
    ids = np.array(ids, np.uint32)
    category_ids = category_ids or {i: i // 10 for i in np.unique(ids).tolist() if i}
    return PanopticMap.from_labels(ids, category_ids, CATEGORIES, crowd_ids=crowd_ids)


def counts_of(counts):
    """{category id: (tp, fp, fn, sum of IoU)} of the categories that count."""
    rows = zip(counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist(), counts.iou_sum.tolist(), strict=True)
    return {c.id: row for c, row in zip(CATEGORIES.all, rows, strict=True) if any(row)}


def one(found, truth, crowd_ids=()):
    return counts_of(EMPTY.add(panoptic(found), panoptic(truth, crowd_ids=crowd_ids)))


# ---- the formula, written out ------------------------------------------------------------------------------------


def by_formula(predicted, truth):
    """As `counts_of`, from sets of pixels and exact fractions."""
    found_px, true_px = pixel_sets(predicted), pixel_sets(truth)
    void = {p for p in np.ndindex(truth.ids.shape) if truth.ids[p] == 0}
    counts = {c.id: [0, 0, 0, Fraction(0)] for c in CATEGORIES.all}
    matched_true, matched_found = set(), set()
    for t in truth.segments:
        for p in predicted.segments:
            shared, union = true_px[t.id] & found_px[p.id], true_px[t.id] | (found_px[p.id] - void)
            iou = Fraction(len(shared), len(union))
            if iou > Fraction(1, 2) and t.category_id == p.category_id and not t.iscrowd:
                counts[t.category_id][0] += 1
                counts[t.category_id][3] += iou
                matched_true.add(t.id)
                matched_found.add(p.id)
    for p in predicted.segments:
        crowds = [true_px[t.id] for t in truth.segments if t.iscrowd and t.category_id == p.category_id]
        forgiven = found_px[p.id] & (void | (crowds[-1] if crowds else set()))
        if p.id not in matched_found and 2 * len(forgiven) <= len(found_px[p.id]):
            counts[p.category_id][1] += 1
    for t in truth.segments:
        counts[t.category_id][2] += t.id not in matched_true and not t.iscrowd
    return {
        k: (tp, fp, fn, pytest.approx(float(s), abs=1e-12)) for k, (tp, fp, fn, s) in counts.items() if tp + fp + fn
    }


def pixel_sets(panoptic_map):
    pixels = {s.id: set() for s in panoptic_map.segments}
    for position in np.ndindex(panoptic_map.ids.shape):
        if panoptic_map.ids[position]:
            pixels[panoptic_map.ids[position]].add(position)
    return pixels


def random_pair(rng):
    """Truth and a prediction that partly repeats it; ids shared between the two, some with other categories."""
    height, width = rng.integers(1, 9, 2)
    blocks = rng.integers(0, rng.integers(1, 7), (height // 2 + 1, width // 3 + 1))
    true_ids = blocks.repeat(2, 0).repeat(3, 1)[:height, :width]
    other = np.roll(true_ids, rng.integers(-1, 2, 2), (0, 1)) + rng.integers(0, 2)
    found_ids = np.where(rng.random((height, width)) < 0.8, true_ids, other)
    ids = [CAT, SKY, DOG, SEA][: rng.integers(1, 5)]
    category_ids = {i: int(rng.choice(ids)) for i in range(1, 20)}
    changed = {i: c if rng.random() < 0.8 else int(rng.choice(ids)) for i, c in category_ids.items()}
    crowd_ids = [i for i in category_ids if rng.random() < 0.25]
    true_used, found_used = (rng.permutation(np.unique(a[a > 0])).tolist() for a in (true_ids, found_ids))
    truth = panoptic(true_ids, {i: category_ids[i] for i in true_used}, crowd_ids) if true_used else nothing(true_ids)
    found = panoptic(found_ids, {i: changed[i] for i in found_used}, crowd_ids) if found_used else nothing(found_ids)
    return found, truth


def nothing(like):
    return PanopticMap(np.zeros(np.shape(like), np.uint32), ())


def test_random_maps_follow_the_formula():
    rng = np.random.default_rng(5)
    seen = np.zeros(3, int)
    for number in range(400):
        found, truth = random_pair(rng)
        counts = EMPTY.add(found, truth)
        assert counts_of(counts) == by_formula(found, truth), number
        seen += [counts.tp.sum(), counts.fp.sum(), counts.fn.sum()]
    assert (seen > 50).all()


# ---- the cases, one by one ---------------------------------------------------------------------------------------


def test_a_match_needs_more_than_half():
    # three of five pixels shared; two of four are exactly half, and one of each kind remains unmatched
    assert one([[71, 71, 71, 71, 31]], [[31, 71, 71, 71, 71]]) == {CAT: (1, 0, 0, 3 / 5), DOG: (0, 1, 1, 0)}
    assert one([[71, 71, 71, 401]], [[401, 71, 71, 71]]) == {CAT: (0, 1, 1, 0), SKY: (0, 1, 1, 0)}


def test_void_in_the_truth_leaves_the_union_and_void_in_the_prediction_does_not():
    assert one([[71, 71, 71, 71]], [[71, 71, 0, 0]]) == {CAT: (1, 0, 0, 1)}
    assert one([[71, 71, 71, 0]], [[71, 71, 71, 71]]) == {CAT: (1, 0, 0, 3 / 4)}


def test_category_decides_and_equal_ids_do_not():
    assert one([[31, 31]], [[71, 71]]) == {CAT: (0, 0, 1, 0), DOG: (0, 1, 0, 0)}
    found, truth = panoptic([[5, 6]], {5: CAT, 6: DOG}), panoptic([[6, 5]], {5: DOG, 6: CAT})
    assert counts_of(EMPTY.add(found, truth)) == {CAT: (1, 0, 0, 1), DOG: (1, 0, 0, 1)}


def test_ids_of_any_size():
    found, truth = panoptic([[2**32 - 1, 1]], {2**32 - 1: CAT, 1: DOG}), panoptic([[1, 256**3]], {1: CAT, 256**3: DOG})
    assert counts_of(EMPTY.add(found, truth)) == {CAT: (1, 0, 0, 1), DOG: (1, 0, 0, 1)}


@pytest.mark.parametrize(
    ("truth", "wrong"), [([[0, 0, 0, 31]], 0), ([[0, 0, 31, 31]], 1), ([[0, 31, 31, 31]], 1)], ids=["3/4", "1/2", "1/4"]
)
def test_a_prediction_on_void_is_forgiven_beyond_half(truth, wrong):
    assert one([[71, 71, 71, 71]], truth).get(CAT, (0, 0, 0, 0)) == (0, wrong, 0, 0)


def test_a_crowd_is_neither_found_nor_missed_and_forgives_its_own_category():
    assert one([[71, 71]], [[71, 71]], crowd_ids=[71]) == {}
    assert one([[31, 31]], [[71, 71]], crowd_ids=[71]) == {DOG: (0, 1, 0, 0)}
    assert one([[71, 71, 71, 71]], [[71, 0, 0, 31]], crowd_ids=[71]) == {DOG: (0, 0, 1, 0)}  # with void together
    assert one([[71, 71, 71, 71]], [[71, 71, 31, 31]], crowd_ids=[71])[CAT] == (0, 1, 0, 0)  # exactly half


def test_the_last_of_several_crowds_forgives_as_in_panopticapi():
    found = panoptic([[71, 71, 72, 72]])
    for order, forgiven in [((71, 72), 72), ((72, 71), 71)]:
        truth = panoptic([[71, 71, 72, 72]], dict.fromkeys(order, CAT), crowd_ids=order)
        assert counts_of(EMPTY.add(found, truth)) == {CAT: (0, 1, 0, 0)}
        alone = panoptic(np.where(found.ids == forgiven, forgiven, 0))
        assert counts_of(EMPTY.add(alone, truth)) == {}


def test_crowd_flags_of_predictions_are_ignored():
    found = panoptic([[71, 71]], crowd_ids=[71])
    assert counts_of(EMPTY.add(found, panoptic([[71, 71]]))) == {CAT: (1, 0, 0, 1)}


def test_empty_and_void_maps():
    full, void = panoptic([[71, 401]]), nothing([[0, 0]])
    assert counts_of(EMPTY.add(void, full)) == {CAT: (0, 0, 1, 0), SKY: (0, 0, 1, 0)}
    assert counts_of(EMPTY.add(full, void)) == counts_of(EMPTY.add(void, void)) == {}
    no_pixel = nothing(np.zeros((0, 3)))
    assert counts_of(EMPTY.add(no_pixel, no_pixel)) == {}


# ---- sums and quotients ------------------------------------------------------------------------------------------


def test_scores_are_the_quotients_of_the_sums():
    first = panoptic([[71, 71, 71, 71, 401]]), panoptic([[401, 71, 71, 71, 71]])  # cat 3/5; sky not met
    second = panoptic([[71, 72, 401, 31]]), panoptic([[71, 402, 401, 402]])  # cat 1 and one wrong; dog wrong
    scores = EMPTY.add(*first).add(*second).scores()
    cat, sky, dog = (scores.per_category[i] for i in (CAT, SKY, DOG))
    assert (cat.tp, cat.fp, cat.fn, cat.iou_sum) == (2, 1, 0, 3 / 5 + 1)
    assert (cat.pq, cat.sq, cat.rq) == (1.6 / 2.5, 1.6 / 2, 2 / 2.5)
    assert (sky.tp, sky.fp, sky.fn, sky.pq) == (1, 1, 2, 1 / 2.5)
    assert (dog.fp, dog.pq, dog.sq, dog.rq) == (1, 0, 0, 0)
    assert scores.category_counts == {"All": 3, "Things": 2, "Stuff": 1}
    pq, sq, rq = (0.64 + 0.4 + 0) / 3, (0.8 + 1 + 0) / 3, (0.8 + 0.4 + 0) / 3
    things = {"PQ_th": (0.64 + 0) / 2, "SQ_th": (0.8 + 0) / 2, "RQ_th": (0.8 + 0) / 2}
    expected = {"PQ": pq, "SQ": sq, "RQ": rq, **things, "PQ_st": 0.4, "SQ_st": 1, "RQ_st": 0.4}
    assert scores.numbers == pytest.approx(expected)


def test_perfect_is_100():
    ids = [[71, 71, 72, 0], [31, 401, 401, 411]]
    assert set(EMPTY.add(panoptic(ids), panoptic(ids)).scores().percent().values()) == {100}


def test_keys_are_detectron2s_and_then_the_categories():
    means = ["PQ", "SQ", "RQ", "PQ_th", "SQ_th", "RQ_th", "PQ_st", "SQ_st", "RQ_st"]
    assert list(EMPTY.scores().percent()) == [
        *means,
        *(f"{quality}-{name}" for name in ("cat", "sky", "dog", "sea") for quality in ("PQ", "SQ", "RQ")),
    ]


def test_what_nothing_counts_for_is_undefined_and_says_so():
    scores = EMPTY.add(panoptic([[71, 71]]), panoptic([[71, 71]])).scores()
    percent = scores.percent()
    assert (percent["PQ"], percent["PQ_th"], percent["PQ-cat"]) == (100, 100, 100)
    undefined = {name for name, value in percent.items() if math.isnan(value)}
    assert undefined == {
        f"{quality}{what}" for what in ("_st", "-sky", "-dog", "-sea") for quality in ("PQ", "SQ", "RQ")
    }
    assert undefined == set(scores.undefined)
    assert scores.undefined["PQ_st"].startswith("no stuff region in the truth or the predictions")
    assert scores.undefined["PQ-dog"].startswith("no 'dog' in the truth or the predictions")
    nothing_at_all = PanopticCounts.empty(Categories(())).scores()
    assert all(map(math.isnan, nothing_at_all.numbers.values()))
    assert set(nothing_at_all.undefined) == set(nothing_at_all.numbers)


def test_lines_are_panopticapis_table():
    lines = EMPTY.add(panoptic([[71, 71, 71, 0]]), panoptic([[71, 71, 71, 71]])).scores().lines()
    assert lines == (
        "          |    PQ     SQ     RQ     N",
        "-" * 38,
        "All       |  75.0   75.0  100.0     1",
        "Things    |  75.0   75.0  100.0     1",
        "Stuff     |     -      -      -     0",
    )


def test_counts_of_processes_join_to_those_of_one():
    rng = np.random.default_rng(8)
    pairs = [random_pair(rng) for _ in range(30)]
    parts = [EMPTY, EMPTY]
    together = EMPTY
    for number, (found, truth) in enumerate(pairs):
        parts[number % 2] = parts[number % 2].add(found, truth)
        together = together.add(found, truth)
    assert counts_of(parts[0] + parts[1]) == {
        i: (*row[:3], pytest.approx(row[3])) for i, row in counts_of(together).items()
    }
    assert counts_of(EMPTY) == {}  # nothing was added in place


def test_order_of_segments_does_not_matter():
    rng = np.random.default_rng(9)
    for _ in range(30):
        found, truth = random_pair(rng)
        if all(a.category_id != b.category_id for a, b in pairwise(s for s in truth.segments if s.iscrowd)):
            turned = PanopticMap(found.ids, found.segments[::-1])
            assert counts_of(EMPTY.add(turned, truth)) == counts_of(EMPTY.add(found, truth))


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(DataError, match=r"the prediction has shape \(1, 2\), but the truth has \(2, 1\)"):
        EMPTY.add(panoptic([[71, 0]]), panoptic([[71], [0]]))
    cats = PanopticCounts.empty(Categories(CATEGORIES.all[:1]))
    with pytest.raises(DataError, match="predicted segment 31: no category has its category_id 3"):
        cats.add(panoptic([[71, 31]]), nothing([[0, 0]]))
    with pytest.raises(DataError, match="true segment 401: no category has its category_id 40"):
        cats.add(panoptic([[71, 72]]), panoptic([[71, 401]]))
    with pytest.raises(ValueError, match="other categories"):
        EMPTY + cats
    with pytest.raises(ValueError, match="four columns of 1 categories"):
        PanopticCounts(cats.categories, EMPTY.tp, EMPTY.fp, EMPTY.fn, EMPTY.iou_sum)
