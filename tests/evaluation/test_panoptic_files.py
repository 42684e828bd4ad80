"""PQ of files by hotcoco: the counts that the maps give one by one, and None where it refuses."""

import json

import numpy as np
import pytest

from thingstuff.evaluation import PanopticCounts
from thingstuff.evaluation.panoptic_files import count_files
from thingstuff.structures import Categories, Category, PanopticMap

CATEGORIES = Categories(
    (Category(7, "cat"), Category(3, "dog"), Category(40, "sky", isthing=False), Category(41, "sea", isthing=False))
)
SIDE = 24


def random_map(rng, base=None):
    """Rectangles, some of them crowds, on void; with `base` a copy of it with some of its segments changed."""
    ids = np.zeros((SIDE, SIDE), np.uint32) if base is None else base.ids.copy()
    classes = {} if base is None else {s.id: s.category_id for s in base.segments}
    for _ in range(rng.integers(0, 8)):
        number = int(rng.integers(1, 256**3))
        y, x = rng.integers(0, SIDE, 2)
        ids[y : y + rng.integers(2, 14), x : x + rng.integers(2, 14)] = number
        classes[number] = int(rng.choice([7, 3, 40, 41]))
    present = {n: c for n, c in classes.items() if (ids == n).any()}
    crowds = [n for n, c in present.items() if c in (7, 3) and rng.random() < 0.3] if base is None else []
    return PanopticMap.from_labels(ids, present, CATEGORIES, crowd_ids=crowds)


def write(folder, maps):
    notes = [
        {"image_id": n, "file_name": f"{n}.png", "segments_info": m.write_coco(folder / f"{n}.png")}
        for n, m in enumerate(maps)
    ]
    path = folder.with_suffix(".json")
    content = {"images": [{"id": n} for n in range(len(maps))], "annotations": notes}
    path.write_text(json.dumps(content | {"categories": CATEGORIES.to_coco()}))
    return path, folder


@pytest.mark.parametrize("seed", range(6))
def test_the_counts_are_those_of_the_maps(tmp_path, seed):
    rng = np.random.default_rng(seed)
    true = [random_map(rng) for _ in range(8)]
    found = [random_map(rng, base) for base in true]
    expected = PanopticCounts.empty(CATEGORIES)
    for one, other in zip(found, true, strict=True):
        expected = expected.add(one, other)
    counts = count_files(write(tmp_path / "true", true), write(tmp_path / "found", found), CATEGORIES)
    for column in ("tp", "fp", "fn"):
        np.testing.assert_array_equal(getattr(counts, column), getattr(expected, column))
    np.testing.assert_allclose(counts.iou_sum, expected.iou_sum, atol=1e-12)
    assert expected.tp.sum() and expected.fp.sum() and expected.fn.sum()


def test_what_hotcoco_refuses_is_left_to_a_careful_reader(tmp_path):
    one = write(tmp_path / "true", [random_map(np.random.default_rng(3))])
    path, folder = write(tmp_path / "found", [random_map(np.random.default_rng(4))])
    (folder / "0.png").write_bytes(b"no picture")
    assert count_files(one, (path, folder), CATEGORIES) is None
