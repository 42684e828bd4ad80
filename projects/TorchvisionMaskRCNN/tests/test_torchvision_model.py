"""torchvision's Mask R-CNN behind Detectron2's interfaces: its answers, files, losses and mistakes."""

import copy

import numpy as np
import pytest
import torch
import torchvision
from detectron2.data import MetadataCatalog
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from helpers import assert_read_as_whole
from torchvision_cases import CLASSES, RESNET18, SHORT_PX, pictures, raw, small_cfg, torchvision_network, with_weights
from torchvision_maskrcnn.network import build_network
from torchvision_maskrcnn.settings import Structure, torchvision_arguments

from thingstuff.engine.mode import Mode
from thingstuff.errors import ConfigError
from thingstuff.modeling.augmented import augmented
from thingstuff.modeling.read_outputs import OutputReader
from thingstuff.structures import Categories


@pytest.fixture(scope="module")
def network():
    return torchvision_network(small_cfg(RESNET18))


@pytest.fixture(scope="module")
def model(network):
    return with_weights(network)


@pytest.fixture
def reader():
    categories = Categories.from_coco([{"id": 10 + n, "name": f"class {n}"} for n in range(CLASSES)])
    return OutputReader(categories, MetadataCatalog.get("a set that nobody has"))


# ---- the network -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"])
def test_it_is_torchvisions_function(name):
    cfg = small_cfg(
        name,
        MODEL__FPN__OUT_CHANNELS=256,
        MODEL__ROI_BOX_HEAD__CONV_DIM=256,
        MODEL__ROI_BOX_HEAD__FC_DIM=1024,
        MODEL__ROI_MASK_HEAD__CONV_DIM=256,
        MODEL__RESNETS__NORM="BN",
        MODEL__RPN__POST_NMS_TOPK_TEST=1000,
        MODEL__ANCHOR_GENERATOR__SIZES="[[32], [64], [128], [256], [512]]",
        TEST__DETECTIONS_PER_IMAGE=100,
    )
    ours = build_network(Structure.from_config(cfg), torchvision_arguments(cfg)).eval()
    theirs = getattr(torchvision.models.detection, name)(weights=None, weights_backbone=None, num_classes=CLASSES + 1)
    shapes = [{key: value.shape for key, value in one.state_dict().items()} for one in (ours, theirs)]
    assert shapes[0] == shapes[1]
    for part in ("rpn", "roi_heads"):
        a, b = getattr(ours, part), getattr(theirs, part)
        for key in vars(b).keys() & {
            "nms_thresh",
            "score_thresh",
            "detections_per_img",
            "_pre_nms_top_n",
            "_post_nms_top_n",
        }:
            assert getattr(a, key) == getattr(b, key), key
        for key in ("proposal_matcher", "fg_bg_sampler", "box_coder"):
            assert vars(getattr(a, key)) == vars(getattr(b, key)), key
    assert all(
        torch.equal(*pair)
        for pair in zip(ours.rpn.anchor_generator.cell_anchors, theirs.rpn.anchor_generator.cell_anchors, strict=True)
    )
    assert ours.transform.image_mean == pytest.approx(theirs.transform.image_mean)
    assert ours.transform.image_std == pytest.approx(theirs.transform.image_std)


@pytest.mark.parametrize(("frozen", "trainable"), [(0, 5), (1, 4), (2, 3), (5, 0)])
def test_freeze_at_counts_stages_as_torchvision(frozen, trainable):
    cfg = small_cfg(RESNET18, MODEL__BACKBONE__FREEZE_AT=frozen)
    ours = build_network(Structure.from_config(cfg), torchvision_arguments(cfg)).backbone.body
    theirs = torchvision.models.detection.backbone_utils.resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, norm_layer=torch.nn.BatchNorm2d, trainable_layers=trainable
    ).body
    flags = [{name: value.requires_grad for name, value in one.named_parameters()} for one in (ours, theirs)]
    assert flags[0] == flags[1]


# ---- its answers -----------------------------------------------------------------------------------------------------


