"""Tracking: ids last while an object moves, crosses another, vanishes for a while; and never change owner."""

import numpy as np
import pytest

from thingstuff.engine.tracking import Tracker, with_track_ids
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category, Detections, MaskCrops, PanopticMap

HEIGHT, WIDTH = 200, 300
PERSON, CAR = 7, 3


def found(boxes: list, classes: list[int] | None = None) -> Detections:
    boxes_xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    ids = np.array(classes or [PERSON] * len(boxes_xyxy), np.int64)
    return Detections(None, boxes_xyxy, np.full(len(ids), 0.9, np.float32), ids, HEIGHT, WIDTH)


def square(x: float, y: float, side: float = 30) -> list[float]:
    return [x, y, x + side, y + side]


def ids_of(frames: list[Detections], **options) -> list[list[int]]:
    tracker = Tracker(HEIGHT, WIDTH, **options)
    return [tracker.update(frame).tolist() for frame in frames]


def test_ids_start_at_one_and_stay():
    frames = [found([square(20 + 4 * t, 20), square(200, 100 + 2 * t)]) for t in range(20)]
    assert ids_of(frames) == [[1, 2]] * 20


def test_ids_follow_the_instances_not_their_order():
    boxes = [square(20, 20), square(100, 20), square(200, 100)]
    rng = np.random.default_rng(0)
    orders = [rng.permutation(3) for _ in range(10)]
    ids = ids_of([found([boxes[i] for i in order]) for order in orders])
    first = dict(zip(orders[0].tolist(), ids[0], strict=True))
    assert ids == [[first[place] for place in order.tolist()] for order in orders]


@pytest.mark.parametrize("step", [3, 8, 10])
def test_two_squares_that_meet_head_on_keep_their_ids(step):
    frames = [found([square(20 + step * t, 85), square(250 - step * t, 85)]) for t in range(23)]
    assert ids_of(frames) == [[1, 2]] * 23


def test_two_squares_that_cross_at_a_right_angle_keep_their_ids():
    frames = [found([square(20 + 7 * t, 90), square(90, 20 + 7 * t)]) for t in range(20)]
    assert ids_of(frames) == [[1, 2]] * 20


def test_the_best_pair_comes_first():
    """The first of the second frame overlaps both of the first frame enough, the second only its own."""
    frames = [found([square(50, 50), square(60, 50)]), found([square(60, 50), square(51, 50)])]
    assert ids_of(frames) == [[1, 2], [2, 1]]


@pytest.mark.parametrize("gap", [1, 2, 5])
def test_one_that_vanishes_for_a_while_keeps_its_id(gap):
    here = [found([square(20 + 5 * t, 20), square(20, 120)]) for t in range(10 + gap)]
    gone = [found([square(20, 120)]) if 4 <= t < 4 + gap else frame for t, frame in enumerate(here)]
    expected = [[2] if 4 <= t < 4 + gap else [1, 2] for t in range(10 + gap)]
    assert ids_of(gone) == expected


def test_one_that_is_gone_for_longer_is_a_new_one():
    frames = [found([square(20, 20)])] + [found([])] * 3 + [found([square(20, 20)])]
    assert ids_of(frames, max_lost_frames=2)[-1] == [2]
    assert ids_of(frames, max_lost_frames=3)[-1] == [1]
    assert ids_of(frames[:1] + frames[3:], max_lost_frames=0)[-1] == [2]


def test_small_and_brief_ones_are_remembered_as_well():
    frames = [found([square(20, 20, side=2)]), found([]), found([square(20, 20, side=2)])]
    assert ids_of(frames) == [[1], [], [1]]


def test_another_class_at_the_same_place_is_another_one():
    box = square(50, 50)
    frames = [found([box], [c]) for c in (PERSON, CAR, PERSON)]
    assert ids_of(frames) == [[1], [2], [1]]


