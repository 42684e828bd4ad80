"""YOLACT: one look at an image gives prototypes, and for each anchor what it sees and how to mix them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_anchor_generator, build_backbone
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.structures import Boxes, ImageList, Instances
from torch import Tensor, nn

from yolact.assembly import assemble, masks_in_image
from yolact.criterion import Criterion, LossWeights
from yolact.fast_nms import fast_nms
from yolact.head import PredictionHead, Predictions
from yolact.matching import AnchorMatcher
from yolact.options import require_valid
from yolact.protonet import Protonet
from yolact.truth import Truth


@dataclass(frozen=True)
class InferenceOptions:
    """What of all anchors becomes a detection, and what of a mask becomes a pixel."""

    score_thresh: float = 0.05
    nms_iou_thresh: float = 0.5
    topk_candidates: int = 200
    max_detections: int = 100
    mask_thresh: float = 0.5


@META_ARCH_REGISTRY.register()
class YOLACT(nn.Module):
    """Takes and gives what Detectron2's models do: losses in training, and else `{"instances": ...}` of each image.

    `head.cls_score` and `head.bbox_pred` are called as in Detectron2's RetinaNet.
    """

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        in_features: Sequence[str],
        anchor_generator: nn.Module,
        protonet: Protonet,
        head: PredictionHead,
        criterion: Criterion,
        box2box: Box2BoxTransform,
        test: InferenceOptions,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
    ) -> None:
        """`in_features` go from the largest level, of which the prototypes are made, to the smallest."""
        super().__init__()
        self.backbone, self.in_features, self.anchor_generator = backbone, list(in_features), anchor_generator
        self.protonet, self.head, self.criterion = protonet, head, criterion
        self.box2box, self.test = box2box, test
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), persistent=False)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        backbone = build_backbone(cfg)
        require_valid(cfg, backbone.output_shape())
        node, heads = cfg.MODEL.YOLACT, cfg.MODEL.ROI_HEADS
        shapes = [backbone.output_shape()[name] for name in node.IN_FEATURES]
        channels = shapes[0].channels
        anchor_generator = build_anchor_generator(cfg, shapes)
        box2box = Box2BoxTransform(weights=tuple(node.BOX_REG_WEIGHTS))
        return {
            "backbone": backbone,
            "in_features": node.IN_FEATURES,
            "anchor_generator": anchor_generator,
            "protonet": Protonet(channels, node.CONVS_DIM, node.NUM_PROTOTYPES),
            "head": PredictionHead(
                channels, node.CONVS_DIM, anchor_generator.num_anchors[0], heads.NUM_CLASSES, node.NUM_PROTOTYPES
            ),
            "criterion": Criterion(
                matcher=AnchorMatcher(node.IOU_THRESHOLDS, node.CROWD_SHARE_THRESH, heads.NUM_CLASSES),
                box2box=box2box,
                semantic_channels=channels,
                negatives_per_positive=node.NEGATIVES_PER_POSITIVE,
                masks_per_image=node.MASKS_PER_IMAGE,
                weights=LossWeights(node.CLASS_WEIGHT, node.BOX_WEIGHT, node.MASK_WEIGHT, node.SEMANTIC_WEIGHT),
            ),
            "box2box": box2box,
            "test": InferenceOptions(
                score_thresh=heads.SCORE_THRESH_TEST,
                nms_iou_thresh=heads.NMS_THRESH_TEST,
                topk_candidates=node.TOPK_CANDIDATES_TEST,
                max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
                mask_thresh=node.MASK_THRESH,
            ),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def forward(self, batched_inputs: Sequence[Mapping[str, Any]]) -> Any:
        images = self._normalised(batched_inputs)
        by_name = self.backbone(images.tensor)
        features = [by_name[name] for name in self.in_features]
        anchors = Boxes.cat(self.anchor_generator(features))
        predictions, prototypes = self.head(features), self.protonet(features[0])
        padded_size = tuple(images.tensor.shape[-2:])
        if self.training:
            truths = [Truth.of_input(one, padded_size, self.device) for one in batched_inputs]
            return self.criterion(anchors, predictions, prototypes, features[0], truths)
        found = [self._detections(anchors, predictions, i, tuple(size)) for i, size in enumerate(images.image_sizes)]
        return [
            {"instances": self._with_masks(one, prototypes[i].float(), padded_size, _output_size(asked, one))}
            for i, (one, asked) in enumerate(zip(found, batched_inputs, strict=True))
        ]

    def _normalised(self, batched_inputs: Sequence[Mapping[str, Any]]) -> ImageList:
        images = [(one["image"].to(self.device) - self.pixel_mean) / self.pixel_std for one in batched_inputs]
        return ImageList.from_tensors(
            images, self.backbone.size_divisibility, padding_constraints=self.backbone.padding_constraints
        )

    def _detections(
        self, anchors: Boxes, predictions: Predictions, image: int, image_size: tuple[int, int]
    ) -> Instances:
        """The boxes of one image that remain, in the pixels of the network, with their mask coefficients."""
        scores = predictions.logits[image].float().softmax(dim=1)[:, :-1]
        boxes = Boxes(self.box2box.apply_deltas(predictions.deltas[image], anchors.tensor))
        boxes.clip(image_size)
        rows, classes = fast_nms(
            boxes.tensor,
            scores.where(boxes.nonempty()[:, None], 0),
            score_thresh=self.test.score_thresh,
            iou_thresh=self.test.nms_iou_thresh,
            topk=self.test.topk_candidates,
        )
        rows, classes = rows[: self.test.max_detections], classes[: self.test.max_detections]
        return Instances(
            image_size,
            pred_boxes=boxes[rows],
            scores=scores[rows, classes],
            pred_classes=classes,
            coefficients=predictions.coefficients[image].float()[rows],
        )

    def _with_masks(
        self, found: Instances, prototypes: Tensor, padded_size: tuple[int, int], output_size: tuple[int, int]
    ) -> Instances:
        """In the pixels of the output, with the masks that the coefficients make of the prototypes."""
        (height, width), (out_height, out_width) = found.image_size, output_size
        boxes = found.pred_boxes.clone()
        boxes.scale(out_width / width, out_height / height)
        masks = masks_in_image(
            assemble(prototypes, found.coefficients),
            boxes.tensor,
            padded_size=padded_size,
            image_size=found.image_size,
            output_size=output_size,
            threshold=self.test.mask_thresh,
        )
        return Instances(
            output_size, pred_boxes=boxes, scores=found.scores, pred_classes=found.pred_classes, pred_masks=masks
        )


def _output_size(asked: Mapping[str, Any], found: Instances) -> tuple[int, int]:
    height, width = found.image_size
    return int(asked.get("height", height)), int(asked.get("width", width))
