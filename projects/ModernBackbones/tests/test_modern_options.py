"""What cannot be built is said in one line."""

import pytest
from helpers import assert_one_line, assert_training_is_refused
from modern_cases import CONFIGS, model_of

from thingstuff.config import load_config
from thingstuff.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("vitdet", ("MODEL.VIT.PATCH_SIZE", "12"), "PATCH_SIZE is 12, expected a power of 2"),
        ("vitdet", ("MODEL.VIT.PATCH_SIZE", "256"), "IMG_SIZE is 160, smaller than one patch of 256 pixels"),
        ("vitdet", ("MODEL.VIT.PRETRAIN_IMG_SIZE", "4"), "PRETRAIN_IMG_SIZE is 4, smaller than one patch"),
        ("vitdet", ("MODEL.VIT.DEPTH", "0"), "DEPTH is 0, expected 1 or more"),
        ("vitdet", ("MODEL.VIT.NUM_HEADS", "5"), "EMBED_DIM is 32, expected a multiple of 4 and of the 5 heads"),
        ("vitdet", ("MODEL.VIT.WINDOW_SIZE", "-1"), "WINDOW_SIZE is -1, expected a number of patches, or 0"),
        ("vitdet", ("MODEL.VIT.GLOBAL_BLOCKS", "[2]"), "GLOBAL_BLOCKS: 2, expected blocks from 0 to 1"),
        ("vitdet", ("MODEL.VIT.SCALE_FACTORS", "[2.0, 0.5]"), "SCALE_FACTORS is [2.0, 0.5], expected neighbours"),
        ("vitdet", ("MODEL.VIT.SCALE_FACTORS", "[]"), "SCALE_FACTORS is [], expected neighbours"),
        ("vitdet", ("MODEL.VIT.SCALE_FACTORS", "[8.0, 4.0]"), "expected neighbours out of [4.0, 2.0, 1.0, 0.5]"),
        ("vitdet", ("MODEL.VIT.LAYER_DECAY", "0.0"), "LAYER_DECAY is 0, expected a number above 0, up to 1"),
        ("vitdet", ("MODEL.VIT.DROP_PATH_RATE", "1.0"), "DROP_PATH_RATE is 1, expected 0 or more and below 1"),
        ("vitdet", ("MODEL.VIT.MLP_RATIO", "0.0"), "MLP_RATIO is 0, expected a number above 0"),
        ("vitdet", ("MODEL.FPN.SQUARE_PAD", "100"), "SQUARE_PAD is 100, expected 0 or a multiple of 32 pixels"),
        (
            "swin",
            ("MODEL.FPN.SQUARE_PAD", "320"),
            "INPUT.MAX_SIZE_TEST is 1333, and MODEL.FPN.SQUARE_PAD 320 would cut",
        ),
        ("mvitv2", ("MODEL.MVIT.LAST_BLOCKS", "[0, 2, 1, 4]"), "LAST_BLOCKS is [0, 2, 1, 4], expected"),
        ("mvitv2", ("MODEL.MVIT.LAST_BLOCKS", "[0, 1, 2, 3]"), "the last, 4"),
        ("mvitv2", ("MODEL.MVIT.WINDOW_SIZE", "10"), "WINDOW_SIZE is 10 with KV_STRIDE 4, expected a multiple of 8"),
        ("mvitv2", ("MODEL.MVIT.KV_STRIDE", "3"), "WINDOW_SIZE is 8 with KV_STRIDE 3"),
        ("mvitv2", ("MODEL.MVIT.IMG_SIZE", "150"), "IMG_SIZE is 150, expected a multiple of 32 pixels"),
        ("swin", ("MODEL.SWIN.DEPTHS", "[2, 2]"), "DEPTHS is [2, 2], expected a number for each of 4 stages"),
        ("swin", ("MODEL.SWIN.NUM_HEADS", "[1, 2, 3, 8]"), "3 do not share the 32 channels of stage 2"),
        ("swin", ("MODEL.SWIN.WINDOW_SIZE", "1"), "WINDOW_SIZE is 1, expected 2 or more"),
        ("fcos", ("MODEL.MASK_ON", "True"), "FCOS finds boxes and no masks: set MODEL.MASK_ON False"),
        ("fcos", ("MODEL.FCOS.IN_FEATURES", "['p3', 'p9']"), "MODEL.FCOS.IN_FEATURES: p9, the backbone has p2, p3"),
        ("fcos", ("MODEL.FCOS.IN_FEATURES", "[]"), "MODEL.FCOS.IN_FEATURES: empty"),
        ("fcos", ("MODEL.FCOS.IN_FEATURES", "['p4', 'p3']"), "expected each level half as large as the one before"),
        ("fcos", ("MODEL.FCOS.PRIOR_PROB", "1.0"), "PRIOR_PROB is 1, expected a number between 0 and 1"),
        ("fcos", ("MODEL.FCOS.CENTER_SAMPLING_RADIUS", "0.0"), "CENTER_SAMPLING_RADIUS is 0, expected more than 0"),
        ("fcos", ("MODEL.ROI_HEADS.NUM_CLASSES", "0"), "MODEL.ROI_HEADS.NUM_CLASSES is 0, expected 1 or more"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(name, overrides, said):
    with pytest.raises(ConfigError) as refusal:
        model_of(f"shapes_{name}", *overrides)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_without_the_project_its_keys_are_unknown(tmp_path):
    stated = (CONFIGS / "shapes_vitdet.yaml").read_text().replace('PROJECT: "ModernBackbones"\n', "")
    (tmp_path / "mine.yaml").write_text(stated.replace("../../../configs/", "thingstuff://"))
    with pytest.raises(ConfigError, match="there is no key MODEL.VIT"):
        load_config(tmp_path / "mine.yaml")


def test_a_python_config_is_opened_only_where_that_is_asked_for(run_tool):
    code, _, err = run_tool("train_net", "--config-file", CONFIGS / "lazy_vitdet_b.py")
    assert code == 2
    assert_one_line(err, "--allow-python-config")


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("fcos", ("TEST.AUG.ENABLED", "True"), "TEST.AUG is for R-CNNs and semantic models, this is a FCOS"),
        (
            "fcos",
            ("PANOPTIC.ENABLED", "True", "PANOPTIC.STUFF", "files", "PANOPTIC.STUFF_DIR", "."),
            "PANOPTIC.ENABLED",
        ),
        (
            "fcos",
            ("MODEL.ROI_HEADS.NUM_CLASSES", "2"),
            "shapes_train has 6 classes, but MODEL.ROI_HEADS.NUM_CLASSES is 2",
        ),
        ("vitdet", ("MODEL.VIT.PATCH_SIZE", "12"), "PATCH_SIZE is 12"),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(run_tool, small_shapes, tmp_path, name, overrides, said):
    assert_training_is_refused(run_tool, CONFIGS / f"shapes_{name}.yaml", tmp_path / "run", overrides, said)
