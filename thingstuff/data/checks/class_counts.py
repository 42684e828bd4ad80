"""Numbers of classes in a config that are not those of the data set: learning would fail, or go wrong silently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from thingstuff.data.checks.check import Check, Checked, Code, Finding
from thingstuff.data.truth import SplitTruth

CLASS_COUNT = Code("class-count", "error", "set the number of classes in the config")

_OF_THINGS = ("ROI_HEADS", "RETINANET")
_OF_STUFF = ("SEM_SEG_HEAD",)
_READ_BY = {"RetinaNet": ("RETINANET",), "SemanticSegmentor": ("SEM_SEG_HEAD",), "GeneralizedRCNN": ("ROI_HEADS",)}


def stated_class_counts(cfg: Any) -> dict[str, int]:
    """`Checked.class_counts` of a config: the keys that its model reads."""
    of_others = ("ROI_HEADS",) if cfg.PROJECT else ("ROI_HEADS", "SEM_SEG_HEAD")  # projects count things there
    heads = _READ_BY.get(cfg.MODEL.META_ARCHITECTURE, of_others)
    return {f"MODEL.{head}.NUM_CLASSES": cfg.MODEL[head].NUM_CLASSES for head in heads}


def _run(data: Checked) -> Iterator[Finding]:
    """A key is reported once, with the first split that it does not fit."""
    for key, count in data.class_counts.items():
        for name, split in data.splits.items():
            expected = _expected(key, split)
            if expected is not None and count != expected[0]:
                message = f"{key} is {count}, and the data set has {expected[1]}: set it to {expected[0]}"
                yield Finding(CLASS_COUNT, name, f"config: {key}", message)
                break


def _expected(key: str, split: SplitTruth) -> tuple[int, str] | None:
    """The right number, and how it comes about; None for a head that is not known."""
    things = [bool(category.get("isthing", 1)) for category in split.categories]
    parts = key.split(".")
    if any(head in parts for head in _OF_THINGS):
        return sum(things), f"{sum(things)} categories of things"
    if any(head in parts for head in _OF_STUFF):
        stuff = len(things) - sum(things)
        return stuff + 1, f"{stuff} categories of stuff, besides one class for all things"
    return None


CLASS_COUNTS = Check((CLASS_COUNT,), _run, is_quick=True)
