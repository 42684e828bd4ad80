"""Detectron2's merge as the reference of measurements, and what it means to give the same answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from thingstuff.merge import Greedy
from thingstuff.structures import Categories, PanopticMap

RULE = Greedy()
REFERENCE = "Detectron2 0.6 combine_semantic_and_instance_outputs"

Combined = tuple[Any, list[dict[str, Any]]]  # H x W tensor, segments_info


def combine(masks: Any, scores: np.ndarray, thing_indices: np.ndarray, semantic: Any) -> Combined:
    """N x H x W bool tensor, N scores and contiguous thing indices, H x W int64 tensor of labels, under RULE."""
    import torch
    from detectron2.modeling.meta_arch.panoptic_fpn import combine_semantic_and_instance_outputs
    from detectron2.structures import Instances

    instances = Instances(tuple(semantic.shape))
    instances.scores = torch.from_numpy(scores)
    instances.pred_classes = torch.from_numpy(thing_indices)
    instances.pred_masks = masks
    thresholds = (RULE.overlap_thresh, RULE.stuff_area_limit, RULE.instances_confidence_thresh)
    return combine_semantic_and_instance_outputs(instances, semantic, *thresholds)


def same_panoptic(categories: Categories, panoptic: PanopticMap, combined: Combined) -> bool:
    """Every pixel, and every segment's id, category, kind, score and (which Detectron2 gives for stuff alone) area."""
    ids, segments_info = combined
    stated = [(s.id, s.category_id, s.isthing, s.score, None if s.isthing else s.area) for s in panoptic.segments]
    theirs = [_stated(categories, info) for info in segments_info]
    return stated == theirs and np.array_equal(panoptic.ids, ids.numpy())


def _stated(categories: Categories, info: dict[str, Any]) -> tuple[Any, ...]:
    number = info["category_id"]
    category = categories.things[number] if info["isthing"] else categories.stuff[number - 1]
    return info["id"], category.id, info["isthing"], info.get("score"), info.get("area")
