"""The classes of a model against those of its data sets, for models whose classes `MODEL.ROI_HEADS` counts."""

from __future__ import annotations

from collections.abc import Iterable

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from thingstuff.errors import ConfigError


def require_class_count(cfg: CfgNode, names: Iterable[str], *, may_be_more: bool = False, note: str = "") -> int:
    """`MODEL.ROI_HEADS.NUM_CLASSES`; ConfigError unless it is that of the things of each of the data sets `names`.

    Data sets that nobody has registered, or that do not tell their classes, are passed over. With `may_be_more` the
    model may have classes that no data set has. `note` stands behind the message.
    """
    count = cfg.MODEL.ROI_HEADS.NUM_CLASSES
    behind = f" {note}" if note else ""
    if count < 1:
        raise ConfigError(f"MODEL.ROI_HEADS.NUM_CLASSES is {count}, expected 1 or more{behind}")
    known = MetadataCatalog.list()
    for name in (name for name in names if name in known):
        found = len(MetadataCatalog.get(name).get("thing_classes") or [])
        if found > count or (0 < found < count and not may_be_more):
            raise ConfigError(
                f"data set {name} has {found} classes, but MODEL.ROI_HEADS.NUM_CLASSES is {count}: "
                f"set it to {found}{behind}"
            )
    return int(count)
