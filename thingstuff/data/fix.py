"""A mended copy of a data set: what the checks can mend, in COCO's formats, beside the original."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from thingstuff.data.checks import CHECKS
from thingstuff.data.convert import refuse_filled, write_declaration
from thingstuff.data.formats import FORMATS, WriteOptions
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError


def mended(splits: Mapping[str, SplitTruth]) -> dict[str, SplitTruth]:
    """Every split without what is fixable; nothing is written, and what is given stays as it is."""
    result = dict(splits)
    for check in CHECKS:
        if check.mend is not None:
            result = {name: check.mend(truth) for name, truth in result.items()}
    return result


def write_mended(splits: Mapping[str, SplitTruth], folder: Path, name: str) -> list[Path]:
    """The annotations of every split below `folder`/SPLIT, and a declaration; the images stay where they are."""
    lacking = next((t for t in splits.values() if t.annotations is None and t.panoptic is None), None)
    if lacking is not None:
        raise DataError(f"{lacking.name} has no instances and no panoptic truth: mend its label maps by hand")
    written = {}
    kinds = {"coco" if truth.annotations is not None else "coco_panoptic" for truth in splits.values()}
    if len(kinds) > 1:
        raise DataError("some splits have instances and others panoptic truth alone: mend them one by one")
    (kind,) = kinds
    for split, truth in splits.items():
        write = FORMATS[kind].write
        assert write is not None
        written[split] = write(truth, folder / split, WriteOptions())
    roots = {split: truth.image_root for split, truth in splits.items()}
    return [*written.values(), write_declaration(folder / f"{name}.yaml", kind, written, roots)]


__all__ = ["mended", "refuse_filled", "write_mended"]
