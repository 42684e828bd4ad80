"""Which image the instances come from that are pasted onto another: `INPUT.COPY_PASTE` and the training records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetFromList, MetadataCatalog

from thingstuff.data.augment.copy_paste import PasteOptions
from thingstuff.errors import ConfigError
from thingstuff.structures.categories import THINGS_NAME

Record = dict[str, Any]


@dataclass(frozen=True)
class PasteSource:
    """The records to draw from, and how often and how to paste."""

    records: Sequence[Record]
    probability: float
    options: PasteOptions

    @classmethod
    def from_config(cls, cfg: CfgNode, records: Sequence[Record]) -> PasteSource | None:
        """None where `INPUT.COPY_PASTE` is off."""
        node = cfg.INPUT.COPY_PASTE
        if not node.ENABLED:
            return None
        for key in ("PROBABILITY", "SHARE", "MIN_VISIBLE"):
            if not 0 <= node[key] <= 1:
                raise ConfigError(f"INPUT.COPY_PASTE.{key} is {node[key]}, expected a number from 0 to 1")
        _refuse_what_cannot_be_pasted(cfg)
        # workers share one copy of it, where each would get one of a list by and by
        shared = records if isinstance(records, DatasetFromList) else DatasetFromList(list(records), copy=False)
        options = PasteOptions(node.SHARE, node.FAVOUR_SMALL, node.MIN_VISIBLE, _things_label(cfg))
        return cls(shared, node.PROBABILITY, options)

    def draw(self) -> Record | None:
        """The record to paste from now, by numpy's global generator, which a loader seeds; None: nothing is pasted."""
        if np.random.random() >= self.probability:
            return None
        return self.records[np.random.randint(len(self.records))]


def drawn_rng() -> np.random.Generator:
    """A generator that follows from the state of numpy's global one."""
    return np.random.default_rng(np.random.randint(2**31))


def _refuse_what_cannot_be_pasted(cfg: CfgNode) -> None:
    for key in ("KEYPOINT_ON", "LOAD_PROPOSALS"):
        if cfg.MODEL[key]:
            what = "keypoints" if key == "KEYPOINT_ON" else "precomputed proposals"
            raise ConfigError(
                f"INPUT.COPY_PASTE cuts and adds instances, which {what} know nothing of: set MODEL.{key} False, "
                "or INPUT.COPY_PASTE.ENABLED False"
            )


def _things_label(cfg: CfgNode) -> int | None:
    """0 is "things" in the "separated" convention of Panoptic FPN; elsewhere it is a class as any other."""
    classes = MetadataCatalog.get(cfg.DATASETS.TRAIN[0]).get("stuff_classes") or [None]
    separated = classes[0] == THINGS_NAME or cfg.MODEL.META_ARCHITECTURE == "PanopticFPN"
    return 0 if separated else None
