"""torchvision's weights in Detectron2's own Mask R-CNN: the same detections and masks."""

from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from helpers import assert_one_line, load_script
from torchvision_cases import CLASSES, DETECTIONS, pictures, small_cfg, torchvision_network
from torchvision_maskrcnn.conversion import Conversion, converted

from thingstuff.errors import WeightsError

main = load_script(Path(__file__).parents[1] / "convert.py").main
TOLERANCE = 1e-3  # pixels, scores and probabilities


def detectron2_model(state, config, norm_eps):
    """In float64: random networks would blow the rounding of float32 up to what is compared here."""
    cfg = small_cfg(config)
    model = build_model(cfg).eval()
    model.load_state_dict(converted(state, Conversion(norm_eps)), strict=True)
    model.double()
    for name, values in (("pixel_mean", cfg.MODEL.PIXEL_MEAN), ("pixel_std", cfg.MODEL.PIXEL_STD)):
        setattr(model, name, torch.tensor(values, dtype=torch.float64).view(-1, 1, 1))
    return model


def before_pasting(network, image):
    """What torchvision's own network finds in an image, with masks as probabilities in their boxes."""
    batch, _ = network.transform([image])
    features = network.backbone(batch.tensors)
    proposals, _ = network.rpn(batch, features)
    return network.roi_heads(features, proposals, batch.image_sizes)[0][0]


@pytest.mark.parametrize(
    ("name", "norm_eps", "count"),
    [
        ("maskrcnn_resnet50_fpn", 0.0, 3),
        pytest.param("maskrcnn_resnet50_fpn", 0.0, 20, marks=pytest.mark.slow),
        pytest.param("maskrcnn_resnet50_fpn_v2", 1e-5, 20, marks=pytest.mark.slow),
    ],
)
def test_detectron2_gives_torchvisions_answers(name, norm_eps, count):
    network = torchvision_network(small_cfg(name))
    model = detectron2_model(
        network.state_dict(), name.replace("maskrcnn_resnet50_fpn", "detectron2_of_torchvision"), norm_eps
    )
    network.double()
    found = []
    with torch.inference_mode():
        for picture in pictures(count):
            theirs = before_pasting(network, picture.double() / 255)
            ours = model.inference([{"image": picture.double()}], do_postprocess=False)[0]
            assert torch.equal(ours.pred_classes, theirs["labels"] - 1)
            for mine, other in (
                (ours.pred_boxes.tensor, theirs["boxes"]),
                (ours.scores, theirs["scores"]),
                (ours.pred_masks, theirs["masks"]),
            ):
                torch.testing.assert_close(mine.double(), other.double(), atol=TOLERANCE, rtol=0)
            found.append(len(ours))
    assert sum(found) > count * DETECTIONS / 2
    assert len(set(theirs["labels"].tolist())) > 1


def test_background_comes_last_and_is_dropped_elsewhere():
    state = torchvision_network(small_cfg("shapes", MODEL__FPN__NORM="")).state_dict()
    made = converted(state, Conversion())
    order = [*range(1, CLASSES + 1), 0]
    predictor = "roi_heads.box_predictor."
    assert torch.equal(made[predictor + "cls_score.weight"], state[predictor + "cls_score.weight"][order])
    assert torch.equal(made[predictor + "bbox_pred.bias"], state[predictor + "bbox_pred.bias"][4:])
    logits = state["roi_heads.mask_predictor.mask_fcn_logits.weight"]
    assert torch.equal(made["roi_heads.mask_head.predictor.weight"], logits[1:])


def test_of_cocos_91_rows_80_are_kept():
    state = {
        "roi_heads.box_predictor.cls_score.weight": torch.arange(91.0)[:, None],
        "roi_heads.box_predictor.cls_score.bias": torch.arange(91.0),
        "roi_heads.box_predictor.bbox_pred.weight": torch.arange(364.0)[:, None],
        "roi_heads.box_predictor.bbox_pred.bias": torch.arange(364.0),
        "roi_heads.mask_predictor.mask_fcn_logits.weight": torch.arange(91.0)[:, None],
        "roi_heads.mask_predictor.mask_fcn_logits.bias": torch.arange(91.0),
    }
    made = converted(state, Conversion())
    scores = made["roi_heads.box_predictor.cls_score.bias"].long().tolist()
    from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES

    things = [category["id"] for category in COCO_CATEGORIES if category["isthing"]]
    assert scores == [*things, 0]
    offsets = made["roi_heads.box_predictor.bbox_pred.bias"].view(80, 4)
    assert offsets[:, 0].long().tolist() == [4 * row for row in things]
    assert made["roi_heads.mask_head.predictor.bias"].long().tolist() == things
    every = converted(state, Conversion(keep_all_rows=True))
    assert len(every["roi_heads.box_predictor.cls_score.bias"]) == 91


def test_old_names_and_our_own_are_known():
    state = torchvision_network(small_cfg("shapes", MODEL__FPN__NORM="")).state_dict()
    new = converted(state, Conversion())
    old = {}
    for name, value in state.items():
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        for number in range(4):
            name = name.replace(f"inner_blocks.{number}.0.", f"inner_blocks.{number}.")
            name = name.replace(f"layer_blocks.{number}.0.", f"layer_blocks.{number}.")
            name = name.replace(f"mask_head.{number}.0.", f"mask_head.mask_fcn{number + 1}.")
        old[name] = value
    ours = build_model(small_cfg("shapes", MODEL__FPN__NORM=""))
    ours.load_state_dict(old)
    for other in (converted(old, Conversion()), converted(ours.state_dict(), Conversion())):
        assert other.keys() == new.keys()
        assert all(torch.equal(other[name], new[name]) for name in new)


def test_the_command_writes_a_checkpoint(tmp_path, capsys):
    state = torchvision_network(small_cfg("maskrcnn_resnet50_fpn")).state_dict()
    source, target = tmp_path / "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", tmp_path / "made" / "d2.pth"
    torch.save(state, source)
    assert main([str(source), str(target)]) == 0
    assert f"detectron2_of_torchvision.yaml MODEL.WEIGHTS {target}" in capsys.readouterr().out
    made = torch.load(target, weights_only=True)["model"]
    theirs = state["backbone.body.bn1.running_var"]
    torch.testing.assert_close(made["backbone.bottom_up.stem.conv1.norm.running_var"] + 1e-5, theirs)
    assert main([str(source), str(target), "--norm-eps", "0.00001"]) == 0
    made = torch.load(target, weights_only=True)["model"]
    torch.testing.assert_close(made["backbone.bottom_up.stem.conv1.norm.running_var"], theirs)


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        ({"fc.weight": torch.zeros(1)}, (), "these are no weights of torchvision's Mask R-CNN"),
        (None, (), "no weights at"),
        ({"a": torch.zeros(1)}, ("--norm-eps", "-1"), "--norm-eps is -1.0"),
    ],
)
def test_mistakes_of_the_command_end_in_one_line(tmp_path, capsys, content, arguments, said):
    source = tmp_path / "in.pth"
    if content is not None:
        torch.save(content, source)
    assert main([str(source), str(tmp_path / "out.pth"), *arguments]) == 2
    assert_one_line(capsys.readouterr().err, said)
    assert not (tmp_path / "out.pth").exists()


def test_an_unknown_parameter_is_named():
    state = torchvision_network(small_cfg("shapes", MODEL__FPN__NORM="")).state_dict()
    with pytest.raises(WeightsError, match="roi_heads.keypoint.x is none of its parameters"):
        converted({**state, "roi_heads.keypoint.x": torch.zeros(1)}, Conversion())
