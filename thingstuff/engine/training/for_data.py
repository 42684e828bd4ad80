"""What a recipe leaves to the training images: anchors as large as their objects, images as large as memory allows."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling import build_model

from thingstuff.data.records import Records
from thingstuff.engine.training.anchors import anchors_from_data, apply_anchors
from thingstuff.engine.training.image_size import memory_limit_pixels
from thingstuff.engine.training.rng import capture_rng, restore_rng

AS_MEMORY_ALLOWS = -1


def settle_for_data(cfg: CfgNode, records: Records) -> list[str]:
    """Set, in place, what MODEL.ANCHOR_GENERATOR.FROM_DATA and INPUT.MAX_PIXELS ask for; a line of the log for each."""
    lines = []
    if cfg.INPUT.MAX_PIXELS == AS_MEMORY_ALLOWS:
        lines.append(_settle_pixels(cfg))
    if cfg.MODEL.ANCHOR_GENERATOR.FROM_DATA:
        lines.append(apply_anchors(cfg, anchors_from_data(records, cfg)))
    return lines


def _settle_pixels(cfg: CfgNode) -> str:
    state = capture_rng()
    pixels = memory_limit_pixels(cfg, build_model(cfg))
    restore_rng(state)  # the model that is trained begins as it would have without this one
    cfg.INPUT.MAX_PIXELS = pixels or 0
    if pixels is None:
        return "how large training images may be cannot be told from the memory here: their size has no limit"
    return f"memory suffices for training images of {pixels / 1e6:.2f} million pixels: larger ones are made smaller"
