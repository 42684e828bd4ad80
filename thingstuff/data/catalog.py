"""The data sets that Detectron2 knows by name: ours are added, and a name in a config is checked before any work."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets.coco import load_coco_json

from thingstuff.data.records import load_records
from thingstuff.data.shapes import CATEGORIES, SPLITS, ensure_shapes, shapes_root
from thingstuff.errors import DataError

_PATH_KEYS = ("json_file", "image_root", "sem_seg_root", "panoptic_root", "panoptic_json")


def register_shapes() -> None:
    """Make `shapes_train` and `shapes_val` known to Detectron2; the files are written when they are first read."""
    for split in SPLITS:
        name = f"shapes_{split}"
        if name not in DatasetCatalog:
            DatasetCatalog.register(name, lambda split=split: _load_shapes(split))
            MetadataCatalog.get(name).set(**_shapes_metadata(split))


def _shapes_metadata(split: str) -> dict[str, Any]:
    root = shapes_root()
    return {
        **CATEGORIES.to_metadata(),
        "json_file": str(root / "annotations" / f"instances_{split}.json"),
        "image_root": str(root / split),
        "sem_seg_root": str(root / f"stuff_{split}"),
        "panoptic_root": str(root / f"panoptic_{split}"),
        "panoptic_json": str(root / "annotations" / f"panoptic_{split}.json"),
        "evaluator_type": "coco_panoptic_seg",
        "ignore_label": 255,
    }


def _load_shapes(split: str) -> list[dict[str, Any]]:
    """Detectron2's dictionaries with instances and, as Panoptic FPN wants it, one stuff map an image."""
    ensure_shapes(shapes_root())
    paths = _shapes_metadata(split)
    records = load_coco_json(paths["json_file"], paths["image_root"], f"shapes_{split}")
    return [{**r, "sem_seg_file_name": str(Path(paths["sem_seg_root"]) / Path(r["file_name"]).name)} for r in records]


def metadata_with_classes(name: str) -> Any:
    """The metadata of a data set with its class names, which a COCO file registered by a user tells only when read."""
    metadata = MetadataCatalog.get(name)
    if not (metadata.get("thing_classes") or metadata.get("stuff_classes")) and name in DatasetCatalog:
        load_records(name)
    if not (metadata.get("thing_classes") or metadata.get("stuff_classes")):
        raise DataError(f"the classes of data set {name} are not known: register it, and name the module in IMPORTS")
    return metadata


def require_datasets(names: Sequence[str]) -> None:
    """Refuse a name that nobody registered and a registered data set whose files are not there."""
    register_shapes()
    for name in names:
        if name not in DatasetCatalog:
            raise DataError(f"no data set is registered as {name}{_nearest(name)}")
        if name.startswith("shapes_"):
            ensure_shapes(shapes_root())
        _require_files(name)


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, list(DatasetCatalog), n=1, cutoff=0.5)
    return f": did you mean {close[0]}?" if close else ": name its module in IMPORTS, or use shapes_train, shapes_val"


def _require_files(name: str) -> None:
    metadata = MetadataCatalog.get(name)
    for key in _PATH_KEYS:
        path = metadata.get(key)
        if path and "://" not in str(path) and not Path(path).exists():
            raise DataError(
                f"data set {name}: there is no {key} at {path}: put it there, "
                "or set DETECTRON2_DATASETS to the folder that holds your data sets"
            )
