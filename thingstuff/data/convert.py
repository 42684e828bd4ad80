"""Data sets from one format into another: one folder for each split."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from thingstuff.data.formats import FORMATS, WriteOptions
from thingstuff.data.panoptic.forms import FORMS
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.files import write_json


def convert(splits: Mapping[str, SplitTruth], to: str, folder: Path, options: WriteOptions) -> dict[str, Path]:
    """Split -> what was written for it, below `folder`/SPLIT. The folder must be new or empty."""
    writable = {name: found.write for name, found in FORMATS.items() if found.write is not None}
    if to not in writable and to not in FORMS:
        raise DataError(f"no data set can be written as {to!r}: choose one of {', '.join((*writable, *FORMS))}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: there is something already: give a new folder")
    written = {}
    for name, truth in splits.items():
        if to in writable:
            written[name] = writable[to](truth, folder / name, options)
            continue
        if truth.panoptic is None:
            raise DataError(f"{truth.name} has no panoptic truth, of which {to} is another form")
        written[name] = _panoptic_form(truth, to, folder / name)
    return written


def _panoptic_form(truth: SplitTruth, to: str, folder: Path) -> Path:
    """Of a part of a JSON's images, that part is written first."""
    assert truth.panoptic is not None
    if truth.panoptic.is_whole:
        return FORMS[to](truth.panoptic.json_path, truth.panoptic.folder, folder)
    with tempfile.TemporaryDirectory() as scratch:
        own = Path(scratch) / truth.panoptic.json_path.name
        content = {"images": truth.images, "annotations": truth.panoptic.annotations, "categories": truth.categories}
        write_json(own, content)
        return FORMS[to](own, truth.panoptic.folder, folder)
