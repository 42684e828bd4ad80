"""What a model finds in a part of an image, before things and stuff are merged: for those who join parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from thingstuff.modeling.label_space import LabelSpace
from thingstuff.modeling.prediction import Prediction
from thingstuff.structures import Categories, Detections


@dataclass(frozen=True, eq=False)
class LabelScores:
    """C x H x W scores of an image, made when asked for, on any device, and what their C channels mean."""

    make: Callable[[], torch.Tensor]
    labels: LabelSpace


@dataclass(frozen=True, eq=False)
class Parts:
    """Instances, and stuff as scores or, where there are none, as an H x W uint16 stuff map; None is what there is not.

    `is_merged` says that the model's own answer has a panoptic map.
    """

    detections: Detections | None = None
    stuff: LabelScores | NDArray[np.uint16] | None = None
    is_merged: bool = False

    @classmethod
    def of(cls, found: Prediction, categories: Categories) -> Parts:
        """Of a whole answer. A map that a model predicts itself is taken apart, whatever else it predicts."""
        if found.panoptic is None:
            return cls(found.detections, found.stuff_map)
        if found.ledger is None:
            return cls(found.panoptic.to_detections(), found.panoptic.stuff_map(categories), is_merged=True)
        return cls(found.detections, found.stuff_map, is_merged=True)
