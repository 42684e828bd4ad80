"""Models made fast against Detectron2's own: the same structure, and answers that differ by rounding only."""

import copy

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import build_model
from detectron2.modeling.backbone.fpn import FPN
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator.rpn import RPN
from detectron2.modeling.roi_heads import StandardROIHeads
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances

from thingstuff.config import load_config
from thingstuff.config.zoo import zoo_names
from thingstuff.modeling.inference.convert import make_fast
from thingstuff.modeling.inference.pool import pool_boxes

SMALL = (
    *("MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "MODEL.RPN.PRE_NMS_TOPK_TEST", "100", "MODEL.RPN.NMS_THRESH", "0.9"),
    *(
        "MODEL.RPN.POST_NMS_TOPK_TEST",
        "40",
        "TEST.DETECTIONS_PER_IMAGE",
        "20",
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST",
        "0.0",
    ),
)


def build(name, *overrides):
    """A model of random weights whose batch norms do something and whose scores differ."""
    torch.manual_seed(0)
    model = build_model(load_config(name, [*SMALL, *overrides])).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, FrozenBatchNorm2d | torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.8, 1.2)
                module.weight.uniform_(0.3, 0.6)  # or residual sums grow until nothing is a number
        for key, value in model.named_parameters():
            if "cls_score.weight" in key or "predictor.weight" in key or "objectness" in key:
                value.mul_(20)
    return model


def picture(height=96, width=128):
    generator = torch.Generator().manual_seed(1)
    small = torch.rand(1, 3, height // 8, width // 8, generator=generator) * 255
    image = torch.nn.functional.interpolate(small, size=(height, width), mode="bilinear")[0]
    return {"image": image, "height": height, "width": width}


def answers(model, *inputs):
    with torch.inference_mode():
        return model(list(inputs))


def compare_instances(ours, theirs, box_px, prob):
    assert len(ours) == len(theirs) > 0
    assert torch.equal(ours.pred_classes, theirs.pred_classes)
    assert (ours.pred_boxes.tensor - theirs.pred_boxes.tensor).abs().max() < box_px
    assert (ours.scores - theirs.scores).abs().max() < prob
    if theirs.has("pred_masks"):
        assert (ours.pred_masks != theirs.pred_masks).float().mean() < 1e-4


MASK_RCNN = "model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
INSTANCE_CONFIGS = {
    MASK_RCNN: (),
    "thingstuff://shapes/mask_rcnn.yaml": (),
    "model_zoo://COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml": (),
    "model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x.yaml": ("MODEL.RPN.POST_NMS_TOPK_TEST", "24"),
    "model_zoo://Misc/cascade_mask_rcnn_R_50_FPN_1x.yaml": (),
    "model_zoo://Misc/mask_rcnn_R_50_FPN_1x_cls_agnostic.yaml": (),
    "model_zoo://Misc/mask_rcnn_R_50_FPN_3x_gn.yaml": (),
    "model_zoo://Misc/mask_rcnn_R_50_FPN_1x_dconv_c3-c5.yaml": (),
    "model_zoo://COCO-Detection/retinanet_R_50_FPN_1x.yaml": ("MODEL.RETINANET.SCORE_THRESH_TEST", "0.0"),
    "model_zoo://COCO-Keypoints/keypoint_rcnn_R_50_FPN_1x.yaml": (
        *("MODEL.ROI_HEADS.NMS_THRESH_TEST", "0.95"),  # of its one class, 20 boxes shall be left
        *("MODEL.ROI_KEYPOINT_HEAD.CONV_DIMS", "(64, 64)"),
    ),
    "model_zoo://COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x.yaml": ("MODEL.RESNETS.DEPTH", "50"),
}


@pytest.mark.parametrize("name", INSTANCE_CONFIGS, ids=lambda n: n.rpartition("/")[2])
def test_instances_of_every_kind_of_model(name):
    """The same in fp32; in bf16 random weights amplify rounding, so that only the form of an answer can be the same."""
    model = build(name, *INSTANCE_CONFIGS[name])
    narrow = make_fast(copy.deepcopy(model), torch.bfloat16)
    (theirs,) = answers(model, picture())
    (ours,) = answers(make_fast(model, torch.float32), picture())
    compare_instances(ours["instances"], theirs["instances"], 0.01, 1e-4)
    found = answers(narrow, picture())[0]["instances"]
    assert len(found) == 20
    assert {found.scores.dtype, found.pred_boxes.tensor.dtype} == {torch.float32}
    assert torch.isfinite(found.pred_boxes.tensor).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "name", ["model_zoo://COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml", "thingstuff://shapes/semantic.yaml"]
)
def test_semantic_scores(name, dtype):
    model = build(name)
    (theirs,) = answers(model, picture())
    (ours,) = answers(make_fast(copy.deepcopy(model), dtype), picture())
    scale = theirs["sem_seg"].abs().max()
    assert ours["sem_seg"].dtype is torch.float32
    assert (ours["sem_seg"] - theirs["sem_seg"]).abs().max() < (1e-4 if dtype is torch.float32 else 0.1) * scale


def test_a_batch_of_one_size_gives_what_each_gives_alone():
    model = make_fast(build(MASK_RCNN), torch.float32)
    first, second = picture(), picture()
    second["image"] = second["image"].flip(-1)
    for together, one in zip(answers(model, first, second), (first, second), strict=True):
        compare_instances(together["instances"], answers(model, one)[0]["instances"], 1e-3, 1e-5)


