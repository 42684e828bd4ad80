"""The PNG round trip: ids survive it, and the quality is the formula's on maps small enough to count by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from thingstuff.benchmark.panoptic_pairs import THINGS, random_pair
from thingstuff.benchmark.panoptic_scenes import CATEGORIES
from thingstuff.benchmark.pq_round_trip import (
    PanopticFiles,
    PanopticOutput,
    _id2rgb,
    _rgb2id,
    quality_of_files,
    quality_of_outputs,
)

CAT, DOG, SKY = 1, 2, 3


def truth_files(folder, *images):
    """Each image is (H x W ids, {id: category id}, ids of crowds)."""
    (folder / "truth").mkdir()
    annotations = []
    for image_id, (ids, labels, crowds) in enumerate(images, 1):
        ids = np.array(ids)
        Image.fromarray(_id2rgb(ids)).save(folder / f"truth/{image_id}.png")
        segments = [
            {"id": i, "category_id": label, "area": int((ids == i).sum()), "iscrowd": int(i in crowds)}
            for i, label in labels.items()
        ]
        annotations.append({"image_id": image_id, "file_name": f"{image_id}.png", "segments_info": segments})
    content = {"annotations": annotations, "categories": [{"id": i} for i in (CAT, DOG, SKY)]}
    (folder / "truth.json").write_text(json.dumps(content))
    return PanopticFiles(folder / "truth.json", folder / "truth")


def output(image_id, ids, labels):
    info = [{"id": i, "category_id": label} for i, label in labels.items()]
    return PanopticOutput(image_id, np.array(ids, np.int32), info)


def test_ids_survive_a_picture():
    ids = np.array([[0, 1, 255, 256], [65535, 65536, 256**3 - 1, 7]], np.int32)
    rgb = _id2rgb(ids)
    assert rgb.dtype == np.uint8
    assert rgb[1, 1].tolist() == [0, 0, 1]  # the lowest byte comes first
    np.testing.assert_array_equal(_rgb2id(rgb.astype(np.uint32)), ids)


def test_quality_is_the_quotient_of_the_sums(tmp_path):
    # cats: IoU 3/4 in the first image (the void pixel is not in the union), found nowhere in the second
    truth = truth_files(tmp_path, ([[9, 9, 9, 9, 0]], {9: CAT}, ()), ([[5, 5, 8, 8]], {5: CAT, 8: DOG}, ()))
    found = [output(1, [[1, 1, 1, 2, 1]], {1: CAT, 2: DOG}), output(2, [[0, 0, 4, 4]], {4: DOG})]
    qualities = quality_of_outputs(found, truth)
    assert qualities[CAT] == ((3 / 4) / 1.5, 3 / 4, 1 / 1.5)
    assert qualities[DOG] == (1 / 1.5, 1, 1 / 1.5)
    assert qualities[SKY] is None


@pytest.mark.parametrize(
    ("crowds", "false"), [((), 1), ((9,), 0)], ids=["a cat that was missed", "a crowd of cats forgives"]
)
def test_a_crowd_is_neither_found_nor_missed(tmp_path, crowds, false):
    truth = truth_files(tmp_path, ([[9, 9, 9, 9, 8]], {9: CAT, 8: CAT}, crowds))
    quality = quality_of_outputs([output(1, [[1, 1, 2, 0, 3]], {1: CAT, 2: DOG, 3: CAT})], truth)
    # the last pixel is a match; the cat of two pixels reaches IoU 2/4, which is none
    segments = 1 + false / 2 + (0 if crowds else 1) / 2
    assert quality[CAT] == (1 / segments, 1, 1 / segments)
    assert quality[DOG] == (0, 0, 0)


def test_more_than_half_on_void_is_forgiven(tmp_path):
    truth = truth_files(tmp_path, ([[0, 0, 8, 8], [0, 0, 0, 8]], {8: SKY}, ()))
    assert quality_of_outputs([output(1, [[1, 1, 1, 1], [0] * 4], {1: CAT})], truth)[CAT] == (0, 0, 0)
    assert quality_of_outputs([output(1, [[1, 1, 1, 0], [0] * 4], {1: CAT})], truth)[CAT] is None


def test_files_and_outputs_count_alike(tmp_path):
    ids, labels = [[9, 9, 8, 8]], {9: CAT, 8: DOG}
    truth = truth_files(tmp_path, (ids, labels, ()))
    perfect = {CAT: (1, 1, 1), DOG: (1, 1, 1), SKY: None}
    assert quality_of_files(truth, truth) == quality_of_outputs([output(1, ids, labels)], truth) == perfect


def test_pairs_have_what_makes_panoptic_quality_hard():
    pairs = [random_pair(seed, 240, 320) for seed in range(12)]
    truths, found = ([getattr(pair, side) for pair in pairs] for side in ("truth", "predicted"))
    true_segments = [s for truth in truths for s in truth.segments]
    assert {s.isthing for s in true_segments} == {True, False}
    assert any(s.iscrowd for s in true_segments) and not any(s.iscrowd for p in found for s in p.segments)
    assert all(0 < (truth.ids == 0).mean() < 0.5 for truth in truths)
    assert sum(len(p.segments) for p in found) < len(true_segments) < 2 * THINGS * len(pairs)
    assert {s.category_id for p in found for s in p.segments} <= {c.id for c in CATEGORIES.all}


def test_pairs_are_those_of_their_seed():
    one, same, other = (random_pair(seed, 120, 160) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.predicted.ids, same.predicted.ids)
    assert one.truth.segments == same.truth.segments
    assert not np.array_equal(one.truth.ids, other.truth.ids)
