"""Detectron2's models as functions of tensors: the same numbers, to the last bit, before anything is exported."""

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import ImageList
from torchvision.ops import nms

from thingstuff.config import load_config
from thingstuff.errors import ConfigError
from thingstuff.modeling.exportable import exportable
from thingstuff.modeling.exportable.nms import surviving
from thingstuff.modeling.zoo_check import build_without_weights

SIZE = (150, 187)  # height and width of an image; its canvas is 160 x 192
VARIANTS = {
    "masks": (),
    "boxes": ("MODEL.MASK_ON", "False"),
    "agnostic": ("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "True", "MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK", "True"),
    "sigmoid": ("MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE", "True"),
    "first_roi_align": ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIAlign", "MODEL.ROI_MASK_HEAD.POOLER_TYPE", "ROIAlign"),
    "adaptive": ("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", "0", "MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO", "0"),
    "one_level": ("MODEL.ROI_HEADS.IN_FEATURES", "['p3']", "MODEL.RPN.IN_FEATURES", "['p2','p3','p4','p5','p6']"),
    "many": ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0", "TEST.DETECTIONS_PER_IMAGE", "-1"),
    "none": ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "1.0"),
}


def build(recipe, *opts):
    """A model with random weights that are sure enough of something."""
    torch.manual_seed(3)
    model = build_model(load_config(f"thingstuff://shapes/{recipe}.yaml", ["MODEL.DEVICE", "cpu", *opts])).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "cls_score" in name or "mask_head.predictor" in name:
                value.mul_(8)
    return model


def image(size=SIZE):
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(0)) * 255


def on_canvas(pixels, rest=77.0):
    """The image at the top left, anything in the rest."""
    height, width = (-(-side // 32) * 32 for side in pixels.shape[1:])
    canvas = torch.full((3, height, width), rest)
    canvas[:, : pixels.shape[1], : pixels.shape[2]] = pixels
    return canvas, torch.tensor([float(side) for side in pixels.shape[1:]])


@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_detectron2(variant):
    model = build("mask_rcnn", *VARIANTS[variant])
    pixels = image()
    with torch.no_grad():
        expected = model.inference([{"image": pixels}], do_postprocess=False)[0]
        boxes, scores, classes, *masks = exportable(model)(*on_canvas(pixels))
    assert (len(expected) > 3) == (variant != "none")
    assert torch.equal(boxes, expected.pred_boxes.tensor)
    assert torch.equal(scores, expected.scores)
    assert torch.equal(classes, expected.pred_classes)
    assert [torch.equal(m, expected.pred_masks[:, 0]) for m in masks] == ([] if variant == "boxes" else [True])


@pytest.mark.parametrize("recipe", ["panoptic_fpn", "semantic"])
def test_logits_are_those_before_they_are_scaled_up(recipe):
    model = build(recipe)
    network = exportable(model)
    pixels = image()
    with torch.no_grad():
        normalised = ImageList.from_tensors([(pixels - model.pixel_mean) / model.pixel_std], 32)
        expected = model.sem_seg_head(model.backbone(normalised.tensor), None)[0][0]
        logits = network(*on_canvas(pixels))[-1]
        scaled = torch.nn.functional.interpolate(logits[None], scale_factor=4.0, mode="bilinear", align_corners=False)
    assert network.output_names[-1] == "logits"
    assert network.logits_stride == 4
    assert torch.equal(scaled[0], expected)


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_survivors_equal_torchvisions(count):
    generator = torch.Generator().manual_seed(count)
    boxes = torch.rand(count, 4, generator=generator) * 40
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.rand(count, generator=generator).round(decimals=1)  # with ties
    assert torch.equal(surviving(boxes, scores, 0.5), nms(boxes, scores, 0.5))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("model_zoo://COCO-Keypoints/keypoint_rcnn_R_50_FPN_3x.yaml", "keypoint"),
        ("model_zoo://Misc/cascade_mask_rcnn_R_50_FPN_3x.yaml", "CascadeROIHeads"),
        ("model_zoo://COCO-Detection/retinanet_R_50_FPN_3x.yaml", "RetinaNet"),
        ("model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_C4_3x.yaml", "Res5ROIHeads"),
        ("model_zoo://COCO-Detection/rpn_R_50_FPN_1x.yaml", "ProposalNetwork"),
    ],
)
def test_others_are_refused_with_what_is_supported(config, said):
    model = build_without_weights(load_config(config))
    with pytest.raises(ConfigError, match=said) as refusal:
        exportable(model)
    assert "SemanticSegmentor" in str(refusal.value)
