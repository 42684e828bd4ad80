"""Are weights those of a detector, or of a backbone alone?"""

from __future__ import annotations

from thingstuff.engine.weights.cache import local_weights
from thingstuff.engine.weights.file import read_weights_file
from thingstuff.errors import WeightsError

_OF_BACKBONES = "ImageNetPretrained"  # a folder of the model zoo
_OF_DETECTORS = ("proposal_generator", "roi_heads", "rpn", "head.", "fpn", "cls_score", "bbox_pred", "proto")


def is_of_backbone(weights: str) -> bool:
    """By the place in the model zoo, or by the names of its tensors. A file that cannot be read is refused later."""
    if _OF_BACKBONES in weights:
        return True
    try:
        names = read_weights_file(local_weights(weights.partition("?")[0]))["model"]
    except WeightsError:
        return False
    return not any(part in name for name in names for part in _OF_DETECTORS)
