"""Metrics on plain arrays and COCO records; needs neither torch nor detectron2."""

from thingstuff.evaluation.coco_ap import CocoAP, evaluate_coco
from thingstuff.evaluation.coco_panoptic import CocoPanoptic, evaluate_panoptic
from thingstuff.evaluation.mask_iou import mask_iou, mask_ious
from thingstuff.evaluation.panoptic_quality import CategoryQuality, PanopticCounts, PanopticQuality
from thingstuff.evaluation.semantic import SemanticCounts, SemanticScores

__all__ = [
    "CategoryQuality",
    "CocoAP",
    "CocoPanoptic",
    "PanopticCounts",
    "PanopticQuality",
    "SemanticCounts",
    "SemanticScores",
    "evaluate_coco",
    "evaluate_panoptic",
    "mask_iou",
    "mask_ious",
]
