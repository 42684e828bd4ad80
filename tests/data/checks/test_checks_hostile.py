"""What damaged records did to the checks once: each is a finding now."""

import pytest
from planted import REMOVED, changed, sound_splits
from planted_stuff import with_panoptic

from thingstuff.data.checks import Checked, run_checks


def names(splits):
    return {one.code.name for is_quick in (True, False) for one in run_checks(Checked(splits, is_quick))}


@pytest.mark.parametrize("count", [None, [[1]], "3", 2.0, -1, True])
def test_run_lengths_that_are_no_numbers(tmp_path, count):
    splits = sound_splits(tmp_path)
    rle = {"size": [48, 64], "counts": [10, count, 48 * 64 - 10]}
    assert "rle-broken" in names({"train": changed(splits["train"], "annotations", 0, segmentation=rle)})


@pytest.mark.parametrize(("kind", "code"), [("categories", "panoptic-category"), ("images", "panoptic-image")])
def test_panoptic_truth_whose_records_lack_an_id(tmp_path, kind, code):
    train = changed(with_panoptic(tmp_path)["train"], kind, 0, id=REMOVED)
    assert code in names({"train": train})
