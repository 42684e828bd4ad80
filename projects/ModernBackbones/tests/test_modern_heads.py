"""Any head of Detectron2 goes on any of the backbones."""

import pytest
import torch
from detectron2.utils.events import EventStorage
from helpers import assert_one_line
from modern_cases import CONFIGS, RCNNS, image_of, model_of, scene

CASCADE = ("MODEL.ROI_HEADS.NAME", "CascadeROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "True")
STUFF_HEAD = (
    *("PANOPTIC.ENABLED", "True", "MODEL.SEM_SEG_HEAD.NUM_CLASSES", "5", "MODEL.SEM_SEG_HEAD.CONVS_DIM", "32"),
    *("MODEL.SEM_SEG_HEAD.NORM", ""),
)
OF_LEVELS = {"shapes_vitdet": "['p2', 'p3', 'p4']"}


def boxes_only(name, kind):
    """RetinaNet and FCOS on all levels of a backbone, with one anchor size for each."""
    levels = "['p2', 'p3', 'p4', 'p5']"
    keys = ("MODEL.META_ARCHITECTURE", kind, "MODEL.MASK_ON", "False", f"MODEL.{kind.upper()}.IN_FEATURES", levels)
    return model_of(name, *keys, "MODEL.ANCHOR_GENERATOR.SIZES", "[[16], [32], [64], [128]]")


@pytest.mark.parametrize("name", RCNNS)
def test_a_cascade_learns_and_predicts(name):
    model, one = model_of(name, *CASCADE), scene([(10, 20, 70, 90)], [1])
    with EventStorage():
        losses = model([one])
    assert {"loss_cls_stage0", "loss_cls_stage2", "loss_mask"} <= set(losses)
    with torch.inference_mode():
        assert model.eval()([{"image": image_of(160, 160)}])[0]["instances"].has("pred_masks")


@pytest.mark.parametrize("name", RCNNS)
def test_a_semantic_head_makes_it_panoptic(name):
    levels = OF_LEVELS.get(name, "['p2', 'p3', 'p4', 'p5']")
    model = model_of(name, *STUFF_HEAD, "MODEL.SEM_SEG_HEAD.IN_FEATURES", levels)
    one = scene([(10, 20, 70, 90)], [1]) | {"sem_seg": torch.zeros(160, 160, dtype=torch.long)}
    with EventStorage():
        assert "loss_sem_seg" in model([one])


@pytest.mark.parametrize("name", RCNNS)
@pytest.mark.parametrize("kind", ["RetinaNet", "FCOS"])
def test_a_dense_detector_learns_and_predicts(name, kind):
    model, one = boxes_only(name, kind), scene([(10, 20, 70, 90)], [1])
    with EventStorage():
        assert all(torch.isfinite(loss) for loss in model([one]).values())
    with torch.inference_mode():
        assert "instances" in model.eval()([{"image": image_of(64, 64)}])[0]


def test_an_export_of_fcos_is_refused_in_one_line(run_tool, small_shapes, tmp_path):
    torch.save({"model": model_of("shapes_fcos").state_dict()}, tmp_path / "fcos.pth")
    code, _, err = run_tool(
        "export", "--config-file", CONFIGS / "shapes_fcos.yaml", "--weights", tmp_path / "fcos.pth",
        "--output", tmp_path / "fcos.onnx",
    )  # fmt: skip
    assert code == 2
    assert_one_line(err, "FCOS")
