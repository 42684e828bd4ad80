"""Metrics on plain arrays and COCO records; needs neither torch nor detectron2."""

from thingstuff.evaluation.coco_ap import CocoAP, evaluate_coco
from thingstuff.evaluation.semantic import SemanticCounts, SemanticScores

__all__ = ["CocoAP", "SemanticCounts", "SemanticScores", "evaluate_coco"]
