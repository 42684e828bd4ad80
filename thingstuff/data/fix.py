"""A mended copy of a data set: what the checks can mend, in COCO's format, beside the original."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from thingstuff.data.checks import CHECKS
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


def write_mended(splits: Mapping[str, SplitTruth], folder: Path) -> list[Path]:
    """The annotations of every split as `SPLIT/annotations.json`; the images stay where they are."""
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"--fix {folder}: there is something in it already: give a new folder")
    lacking = next((truth for truth in splits.values() if truth.annotations is None), None)
    if lacking is not None:
        raise DataError(f"{lacking.name} has no instances, and nothing else can be mended: mend it by hand")
    return [FORMATS["coco"].write(truth, folder / name, WriteOptions()) for name, truth in splits.items()]
