"""Mask R-CNN with RoIPool, RoIAlign and masks of other sizes, and the study that compares them."""

import thingstuff.config  # noqa: F401, I001  mends Detectron2, before the study's own process imports it

from roipool.config import add_roipool_config
from roipool.mask_size import SizedMaskHead
from roipool.pool import FloatPoolROIHeads, FloatRoIPool

__all__ = ["FloatPoolROIHeads", "FloatRoIPool", "SizedMaskHead", "add_roipool_config"]