def test_answers_are_torchvisions_but_for_pasting(network, model):
    found = 0
    for picture in pictures(4):
        with torch.inference_mode():
            theirs = network([picture.float() / 255])[0]
        ours = raw(model, picture)
        assert torch.equal(ours.pred_boxes.tensor, theirs["boxes"])
        assert torch.equal(ours.scores, theirs["scores"])
        assert torch.equal(ours.pred_classes, theirs["labels"] - 1)
        found += len(ours)
        pasted = torchvision.models.detection.roi_heads.paste_masks_in_image(
            ours.pred_masks, ours.pred_boxes.tensor, tuple(picture.shape[-2:])
        )
        assert torch.equal(pasted, theirs["masks"])
    assert found > 20


def test_channels_may_come_in_either_order(network, model):
    bgr = with_weights(network, INPUT__FORMAT="BGR", MODEL__PIXEL_MEAN="[110.0, 125.0, 115.0]")
    picture = pictures(1)[0]
    assert torch.equal(raw(bgr, picture.flip(0)).scores, raw(model, picture).scores)


def test_an_image_is_never_resized_and_a_small_first_one_changes_nothing(network):
    """torchvision takes the strides of the pyramid from the first image, and half of them from one of 66 px."""
    fresh = with_weights(network)
    small = torch.randint(0, 255, (3, 66, 70), dtype=torch.uint8)
    assert raw(fresh, small).image_size == (66, 70)
    picture = pictures(1)[0]
    assert torch.equal(raw(fresh, picture).scores, raw(with_weights(network), picture).scores)


def test_it_is_read_without_whole_masks(network, model, reader, monkeypatch):
    picture = pictures(1)[0]
    one = {"image": picture, "height": 2 * picture.shape[1], "width": 3 * picture.shape[2]}
    with torch.inference_mode():
        whole = model([one])[0]["instances"]
    monkeypatch.setattr("detectron2.modeling.postprocessing.detector_postprocess", None)
    with torch.inference_mode():
        found = reader(model, [one])[0].detections
    assert len(whole) > 5
    assert_read_as_whole(found, whole, first_id=10)


@pytest.mark.parametrize(("mode", "tolerance"), [("fp32", 1e-3), ("fast", 0.2)])
def test_it_predicts_in_every_mode(network, model, mode, tolerance):
    fast = Mode(mode, torch.float32 if mode == "fp32" else torch.bfloat16).prepare(with_weights(network))
    picture = pictures(1)[0]
    ours, exact = raw(fast, picture), raw(model, picture)
    assert ours.scores.dtype == ours.pred_boxes.tensor.dtype == torch.float32
    assert ours.scores[0] == pytest.approx(exact.scores[0].item(), abs=tolerance)


def test_time_augmentation_takes_it(network, model):
    cfg = small_cfg(RESNET18, TEST__AUG__ENABLED=True, TEST__AUG__MIN_SIZES=f"[{SHORT_PX}]")
    picture = pictures(1)[0]
    found = raw(augmented(cfg, with_weights(network)), picture)
    assert len(found) > 5
    assert found.pred_masks.shape[1:] == (1, 28, 28)
    cfg.TEST.AUG.FLIP = False
    same, alone = raw(augmented(cfg, with_weights(network)), picture), raw(model, picture)
    torch.testing.assert_close(same.scores, alone.scores)
    torch.testing.assert_close(same.pred_masks, alone.pred_masks, atol=1e-4, rtol=0)


# ---- its losses ------------------------------------------------------------------------------------------------------


def truth(count, polygons=False, height=96, width=128):
    corners = [[8, 8, 60, 70], [50, 20, 120, 90]][:count]
    boxes = torch.tensor(corners, dtype=torch.float32).view(-1, 4)
    made = Instances((height, width), gt_boxes=Boxes(boxes), gt_classes=torch.arange(count))
    outlines = [[np.array([x0, y0, x1, y0, x1, y1, x0, y1], float)] for x0, y0, x1, y1 in corners]
    if count:
        made.gt_masks = PolygonMasks(outlines) if polygons else BitMasks.from_polygon_masks(outlines, height, width)
    return made


