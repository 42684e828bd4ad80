"""Each variant differs from the baseline in what its row of the README says, and in nothing else."""

import pytest
from roipool.variants import BASELINE, CONFIGS, VARIANTS

from thingstuff.config import load_config

BOX, MASK = "MODEL.ROI_BOX_HEAD", "MODEL.ROI_MASK_HEAD"
DIFFERENCES = {
    "align1": {f"{BOX}.POOLER_SAMPLING_RATIO": 1, f"{MASK}.POOLER_SAMPLING_RATIO": 1},
    "roipool": {f"{BOX}.POOLER_TYPE": "ROIPool", f"{MASK}.POOLER_TYPE": "ROIPool"},
    "roipool_mask": {f"{MASK}.POOLER_TYPE": "ROIPool"},
    "mask14": {f"{MASK}.OUTPUT_SIZE": 14},
    "mask56": {f"{MASK}.OUTPUT_SIZE": 56},
}


def flat(node, prefix=""):
    for key, value in node.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        elif key != "OUTPUT_DIR":
            yield f"{prefix}{key}", value


def keys_of(path):
    return dict(flat(load_config(path)))


def test_every_variant_is_accounted_for():
    assert set(DIFFERENCES) | {BASELINE} == set(VARIANTS)
    files = {path.stem for path in CONFIGS.glob("shapes_*.yaml")}
    assert files == {f"shapes_{name}" for name in [*VARIANTS, "mask28"]}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_variant_differs_in_its_own_keys_alone(name):
    base, own = keys_of(VARIANTS[BASELINE].config), keys_of(VARIANTS[name].config)
    assert {key: value for key, value in own.items() if value != base[key]} == DIFFERENCES[name]


def test_the_baseline_is_aligned_with_two_samples_and_masks_of_28():
    base = keys_of(VARIANTS[BASELINE].config)
    for head in (BOX, MASK):
        assert (base[f"{head}.POOLER_TYPE"], base[f"{head}.POOLER_SAMPLING_RATIO"]) == ("ROIAlignV2", 2)
    assert (base[f"{MASK}.POOLER_RESOLUTION"], base[f"{MASK}.OUTPUT_SIZE"]) == (14, 28)


def test_mask28_is_the_baseline():
    assert keys_of(CONFIGS / "shapes_mask28.yaml") == keys_of(VARIANTS[BASELINE].config)
