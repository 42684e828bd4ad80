"""A mended copy of a data set: what the checks can mend, in COCO's formats, beside the original."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from thingstuff.data.checks import CHECKS
from thingstuff.data.convert import Converted, convert
from thingstuff.data.formats import WriteOptions
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError


def mended(splits: Mapping[str, SplitTruth]) -> dict[str, SplitTruth]:
    """Every split without what is fixable; nothing is written, and what is given stays as it is."""
    result = dict(splits)
    for check in CHECKS:
        if check.mend is not None:
            result = {name: check.mend(truth) for name, truth in result.items()}
    return result


def write_mended(splits: Mapping[str, SplitTruth], folder: Path, name: str) -> Converted:
    """The annotations of every split below `folder`/SPLIT, and a declaration; the images stay where they are."""
    lacking = next((t for t in splits.values() if t.annotations is None and t.panoptic is None), None)
    if lacking is not None:
        raise DataError(f"{lacking.name} has no instances and no panoptic truth: mend its label maps by hand")
    kinds = {"coco" if truth.annotations is not None else "coco_panoptic" for truth in splits.values()}
    if len(kinds) > 1:
        raise DataError("some splits have instances and others panoptic truth alone: mend them one by one")
    return convert(splits, kinds.pop(), folder, WriteOptions(), name)
