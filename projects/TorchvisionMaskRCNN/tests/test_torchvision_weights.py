"""Files of weights: torchvision's, our own, a ResNet's, and those for other classes."""

import pytest
import torch
import torchvision
from detectron2.modeling import build_model
from torchvision_cases import RESNET18, pictures, raw, small_cfg, torchvision_network, with_weights
from torchvision_maskrcnn.weights import published_url

from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.errors import ConfigError, WeightsError


@pytest.fixture(scope="module")
def network():
    return torchvision_network(small_cfg(RESNET18))


@pytest.fixture(scope="module")
def model(network):
    return with_weights(network)


def with_rows(state, rows):
    """Another number of classes, the background among them, in torchvision's file; row n holds n."""
    changed = dict(state)
    for name, value in state.items():
        a_class = 4 if "bbox_pred" in name else 1
        if name.startswith("roi_heads.") and ("box_predictor" in name or "mask_fcn_logits" in name):
            shape = (a_class * rows, *value.shape[1:])
            numbers = torch.arange(rows).repeat_interleave(a_class).float()
            changed[name] = numbers.view(-1, *[1] * (value.dim() - 1)).expand(shape).clone()
    return changed


def test_a_file_of_torchvision_is_loaded_and_so_is_our_own(network, model, tmp_path):
    torch.save(network.state_dict(), tmp_path / "theirs.pth")
    torch.save({"model": model.state_dict()}, tmp_path / "ours.pth")
    picture = pictures(1)[0]
    for name in ("theirs", "ours"):
        fresh = build_model(small_cfg(RESNET18)).eval()
        Checkpointer(fresh, whole_model=True).load(str(tmp_path / f"{name}.pth"))
        assert torch.equal(raw(fresh, picture).scores, raw(model, picture).scores)


def test_of_cocos_90_ids_a_model_of_80_classes_takes_its_own(network, tmp_path):
    from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES

    ids = [0, *(category["id"] for category in COCO_CATEGORIES if category["isthing"])]
    torch.save(with_rows(network.state_dict(), 91), tmp_path / "coco.pth")
    built = build_model(small_cfg(RESNET18, MODEL__ROI_HEADS__NUM_CLASSES=80))
    Checkpointer(built, whole_model=True).load(str(tmp_path / "coco.pth"))
    heads = built.roi_heads.heads
    assert heads.box_predictor.cls_score.bias.tolist() == ids
    assert heads.box_predictor.bbox_pred.bias.view(-1, 4)[:, 3].tolist() == ids
    assert heads.mask_predictor.mask_fcn_logits.weight[:, 0, 0, 0].tolist() == ids


def test_other_classes_are_refused_unless_heads_start_anew(network, tmp_path):
    file = str(tmp_path / "coco.pth")
    torch.save(with_rows(network.state_dict(), 91), file)
    with pytest.raises(WeightsError, match="are for 90 classes, this model has 7 .*MODEL.REINIT_HEADS True"):
        Checkpointer(build_model(small_cfg(RESNET18))).load(file)
    fresh = build_model(small_cfg(RESNET18, MODEL__REINIT_HEADS=True))
    before = fresh.roi_heads.heads.box_predictor.cls_score.weight.clone()
    Checkpointer(fresh, reinit_heads=True).load(file)
    assert torch.equal(fresh.roi_heads.heads.box_predictor.cls_score.weight, before)
    assert torch.equal(fresh.backbone.body.conv1.weight, network.backbone.body.conv1.weight)
    with pytest.raises(WeightsError, match="lacks"):
        Checkpointer(fresh, whole_model=True).load(file)


def test_its_own_checkpoint_for_other_classes_begins_new_heads(model, tmp_path):
    torch.save({"model": model.state_dict()}, tmp_path / "ours.pth")
    cfg = small_cfg(RESNET18, MODEL__ROI_HEADS__NUM_CLASSES=3, MODEL__REINIT_HEADS=True)
    fresh = build_model(cfg)
    before = fresh.roi_heads.heads.mask_predictor.mask_fcn_logits.weight.clone()
    with pytest.raises(WeightsError, match=r"mask_predictor \(7 classes in the file, 3 in this model\)"):
        Checkpointer(build_model(cfg)).load(str(tmp_path / "ours.pth"))
    Checkpointer(fresh, reinit_heads=True).load(str(tmp_path / "ours.pth"))
    heads, theirs = fresh.roi_heads.heads, model.roi_heads.heads
    assert torch.equal(heads.mask_predictor.mask_fcn_logits.weight, before)
    assert torch.equal(heads.mask_predictor.conv5_mask.weight, theirs.mask_predictor.conv5_mask.weight)


def test_a_resnet_of_imagenet_is_a_backbone_to_begin_with(tmp_path):
    trunk = torchvision.models.resnet18(weights=None)
    torch.save(trunk.state_dict(), tmp_path / "resnet18.pth")
    fresh = build_model(small_cfg(RESNET18))
    Checkpointer(fresh).load(str(tmp_path / "resnet18.pth"))
    assert torch.equal(fresh.backbone.body.layer4[1].conv2.weight, trunk.layer4[1].conv2.weight)


def test_default_weights_come_from_the_cache_or_say_where_they_belong(tmp_path, monkeypatch):
    cfg = small_cfg("maskrcnn_resnet50_fpn", MODEL__TORCHVISION__WEIGHTS="DEFAULT")
    url = published_url("maskrcnn_resnet50_fpn")
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    network = torchvision_network(cfg)
    target = tmp_path / "models" / "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
    monkeypatch.setattr(
        "torchvision_maskrcnn.model.published_url", lambda _: "http://127.0.0.1:9/models/" + target.name
    )
    with pytest.raises(WeightsError, match=r"cannot fetch http://127.0.0.1:9/models/.*put it at .*MODEL.WEIGHTS"):
        build_model(cfg)
    target.parent.mkdir(exist_ok=True)
    torch.save(network.state_dict(), target)
    loaded = build_model(cfg)
    assert torch.equal(loaded.backbone.body.conv1.weight, network.backbone.body.conv1.weight)
    assert url.endswith(target.name)


def test_the_published_weights_want_their_eps():
    weights = published_url("maskrcnn_resnet50_fpn")
    with pytest.raises(ConfigError, match=r"set MODEL.TORCHVISION.NORM_EPS 0.0"):
        build_model(small_cfg("maskrcnn_resnet50_fpn", MODEL__WEIGHTS=weights, MODEL__TORCHVISION__NORM_EPS=0.00001))
    build_model(small_cfg("maskrcnn_resnet50_fpn", MODEL__WEIGHTS=weights))