def test_parts_are_still_what_they_were():
    model = make_fast(build(MASK_RCNN), torch.bfloat16)
    assert isinstance(model.backbone, FPN)
    assert isinstance(model.proposal_generator, RPN)
    assert isinstance(model.roi_heads, StandardROIHeads)
    assert (model.backbone.size_divisibility, model.device.type) == (32, "cpu")
    assert set(model.backbone.output_shape()) == {"p2", "p3", "p4", "p5", "p6"}
    assert not any(p.requires_grad for p in model.parameters())


def test_proposals_are_detectron2s():
    """With float32 features the same arithmetic on fewer anchors gives the same boxes in the same order."""
    model = build(MASK_RCNN)
    one = picture()
    with torch.inference_mode():
        images = model.preprocess_image([one])
        features = model.backbone(images.tensor)
        (theirs,), _ = model.proposal_generator(images, features, None)
        fast = copy.deepcopy(model.proposal_generator)
        from thingstuff.modeling.inference.proposals import fuse_proposals

        fuse_proposals(fast)
        assert type(fast) is not RPN
        (ours,), _ = fast(images, features, None)
    assert len(ours) == len(theirs)
    assert torch.allclose(ours.proposal_boxes.tensor, theirs.proposal_boxes.tensor, atol=1e-3)
    assert torch.allclose(ours.objectness_logits, theirs.objectness_logits, atol=1e-4)


@pytest.mark.parametrize("kind", ["ROIAlign", "ROIAlignV2"])
def test_pooled_rows_are_the_poolers(kind):
    torch.manual_seed(0)
    pooler = ROIPooler((3, 3), scales=[1 / 4, 1 / 8], sampling_ratio=0, pooler_type=kind, canonical_level=3)
    maps = [torch.randn(2, 6, 32, 40), torch.randn(2, 6, 16, 20)]
    corner, size = torch.rand(2, 9, 2) * 80, torch.rand(2, 9, 2) * torch.tensor([[[300.0, 200]], [[20, 20]]])
    boxes = [Boxes(torch.cat([c, c + s], dim=1)) for c, s in zip(corner, size, strict=True)]
    rows = pool_boxes(pooler, maps, boxes, torch.float32)
    assert torch.allclose(rows.transpose(1, 2).unflatten(2, (3, 3)), pooler(maps, boxes), atol=1e-5)
    nothing = [Boxes(torch.zeros(0, 4)), Boxes(torch.zeros(0, 4))]
    assert pool_boxes(pooler, maps, nothing, torch.float32).shape == (0, 9, 6)


class TestDetections:
    """Of given scores and deltas, against Detectron2's own function."""

    def outputs(self, agnostic=False):
        from detectron2.layers import ShapeSpec
        from detectron2.modeling.box_regression import Box2BoxTransform

        from thingstuff.modeling.inference.roi_heads import _ThriftyOutputs

        theirs = FastRCNNOutputLayers(
            ShapeSpec(channels=4),
            box2box_transform=Box2BoxTransform((10.0, 10.0, 5.0, 5.0)),
            num_classes=5,
            test_score_thresh=0.2,
            test_topk_per_image=12,
            cls_agnostic_bbox_reg=agnostic,
        )
        ours = copy.deepcopy(theirs)
        ours.__class__ = _ThriftyOutputs
        return ours, theirs

    def inputs(self, count, agnostic=False):
        generator = torch.Generator().manual_seed(count)
        corner, size = torch.rand(2, count, 2, generator=generator) * 60
        proposals = Instances((90, 110))
        proposals.proposal_boxes = Boxes(torch.cat([corner, corner + size + 4], dim=1))
        scores = torch.randn(count, 6, generator=generator) * 2
        return (scores, torch.randn(count, 4 if agnostic else 20, generator=generator)), [proposals]

    @pytest.mark.parametrize("agnostic", [False, True])
    @pytest.mark.parametrize("count", [0, 1, 7, 60])
    def test_equal_to_the_bit(self, count, agnostic):
        ours, theirs = self.outputs(agnostic)
        self.compare(ours, theirs, self.inputs(count, agnostic))

    def test_rows_that_are_no_numbers_are_left_out(self):
        ours, theirs = self.outputs()
        (scores, deltas), proposals = self.inputs(30)
        scores[3, 2], deltas[6, 0], deltas[8, 1] = torch.nan, torch.nan, torch.inf
        deltas[5, 7], deltas[9, 3] = torch.inf, -torch.inf  # a growth, which is clamped
        left = torch.tensor([row for row in range(30) if row not in (3, 6, 8)])
        self.compare(ours, theirs, ((scores, deltas), proposals), left)  # theirs counts the rows that are left

    def compare(self, ours, theirs, inputs, rows_of_theirs=None):
        with torch.no_grad():
            (found,), (rows,) = ours.inference(*inputs)
            (expected,), (expected_rows,) = theirs.inference(*inputs)
        assert torch.equal(found.pred_boxes.tensor, expected.pred_boxes.tensor)
        assert torch.equal(found.scores, expected.scores)
        assert torch.equal(found.pred_classes, expected.pred_classes)
        assert torch.equal(rows, expected_rows if rows_of_theirs is None else rows_of_theirs[expected_rows])


def test_no_proposals_and_no_detections():
    model = make_fast(build(MASK_RCNN, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "1.0"), torch.float32)
    (found,) = answers(model, picture())
    assert len(found["instances"]) == 0
    assert found["instances"].pred_masks.shape == (0, 96, 128)


def test_every_zoo_name_of_this_file_exists():
    names = set(zoo_names())
    assert {name.removeprefix("model_zoo://") for name in INSTANCE_CONFIGS if name.startswith("model_zoo")} <= names
