"""The data sets that Detectron2 knows by name: ours are added, and a name in a config is checked before any work."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets.coco import load_coco_json

from thingstuff.data.records import load_records
from thingstuff.data.shapes import CATEGORIES, SPLITS, ensure_shapes, shapes_root
from thingstuff.errors import DataError
from thingstuff.structures import Categories

_PATH_KEYS = ("json_file", "image_root", "sem_seg_root", "panoptic_root", "panoptic_json")


def register_shapes() -> None:
    """Make `shapes_train`, `shapes_val` and their `_standard` forms known to Detectron2.

    The first two have the "separated" truth of Panoptic FPN: instances with their own class indices, and stuff maps.
    The others have the "standard" truth of Panoptic-DeepLab: panoptic files, and one list of classes for all of it.
    The files are the same, and are written when they are first read.
    """
    for split in SPLITS:
        _register(f"shapes_{split}", _shapes_metadata(split), lambda split=split: _load_shapes(split))
        _register(f"shapes_{split}_standard", _standard_metadata(split), lambda split=split: _load_standard(split))


def _register(name: str, metadata: dict[str, Any], load: Callable[[], list[dict[str, Any]]]) -> None:
    if name not in DatasetCatalog:
        DatasetCatalog.register(name, load)
        MetadataCatalog.get(name).set(**metadata)


def _shapes_metadata(split: str) -> dict[str, Any]:
    sem_seg_root = str(shapes_root() / f"stuff_{split}")
    return {**_paths_metadata(split), **CATEGORIES.to_metadata(), "sem_seg_root": sem_seg_root}


def _paths_metadata(split: str) -> dict[str, Any]:
    root = shapes_root()
    return {
        "json_file": str(root / "annotations" / f"instances_{split}.json"),
        "image_root": str(root / split),
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


# ---- the standard convention -------------------------------------------------------------------------------------


def _standard_metadata(split: str) -> dict[str, Any]:
    return {**_paths_metadata(split), **standard_metadata(CATEGORIES)}


def standard_metadata(categories: Categories) -> dict[str, Any]:
    """Things and stuff are one list of classes, as in Detectron2's `coco_2017_val_panoptic`; each id map names a part.

    There is no `sem_seg_root`: the panoptic files hold the semantic truth, of things too.
    """
    index_of = {category: index for index, category in enumerate(categories.all)}
    names, colors = [c.name for c in categories.all], [list(color) for color in categories.colors()]
    return {
        "thing_classes": names,
        "thing_colors": colors,
        "thing_dataset_id_to_contiguous_id": {c.id: index_of[c] for c in categories.things},
        "stuff_classes": names,
        "stuff_colors": colors,
        "stuff_dataset_id_to_contiguous_id": {c.id: index_of[c] for c in categories.stuff},
        "label_divisor": 1000,
    }


def _load_standard(split: str) -> list[dict[str, Any]]:
    ensure_shapes(shapes_root())
    return standard_records(_standard_metadata(split))


def standard_records(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Detectron2's dictionaries with one panoptic file an image.

    As Detectron2's `load_coco_panoptic_json`, which expects JPEG images, and with their sizes.
    """
    content = json.loads(Path(metadata["panoptic_json"]).read_text())
    image_by_id = {image["id"]: image for image in content["images"]}
    return [_standard_record(image_by_id[truth["image_id"]], truth, metadata) for truth in content["annotations"]]


def _standard_record(image: Mapping[str, Any], truth: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "file_name": str(Path(metadata["image_root"]) / image["file_name"]),
        "image_id": image["id"],
        "height": image["height"],
        "width": image["width"],
        "pan_seg_file_name": str(Path(metadata["panoptic_root"]) / truth["file_name"]),
        "segments_info": [_standard_segment(segment, metadata) for segment in truth["segments_info"]],
    }


def _standard_segment(segment: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A segment of the panoptic JSON with a class index in place of its data set id."""
    category_id, things = segment["category_id"], metadata["thing_dataset_id_to_contiguous_id"]
    isthing = category_id in things
    indices = things if isthing else metadata["stuff_dataset_id_to_contiguous_id"]
    return {**segment, "category_id": indices[category_id], "isthing": isthing}


# ---- names in a config -------------------------------------------------------------------------------------------


def metadata_with_classes(name: str) -> Any:
    """The metadata of a data set with its class names, which a COCO file registered by a user tells only when read."""
    register_shapes()
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
    return (
        f": did you mean {close[0]}? (--dataset FILE makes a declared one known)"
        if close
        else ": name its module in IMPORTS, declare it with --dataset, or use shapes_val"
    )


def _require_files(name: str) -> None:
    metadata = MetadataCatalog.get(name)
    for key in _PATH_KEYS:
        path = metadata.get(key)
        if path and "://" not in str(path) and not Path(path).exists():
            raise DataError(
                f"data set {name}: there is no {key} at {path}: put it there, "
                "or set DETECTRON2_DATASETS to the folder that holds your data sets"
            )
