"""The PANOPTIC node settled: what follows from it for Detectron2's own keys, and what contradicts it."""

from __future__ import annotations

from detectron2.config import CfgNode

from thingstuff.errors import ConfigError

SOURCES = ("head", "model", "files")
_NEEDED_KEYS = {"model": "STUFF_CONFIG", "files": "STUFF_DIR"}
_WITHOUT_RAW_MASKS = ("RetinaNet", "FCOS", "ProposalNetwork", "SemanticSegmentor", "PanopticDeepLab")
_FORMATS = ("contiguous", "ids")


def settle_panoptic(cfg: CfgNode) -> None:
    """Set `cfg` so that Detectron2 builds what PANOPTIC asks for.

    The source `head` turns a Mask R-CNN into Detectron2's PanopticFPN, whose parameters have the same names. A config
    that asks for a PanopticFPN is panoptic without the node.
    """
    if cfg.MODEL.META_ARCHITECTURE == "PanopticFPN":
        cfg.PANOPTIC.ENABLED = True
    if not cfg.PANOPTIC.ENABLED:
        return
    _refuse_contradictions(cfg)
    if cfg.PANOPTIC.STUFF == "head" and cfg.MODEL.META_ARCHITECTURE == "GeneralizedRCNN":
        cfg.MODEL.META_ARCHITECTURE = "PanopticFPN"


def _refuse_contradictions(cfg: CfgNode) -> None:
    node = cfg.PANOPTIC
    if node.STUFF not in SOURCES:
        raise ConfigError(f"PANOPTIC.STUFF is {node.STUFF!r}, expected one of {', '.join(SOURCES)}")
    needed = _NEEDED_KEYS.get(node.STUFF)
    if needed and not node[needed]:
        raise ConfigError(f"PANOPTIC.STUFF is {node.STUFF!r}, which needs PANOPTIC.{needed}: set it")
    if node.STUFF_FORMAT not in _FORMATS:
        raise ConfigError(f"PANOPTIC.STUFF_FORMAT is {node.STUFF_FORMAT!r}, expected one of {', '.join(_FORMATS)}")
    if cfg.MODEL.META_ARCHITECTURE in _WITHOUT_RAW_MASKS:
        name = cfg.MODEL.META_ARCHITECTURE
        raise ConfigError(f"PANOPTIC.ENABLED needs a Mask R-CNN or one of its kin, MODEL.META_ARCHITECTURE is {name}")
    if not cfg.MODEL.MASK_ON:
        raise ConfigError("PANOPTIC.ENABLED needs an instance model with masks: set MODEL.MASK_ON True, or disable it")
    if cfg.MODEL.KEYPOINT_ON:
        raise ConfigError("PANOPTIC.ENABLED has no place for keypoints: set MODEL.KEYPOINT_ON False, or disable it")
