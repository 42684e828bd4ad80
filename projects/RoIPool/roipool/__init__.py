"""Mask R-CNN with RoIPool, RoIAlign and masks of other sizes, and the study that compares them."""

from roipool.config import add_roipool_config
from roipool.mask_size import SizedMaskHead
from roipool.pool import FloatPoolROIHeads, FloatRoIPool

__all__ = ["FloatPoolROIHeads", "FloatRoIPool", "SizedMaskHead", "add_roipool_config"]
