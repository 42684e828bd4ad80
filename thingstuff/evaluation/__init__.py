"""Metrics on plain arrays and COCO records; needs neither torch nor detectron2."""

from thingstuff.evaluation.boundary_ap import BoundaryOptions, evaluate_boundary
from thingstuff.evaluation.coco_ap import CocoAP, CocoOptions, average_precision, evaluate_coco
from thingstuff.evaluation.coco_input import CocoTruth, OwnResults, read_coco_input
from thingstuff.evaluation.coco_panoptic import CocoPanoptic, evaluate_panoptic
from thingstuff.evaluation.lvis_ap import LvisAP, LvisOptions, evaluate_lvis
from thingstuff.evaluation.mask_iou import mask_iou, mask_ious
from thingstuff.evaluation.panoptic_causes import PanopticCauses
from thingstuff.evaluation.panoptic_quality import CategoryQuality, PanopticCounts, PanopticQuality
from thingstuff.evaluation.segment_overlaps import SegmentRuns
from thingstuff.evaluation.semantic import SemanticCounts, SemanticScores
from thingstuff.evaluation.skips import Skips

__all__ = [
    "BoundaryOptions",
    "CategoryQuality",
    "CocoAP",
    "CocoOptions",
    "CocoPanoptic",
    "CocoTruth",
    "LvisAP",
    "LvisOptions",
    "OwnResults",
    "PanopticCauses",
    "PanopticCounts",
    "PanopticQuality",
    "SegmentRuns",
    "SemanticCounts",
    "SemanticScores",
    "Skips",
    "average_precision",
    "evaluate_boundary",
    "evaluate_coco",
    "evaluate_lvis",
    "evaluate_panoptic",
    "mask_iou",
    "mask_ious",
    "read_coco_input",
]
