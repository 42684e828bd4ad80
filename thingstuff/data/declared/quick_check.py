"""The checks that a training runs before it starts: of the annotations alone, once for each state of the files."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from detectron2.data import MetadataCatalog

from thingstuff.data.checks import Checked, Found, run_checks
from thingstuff.data.open_data import registered_truth
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.files import cache_root, whole_file

_TOLERATED = {"image-leak"}  # some train and test on the same images on purpose, to see whether a model can learn
VERSION = 1  # raised when a check finds more than before
_FILES = ("json_file", "panoptic_json")
logger = logging.getLogger(__name__)


def refuse_errors(name: str, splits: Mapping[str, SplitTruth]) -> None:
    """DataError where the quick checks find what would fail or teach nonsense; warnings go to the log."""
    found = run_checks(Checked(splits, is_quick=True))
    errors = [one for one in found if one.code.severity == "error" and one.code.name not in _TOLERATED]
    for one in found:
        if one.code.severity == "warning" or one.code.name in _TOLERATED:
            logger.warning("data set %s: %s", name, in_words(one))
    if errors:
        others = len({one.code.name for one in errors}) - 1
        more = f" (and {others} other kind{'' if others == 1 else 's'} of mistakes)" if others else ""
        raise DataError(
            f"data set {name}: {in_words(errors[0])}{more}: tools/dataset.py check lists everything, and --fix mends "
            "what can be mended; DATASETS.CHECK False trains on it as it is"
        )


def in_words(found: Found) -> str:
    example = found.examples[0]
    times = f", {found.count} times" if found.count > 1 else ""
    return f"{found.code.name}{times}: {example.place}: {example.message}"


def check_registered(names: Sequence[str]) -> None:
    """Refuse mistakes in registered data sets; files that passed are not looked at again until they change."""
    names = list(dict.fromkeys(names))
    if not names:
        return
    mark = cache_root() / "checks" / f"{_state(names)}.txt"
    if mark.is_file():
        return
    refuse_errors(", ".join(names), {name: registered_truth(name) for name in names})
    with whole_file(mark) as file:
        file.write(f"{', '.join(names)}\n".encode())


def _state(names: Sequence[str]) -> str:
    """Of the files that the metadata name, by path, size and time; a data set without any is new every time."""
    hashed = hashlib.sha256(str(VERSION).encode())
    for name in names:
        metadata = MetadataCatalog.get(name)
        paths = [Path(metadata.get(key)) for key in _FILES if metadata.get(key)]
        hashed.update(f"{name} {metadata.get('image_root')} {metadata.get('thing_classes')}\n".encode())
        for path in paths:
            status = path.stat()
            hashed.update(f"{path.absolute()} {status.st_size} {status.st_mtime_ns}\n".encode())
        if not paths:
            hashed.update(os.urandom(16))
    return hashed.hexdigest()