def losses_of(model, truths):
    image = torch.randint(0, 255, (3, 96, 128), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    torch.manual_seed(0)
    return model([{"image": image, "instances": one} for one in truths])


def test_losses_are_torchvisions_under_detectron2s_names(network):
    ours, theirs = with_weights(network).train(), copy.deepcopy(network).train()
    theirs.transform._skip_resize = True
    image = torch.randint(0, 255, (3, 96, 128), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    one = truth(2)
    target = {"boxes": one.gt_boxes.tensor, "labels": one.gt_classes + 1, "masks": one.gt_masks.tensor.byte()}
    torch.manual_seed(0)
    expected = theirs([image.float() / 255], [target])
    found = losses_of(ours, [one])
    assert set(found) == {"loss_cls", "loss_box_reg", "loss_mask", "loss_rpn_cls", "loss_rpn_loc"}
    names = {"loss_cls": "loss_classifier", "loss_rpn_cls": "loss_objectness", "loss_rpn_loc": "loss_rpn_box_reg"}
    for name, value in found.items():
        assert value.item() == expected[names.get(name, name)].item(), name


@pytest.mark.parametrize("kind", ["bitmasks", "polygons", "nothing", "some"])
def test_it_learns_from_any_truth(network, kind):
    truths = {
        "bitmasks": [truth(2)],
        "polygons": [truth(2, polygons=True)],
        "nothing": [truth(0)],
        "some": [truth(0), truth(1)],
    }[kind]
    losses = losses_of(with_weights(network).train(), truths)
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values())


def test_bf16_moves_no_box_by_pixels(network):
    """Boxes are decoded in float32, and so the proposals, of which the losses are, are those without autocast."""
    model = with_weights(network).train()
    exact = losses_of(model, [truth(2)])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = losses_of(with_weights(network).train(), [truth(2)])
    for name, value in mixed.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[name].item(), rel=0.25), name
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        batch = model.preprocess_image([{"image": pictures(1)[0]}])
        features = model.backbone(batch.tensor)
        proposals, _ = model.eval().proposal_generator(batch, features)
    assert features["0"].dtype == torch.bfloat16
    boxes = proposals[0].proposal_boxes.tensor
    assert boxes.dtype == torch.float32
    assert not torch.equal(boxes, boxes.bfloat16().float())


# ---- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"MODEL__TORCHVISION__NAME": "maskrcnn_vgg"}, "MODEL.TORCHVISION.NAME is 'maskrcnn_vgg', expected"),
        ({"MODEL__TORCHVISION__WEIGHTS": "COCO"}, "MODEL.TORCHVISION.WEIGHTS is 'COCO', expected DEFAULT"),
        ({"MODEL__TORCHVISION__WEIGHTS": "DEFAULT"}, "there are none for maskrcnn_resnet18_fpn"),
        ({"MODEL__ROI_HEADS__NUM_CLASSES": 0}, "NUM_CLASSES is 0, expected 1 or more"),
        (
            {"DATASETS__TEST": "('coco_2017_val',)"},
            "coco_2017_val has 80 classes, but .*NUM_CLASSES is 7: set it to 80",
        ),
        ({"MODEL__MASK_ON": False}, "MODEL.MASK_ON is False"),
        ({"MODEL__ANCHOR_GENERATOR__OFFSET": 0.5}, "MODEL.ANCHOR_GENERATOR.OFFSET is 0.5"),
        ({"MODEL__ANCHOR_GENERATOR__SIZES": "[[8], [16]]"}, "ANCHOR_GENERATOR.SIZES is .*for each of 5 levels"),
        ({"MODEL__RESNETS__NORM": "GN"}, "MODEL.RESNETS.NORM is 'GN', expected one of FrozenBN, BN"),
        ({"MODEL__FPN__NORM": "GN"}, "MODEL.FPN.NORM is 'GN'"),
        ({"MODEL__ROI_MASK_HEAD__NUM_CONV": 0}, "NUM_CONV is 0"),
        ({"MODEL__BACKBONE__FREEZE_AT": 6}, "FREEZE_AT is 6, expected 0 to 5"),
        ({"PANOPTIC__ENABLED": True}, "PANOPTIC.STUFF head is a head on .*convert"),
        ({"INPUT__FORMAT": "L"}, "INPUT.FORMAT is 'L', expected RGB or BGR"),
    ],
)
def test_what_torchvision_cannot_do_is_said(overrides, said):
    with pytest.raises(ConfigError, match=said):
        build_model(small_cfg(RESNET18, **overrides))
