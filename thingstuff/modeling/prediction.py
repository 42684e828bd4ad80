"""What a model found in one image, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thingstuff.merge import Ledger
from thingstuff.structures import Detections, PanopticMap


@dataclass(frozen=True, eq=False)
class Prediction:
    """Instances, an H x W uint16 stuff map, and both merged with the ledger of the merge; None is what there is not.

    A model that predicts panoptic maps itself, such as Panoptic-DeepLab, gives a map without a ledger.
    """

    detections: Detections | None = None
    stuff_map: NDArray[np.uint16] | None = None
    panoptic: PanopticMap | None = None
    ledger: Ledger | None = None
