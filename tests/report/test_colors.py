"""Instance colours: clear among neighbours, the same in every run, independent of everything but the boxes."""

import subprocess
import sys

import numpy as np
import pytest

from thingstuff.errors import DataError
from thingstuff.report.colors import (
    CLEAR_LAB_DISTANCE,
    MIN_LAB_DISTANCE,
    PALETTE_SIZE,
    color_of_id,
    contrasting_text,
    instance_colors,
    lab,
)

PROGRAM = """
import numpy as np
from thingstuff.report.colors import color_of_id, instance_colors
print(instance_colors(np.arange(80).reshape(20, 4)).tolist(), [color_of_id(i) for i in range(1, 60)])
"""


def random_boxes(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 300, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 200, (count, 2))], axis=1)


def neighbour_distances(boxes: np.ndarray, colors: np.ndarray) -> list[float]:
    points = lab(colors)
    return [
        float(np.linalg.norm(points[i] - points[j]))
        for i, a in enumerate(boxes)
        for j, b in enumerate(boxes[:i])
        if max(a[0], b[0]) <= min(a[2], b[2]) and max(a[1], b[1]) <= min(a[3], b[3])
    ]


@pytest.mark.parametrize("seed", range(20))
def test_overlapping_neighbours_are_far_apart(seed):
    boxes = random_boxes(seed, count=2 + 2 * seed)
    assert min(neighbour_distances(boxes, instance_colors(boxes)), default=np.inf) >= MIN_LAB_DISTANCE


def test_forty_instances_on_one_spot_all_differ():
    boxes = np.tile([10, 10, 50, 50], (40, 1))
    assert min(neighbour_distances(boxes, instance_colors(boxes))) >= MIN_LAB_DISTANCE


def test_two_neighbours_are_told_apart_at_a_glance():
    assert (
        min(neighbour_distances(np.tile([0, 0, 9, 9], (2, 1)), instance_colors(np.tile([0, 0, 9, 9], (2, 1)))))
        >= CLEAR_LAB_DISTANCE
    )


def test_boxes_that_only_touch_are_neighbours():
    colors = instance_colors(np.array([[0, 0, 10, 10], [10, 0, 20, 10]]))
    assert np.linalg.norm(np.subtract(*lab(colors))) >= CLEAR_LAB_DISTANCE


def test_more_neighbours_than_colours_still_works():
    colors = instance_colors(np.tile([0, 0, 9, 9], (3 * PALETTE_SIZE, 1)))
    assert colors.shape == (3 * PALETTE_SIZE, 3)
    assert len(np.unique(colors[:PALETTE_SIZE], axis=0)) == PALETTE_SIZE


def test_strangers_get_different_colours_while_there_are_some():
    boxes = np.array([[i * 20, 0, i * 20 + 5, 5] for i in range(PALETTE_SIZE)])
    assert len(np.unique(instance_colors(boxes), axis=0)) == PALETTE_SIZE


def test_another_process_gives_the_same_colours():
    runs = {subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True).stdout for _ in range(2)}
    colors, by_id = instance_colors(np.arange(80).reshape(20, 4)).tolist(), [color_of_id(i) for i in range(1, 60)]
    assert runs == {f"{colors} {by_id}\n".encode()}


def test_the_colours_around_are_avoided():
    grass = np.array([[60, 160, 60]], np.uint8)
    colors = instance_colors(random_boxes(3, 12), avoid_bgr=grass)
    assert np.linalg.norm(lab(colors) - lab(grass), axis=1).min() >= MIN_LAB_DISTANCE


def test_no_boxes_no_colours():
    assert instance_colors(np.zeros((0, 4))).shape == (0, 3)


def test_the_boxes_are_not_touched():
    boxes = random_boxes(0, 5)
    before = boxes.copy()
    instance_colors(boxes)
    np.testing.assert_array_equal(boxes, before)


@pytest.mark.parametrize(("background", "text"), [((0, 255, 255), (0, 0, 0)), ((90, 0, 0), (255, 255, 255))])
def test_text_contrasts_with_its_background(background, text):
    assert contrasting_text(np.array(background, np.uint8)) == text


def test_neighbouring_ids_are_far_apart():
    points = lab(np.array([color_of_id(number) for number in range(1, 3 * PALETTE_SIZE)]))
    for gap in (1, 2, 3):
        assert np.linalg.norm(points[gap:] - points[:-gap], axis=1).min() >= MIN_LAB_DISTANCE


def test_ids_have_distinct_colours_until_the_palette_ends():
    assert len({color_of_id(number) for number in range(1, PALETTE_SIZE + 1)}) == PALETTE_SIZE
    assert color_of_id(PALETTE_SIZE + 1) == color_of_id(1)


@pytest.mark.parametrize("number", [0, -1])
def test_an_id_below_one_is_refused(number):
    with pytest.raises(DataError, match="from 1 on"):
        color_of_id(number)
