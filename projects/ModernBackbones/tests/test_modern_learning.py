"""What the optimiser is told, weights of other families, and that the models learn."""

import pickle

import pytest
import torch
from detectron2.modeling import get_vit_lr_decay_rate
from detectron2.utils.events import EventStorage
from helpers import assert_one_line
from modern_cases import CONFIGS, SHAPES, config_of, model_of, scene

from thingstuff.engine.training.solver import build_optimizer
from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.errors import WeightsError


def rates_and_decays(model, cfg):
    names = {id(value): name for name, value in model.named_parameters()}
    groups = build_optimizer(cfg, model).param_groups
    return {names[id(p)]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_rates_fall_towards_the_first_block():
    """0.5 to the power of the distance from the last of 2 blocks; all that is above the ViT has the whole rate."""
    cfg = config_of("shapes_vitdet", "MODEL.VIT.LAYER_DECAY", "0.5")
    found = rates_and_decays(model_of("shapes_vitdet", "MODEL.VIT.LAYER_DECAY", "0.5"), cfg)
    base, net = cfg.SOLVER.BASE_LR, "backbone.net."
    for name, share in {
        f"{net}pos_embed": 0.125,
        f"{net}patch_embed.proj.weight": 0.125,
        f"{net}blocks.0.attn.qkv.weight": 0.25,
        f"{net}blocks.1.mlp.fc1.bias": 0.5,
        "backbone.simfp_2.0.weight": 1.0,
        "roi_heads.box_head.fc1.weight": 1.0,
    }.items():
        assert found[name][0] == pytest.approx(base * share), name
        assert get_vit_lr_decay_rate(name, 0.5, 2) == share


@pytest.mark.parametrize(
    ("name", "free", "decayed"),
    [
        ("shapes_vitdet", "net.pos_embed", "net.blocks.0.attn.rel_pos_h"),  # as in Detectron2's recipes
        ("shapes_mvitv2", "bottom_up.blocks.1.attn.rel_pos_w", "bottom_up.blocks.1.attn.qkv.weight"),
        ("shapes_swin", "bottom_up.layers.0.blocks.0.attn.relative_position_bias_table", "fpn_lateral2.weight"),
    ],
)
def test_positions_and_norms_have_no_weight_decay(name, free, decayed):
    cfg, model = config_of(name), model_of(name)
    found = rates_and_decays(model, cfg)
    assert found[f"backbone.{free}"][1] == 0
    assert found[f"backbone.{decayed}"][1] == cfg.SOLVER.WEIGHT_DECAY
    norm = next(key for key in found if key.endswith("norm1.weight"))
    assert found[norm][1] == cfg.SOLVER.WEIGHT_DECAY_NORM == 0
    assert rates_and_decays(model, cfg) == found  # a second optimiser is told the same


def mae_like(model):
    """Tensors under the names of MAE's files, of a ViT like the model's, with a class token and a last norm."""
    vit = {name: torch.randn_like(value) for name, value in model.backbone.net.state_dict().items()}
    vit = {name: value for name, value in vit.items() if "rel_pos" not in name}
    width = vit["patch_embed.proj.bias"].shape[0]
    return vit | {
        "cls_token": torch.randn(1, 1, width),
        "norm.weight": torch.ones(width),
        "norm.bias": torch.zeros(width),
    }


@pytest.mark.parametrize("suffix", [".pth", ".pkl"])
def test_weights_of_mae_are_found_by_their_names(suffix, tmp_path):
    model = model_of("shapes_vitdet", "MODEL.VIT.PRETRAIN_IMG_SIZE", "224", "MODEL.VIT.PRETRAIN_USE_CLS_TOKEN", "True")
    weights, file = mae_like(model), tmp_path / f"mae{suffix}"
    before = {name: value.clone() for name, value in model.state_dict().items()}
    if suffix == ".pth":
        torch.save({"model": weights}, file)
    else:
        arrays = {name: value.numpy() for name, value in weights.items()}
        file.write_bytes(pickle.dumps({"model": arrays, "__author__": "MAE", "matching_heuristics": True}))
    Checkpointer(model).load(f"{file}?matching_heuristics=True" if suffix == ".pth" else str(file))
    for name, value in model.state_dict().items():
        own = name.removeprefix("backbone.net.")
        expected = weights[own] if name.startswith("backbone.net.") and own in weights else before[name]
        assert torch.equal(value, expected), name


def test_weights_of_another_family_are_refused(tmp_path):
    torch.save({"model": model_of("shapes_swin").state_dict()}, tmp_path / "swin.pth")
    model = model_of("shapes_mvitv2")
    with pytest.raises(WeightsError, match="was made for another model"):
        Checkpointer(model, whole_model=True).load(str(tmp_path / "swin.pth"))


def test_weights_of_other_classes_begin_anew_where_that_is_asked_for(tmp_path):
    torch.save({"model": model_of("shapes_fcos", "MODEL.ROI_HEADS.NUM_CLASSES", "7").state_dict()}, tmp_path / "7.pth")
    with pytest.raises(WeightsError, match=r"7 classes in the file, 6 in this model.*REINIT_HEADS"):
        Checkpointer(model_of("shapes_fcos")).load(str(tmp_path / "7.pth"))
    Checkpointer(model_of("shapes_fcos"), reinit_heads=True).load(str(tmp_path / "7.pth"))


def test_predicting_with_weights_of_another_family_is_one_line(run_tool, small_shapes, tmp_path):
    torch.save({"model": model_of("shapes_swin").state_dict()}, tmp_path / "swin.pth")
    code, _, err = run_tool(
        "predict", "--config-file", CONFIGS / "shapes_vitdet.yaml", "--weights", tmp_path / "swin.pth",
        "--input", "shapes_val", "--output", tmp_path / "out", "--opts", "MODEL.DEVICE", "cpu",
    )  # fmt: skip
    assert code == 2
    assert_one_line(err, "was made for another model")


STEPS = 100


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_it_learns_two_images_by_heart(name):
    """Boxes within 0.7 IoU, the right classes, and nothing else above the threshold."""
    from detectron2.structures import pairwise_iou

    torch.manual_seed(0)
    first = scene([(6, 10, 46, 60), (52, 30, 90, 88)], [0, 1], size=(96, 96), seed=1)
    batch = [first, scene([(30, 12, 86, 58)], [2], size=(96, 96), seed=2)]
    cfg = config_of(name)
    model = model_of(name, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.5").train()
    optimizer = build_optimizer(cfg, model)
    for group in optimizer.param_groups:
        group["lr"] = 0.001
    with EventStorage():
        for _ in range(STEPS):
            optimizer.zero_grad()
            sum(model(batch).values()).backward()
            optimizer.step()
    with torch.inference_mode():
        answers = [one["instances"] for one in model.eval()(batch)]
    for answer, one in zip(answers, batch, strict=True):
        truth = one["instances"]
        ious = pairwise_iou(truth.gt_boxes, answer.pred_boxes)
        assert len(answer) == len(truth), answer.scores
        assert (ious.max(dim=1).values > 0.7).all(), ious
        assert torch.equal(answer.pred_classes[ious.argmax(dim=1)], truth.gt_classes)