def test_a_car_behind_a_person_is_not_taken_for_it():
    frames = [found([square(50, 50), square(52, 50)], [PERSON, CAR])]
    frames += [found([square(52, 50), square(50, 50)], [PERSON, CAR])]
    assert ids_of(frames) == [[1, 2]] * 2


def test_frames_without_instances():
    some = found([square(20, 20), square(90, 90)])
    assert ids_of([found([])] * 3) == [[]] * 3
    assert ids_of([found([]), found([]), some, found([]), some]) == [[], [], [1, 2], [], [1, 2]]


def test_an_id_is_never_given_again():
    frames = [found([square(x, 20)]) for x in (0, 100, 200, 0, 100, 200)]
    assert ids_of(frames, max_lost_frames=0) == [[1], [2], [3], [4], [5], [6]]


def test_ids_of_a_frame_are_different_whatever_comes():
    rng = np.random.default_rng(3)
    tracker = Tracker(HEIGHT, WIDTH)
    for _ in range(40):
        count = int(rng.integers(0, 12))
        corners = rng.uniform(0, 150, (count, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(0, 90, (count, 2))], axis=1)
        ids = tracker.update(found(boxes.tolist(), rng.choice([PERSON, CAR], count).tolist()))
        assert ids.dtype == np.int64 and len(ids) == count == len(set(ids.tolist())) and (ids > 0).all()


def test_detections_are_not_touched():
    frame = found([square(20, 20)])
    before = frame.boxes_xyxy.copy()
    ids_of([frame, frame, frame])
    np.testing.assert_array_equal(frame.boxes_xyxy, before)


def test_a_frame_of_another_size_is_refused():
    with pytest.raises(DataError, match="expected frames of 100 x 300"):
        Tracker(100, 300).update(found([]))


def test_masks_are_welcome():
    masks = MaskCrops.from_bitmaps(np.ones((1, HEIGHT, WIDTH), bool))
    frame = Detections(masks, masks.boxes_xyxy.astype(np.float32), np.ones(1, np.float32), np.array([PERSON]))
    assert ids_of([frame, frame]) == [[1], [1]]


CATEGORIES = Categories((Category(PERSON, "person"), Category(CAR, "car"), Category(9, "road", isthing=False)))


def street() -> PanopticMap:
    ids = np.array([[0, 1, 1, 4], [2, 2, 4, 4]], np.uint32)
    return PanopticMap.from_labels(ids, {1: PERSON, 2: CAR, 4: 9}, CATEGORIES, scores={1: 0.9, 2: 0.8})


def test_segments_take_the_ids_of_their_tracks():
    tracked = with_track_ids(street(), {1: 1, 2: 0}, np.array([5, 2]))
    np.testing.assert_array_equal(tracked.ids, [[0, 2, 2, 6], [5, 5, 6, 6]])
    assert [(s.id, s.category_id, s.score) for s in tracked.segments] == [(2, PERSON, 0.9), (5, CAR, 0.8), (6, 9, None)]


def test_segments_without_a_track_get_ids_above():
    tracked = with_track_ids(street(), {2: 0}, np.array([1]))
    np.testing.assert_array_equal(tracked.ids, [[0, 2, 2, 3], [1, 1, 3, 3]])


def test_no_tracks_and_no_segments():
    np.testing.assert_array_equal(with_track_ids(street(), {}, np.zeros(0, np.int64)).ids, [[0, 1, 1, 3], [2, 2, 3, 3]])
    empty = PanopticMap(np.zeros((2, 3), np.uint32), ())
    assert not with_track_ids(empty, {}, np.array([4])).ids.any()


def test_detectron2s_hungarian_trackers_say_what_they_need():
    from importlib.util import find_spec

    from detectron2.tracking import hungarian_tracker

    from thingstuff.errors import SetupError

    if find_spec("scipy") is not None:
        pytest.skip("scipy is installed")
    with pytest.raises(SetupError, match="pip install scipy"):
        hungarian_tracker.linear_sum_assignment(np.zeros((1, 1)))
