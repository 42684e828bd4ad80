"""Ultralytics' data.yaml as a declaration: whoever has one needs no other."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.yolo_names import numbered
from thingstuff.errors import DataError

logger = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
_USUAL_STEMS = ("data", "dataset")  # which say nothing: the folder names the data set
_OURS = {"splits", "annotations", "instances", "stuff", "panoptic", "format"}
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


def is_yolo_yaml(values: Mapping[Any, Any]) -> bool:
    """It names folders of images by split, which no declaration of ours does."""
    return any(split in values for split in SPLITS) and not _OURS & set(values)


def as_declaration(path: Path, values: Mapping[Any, Any]) -> dict[str, Any]:
    """The keys of a declaration that says the same."""
    if "kpt_shape" in values:
        raise DataError("kpt_shape: its labels are keypoints, which are not read from YOLO's files")
    root = _root(path, values.get("path"))
    stated = {split: values[split] for split in SPLITS if values.get(split)}
    return {
        "name": _name(path),
        "root": str(root),
        "format": "yolo",
        "names": numbered(values.get("names"), "names"),
        "splits": dict(_splits(root, stated)),
    }


def _splits(root: Path, stated: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Roboflow's files always name a test split, whether it was made or not."""
    for split, text in stated.items():
        if isinstance(text, str) and not (place := _found(root, text)).exists():
            if split != "test" or len(stated) == 1:
                raise DataError(f"{split}: there is no {place}: put the images there, or take the line out")
            logger.warning("there is no %s: the split test is left out", place)
        else:
            yield split, _paths(root, split, text)


def _name(path: Path) -> str:
    text = path.absolute().parent.name if path.stem in _USUAL_STEMS else path.stem
    return _UNFIT.sub("_", text).strip("_.-")[:100] or "data"


def _root(path: Path, stated: Any) -> Path:
    """`path`, relative to the file, if it is there: many files name a folder of somebody's computer."""
    own = path.absolute().parent
    if not isinstance(stated, str) or not stated:
        return own
    folder = own / Path(stated).expanduser()
    return folder if folder.is_dir() else own


def _paths(root: Path, split: str, text: Any) -> dict[str, str]:
    if not isinstance(text, str):
        raise DataError(f"{split}: expected one folder of images, or a list of them in a .txt file, got {shown(text)}")
    place = _found(root, text)
    if place.suffix == ".txt":
        return {"annotations": str(place)}
    return {"annotations": str(_labels(place)), "images": str(place)}


def _found(root: Path, text: str) -> Path:
    """Roboflow's files begin with "../", though the folder is beside them."""
    places = [root / text, root / text.removeprefix("../"), root / text.removeprefix("../") / "images"]
    return next((place for place in places if place.exists()), places[0])


def _labels(images: Path) -> Path:
    """Where Ultralytics looks for labels: the last folder `images` is `labels` there; or else beside the images."""
    parts = list(images.parts)
    for number in range(len(parts) - 1, 0, -1):
        if parts[number] == "images":
            parts[number] = "labels"
            return Path(*parts)
    return images
