"""Records that are broken in any way: every check of records says so in one line, and mends what it said it can."""

import copy
import random
from dataclasses import replace

import pytest
from planted import found, sound_splits

from thingstuff.data.checks.boxes import BOXES
from thingstuff.data.checks.ids import IDS
from thingstuff.data.checks.keypoints import KEYPOINTS
from thingstuff.data.checks.masks import MASKS
from thingstuff.data.checks.overlaps import OVERLAPS
from thingstuff.data.checks.polygons import POLYGONS

CHECKS = (IDS, POLYGONS, MASKS, BOXES, KEYPOINTS, OVERLAPS)
NAN, INF = float("nan"), float("inf")
VALUES = [
    *(None, True, False, 0, -1, 1, 3, 7, 10, 20, 2.5, 1e6, 1e18, 1e308, -1e308, 10**30, 10**400, NAN, INF, -INF),
    *("", "x", "7", "\ud800", "a\nb", "x" * 5000, [], {}, [[]], [{}], [[[]]], [None], ["a"], [1, 2, 3], [[1, 2, 3]]),
    *([[NAN] * 6], [[1.0] * 6], [[INF, 1, 2, 3, 4, 5]], [[0, 0, 1e308, 0, 1e308, 1e308]], [0, 0, 5, 5], [1, 2, -3, 4]),
    *([[0, 0, 999999, 999999, 0, 999999, 999999, 0]] * 3, [[1, 2, 3, 4, 5, 6], "x", None], [10**30] * 4, [NAN] * 4),
    *({"size": [48, 64]}, {"counts": "x"}, {"size": [48, 64], "counts": [1, [2]]}, {"size": [2**62, 4], "counts": "0"}),
    *({"size": [48, 64], "counts": "\x00\xff"}, {"size": [48, 64], "counts": [2**70, -1]}, {"size": 3, "counts": None}),
    *({"size": [0, 0], "counts": [0]}, {"size": [NAN, 1], "counts": [1]}, {"size": [48, 64], "counts": [3072.0]}),
]


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def broken(truth, rng):
    """The split with one to four values of its records replaced or removed, or records repeated."""
    truth = replace(
        truth, **{kind: copy.deepcopy(getattr(truth, kind)) for kind in ("images", "annotations", "categories")}
    )
    for _ in range(rng.randint(1, 4)):
        records = getattr(truth, rng.choice(["images", "annotations", "annotations", "annotations", "categories"]))
        record = rng.choice(records)
        key = rng.choice([*record, "segmentation", "bbox"])
        action = rng.random()
        if action < 0.1:
            record.pop(key, None)
        elif action < 0.2:
            records.append(copy.deepcopy(record))
        elif action < 0.5 and isinstance(record.get(key), list) and record[key]:
            inner = record[key][0] if isinstance(record[key][0], list) and record[key][0] else record[key]
            inner[rng.randrange(len(inner))] = rng.choice(VALUES)
        else:
            record[key] = rng.choice([*VALUES, nested(250)])
    return truth


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return sound_splits(tmp_path_factory.mktemp("sound"))


@pytest.mark.parametrize("seed", range(150))
def test_broken_records(sound, seed):
    rng = random.Random(seed)
    splits = {name: broken(truth, rng) for name, truth in sound.items()}
    before = copy.deepcopy(splits)
    for check in CHECKS:
        for is_quick in (True, False):
            for one in found(check, splits, is_quick):
                assert one.code in check.codes and one.split in splits
                assert one.place.startswith(f"{one.split}.json: ") or one.place == f"{one.split}.json"
                assert one.message.isprintable() and len(one.message) < 400, one
    mended = splits
    for check in CHECKS:
        if check.mend:
            mended = {name: check.mend(truth) for name, truth in mended.items()}
    assert repr(splits) == repr(before)
    left = [one for check in CHECKS for one in found(check, mended) if one.code.is_fixable]
    assert left == []
