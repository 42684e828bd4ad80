"""Detectron2's projects run from a config: PointRend and Panoptic-DeepLab train, evaluate and write their files."""

import json

import pytest
from helpers import TINY, assert_training_is_refused

POINT_REND = "thingstuff://shapes/point_rend.yaml"
PANOPTIC_DEEPLAB = "thingstuff://shapes/panoptic_deeplab.yaml"


def last_metrics(folder):
    """The last training step that metrics.json tells of."""
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    return next(line for line in reversed(lines) if "total_loss" in line)


@pytest.mark.parametrize(
    ("recipe", "test_set", "losses"),
    [
        (POINT_REND, "shapes_val", {"loss_mask", "loss_mask_point", "loss_cls", "loss_box_reg"}),
        (PANOPTIC_DEEPLAB, "shapes_val_standard", {"loss_sem_seg", "loss_center", "loss_offset"}),
    ],
)
def test_a_project_trains_and_evaluates(run_tool, small_shapes, tmp_path, recipe, test_set, losses):
    code, out, err = run_tool("train_net", "--config-file", recipe, *TINY, "OUTPUT_DIR", tmp_path / "run")
    assert code == 0, err
    for name in ("model_final.pth", "results.json", "pictures.png"):
        assert (tmp_path / "run" / name).stat().st_size > 0, name
    assert test_set in json.loads((tmp_path / "run/results.json").read_text())["results"]
    assert test_set in out
    assert losses <= set(last_metrics(tmp_path / "run"))


def test_panoptic_deeplab_gives_every_kind_of_answer(tiny_cfg):
    """Semantic scores of all classes, and a panoptic map whose ids name class and number, or -1 for nothing."""
    import torch
    from detectron2.data import MetadataCatalog, build_detection_test_loader
    from detectron2.modeling import build_model

    from thingstuff.data.catalog import require_datasets

    cfg = tiny_cfg("shapes/panoptic_deeplab.yaml")
    require_datasets(["shapes_train_standard", "shapes_val_standard"])
    model = build_model(cfg).eval()
    record = next(iter(build_detection_test_loader(cfg, "shapes_val_standard")))
    with torch.inference_mode():
        output = model(record)[0]
    ids, segments = output["panoptic_seg"]
    assert output["sem_seg"].shape == (10, 160, 160)
    assert ids.shape == (160, 160)
    assert segments is None
    divisor = MetadataCatalog.get("shapes_val_standard").label_divisor
    classes = torch.div(ids[ids != -1], divisor, rounding_mode="floor")
    assert set(classes.unique().tolist()) <= set(range(10))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ("INPUT.DATASET_MAPPER_NAME", "panoptic_deeplap"),
            "DATASET_MAPPER_NAME is panoptic_deeplap, expected one of panoptic_deeplab",
        ),
        (("DATASETS.TRAIN", "('shapes_train',)"), "shapes_train has no label_divisor"),
        (("MODEL.SEM_SEG_HEAD.NUM_CLASSES", "6"), "has 10 classes, but MODEL.SEM_SEG_HEAD.NUM_CLASSES is 6"),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(run_tool, small_shapes, tmp_path, overrides, said):
    assert_training_is_refused(run_tool, PANOPTIC_DEEPLAB, tmp_path / "run", overrides, said)
