"""Declared data sets in Detectron2's catalogs, and a config that fits them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets.coco import load_coco_json

from thingstuff.data.catalog import register_shapes, standard_metadata, standard_records
from thingstuff.data.declared.declaration import Declaration, Keypoints, read_declaration
from thingstuff.data.declared.prepared import Prepared, PreparedSplit, prepare
from thingstuff.errors import ConfigError, DataError
from thingstuff.structures import Categories

logger = logging.getLogger(__name__)

COCO_KEYPOINTS = 17
_TEST_SPLITS = ("val", "valid", "validation", "dev", "test")
_folders: dict[str, Path] = {}  # of what was registered here, by name


def register_declared(files: Sequence[str | Path], *, check: bool = True) -> list[str]:
    """Make every split of the declarations known to Detectron2, as NAME_SPLIT; the names, in order.

    With `check`, mistakes in the annotations that would fail or teach nonsense are refused.
    """
    register_shapes()  # so that no declaration takes their names
    names = []
    for file in files:
        declaration = read_declaration(Path(file))
        prepared = prepare(declaration, check=check)
        if _folders.get(declaration.registered(next(iter(prepared.splits)))) != prepared.folder:
            for note in prepared.notes:
                logger.info("%s: %s", declaration.name, note)
        for split, found in prepared.splits.items():
            names.append(declaration.registered(split))
            _register(declaration, prepared, names[-1], found)
    return names


def is_declared(name: str) -> bool:
    """Whether a data set was registered here, so that its annotations were checked when it was prepared."""
    return name.removesuffix("_standard") in _folders


def declare(cfg: CfgNode, files: Sequence[str | Path] = (), overrides: Sequence[str] = ()) -> None:
    """Register `DATASETS.DECLARE` and `files`, and set in `cfg`, in place, what the data decide.

    With `files` the sets to train and test on are theirs: the split "train" or the first, and "val", "test" or such,
    or the last. The class counts of the model are those of the first data set, and masks in RLE need the mask format
    bitmask. What `overrides`, KEY VALUE pairs of a user, say stays: if it contradicts the data, it is refused.
    """
    given = dict(zip(overrides[0::2], overrides[1::2], strict=True))
    cfg.DATASETS.DECLARE = [*cfg.DATASETS.DECLARE, *(str(Path(file).absolute()) for file in files)]
    names = register_declared(cfg.DATASETS.DECLARE, check=cfg.DATASETS.CHECK)
    if files:
        _choose_sets(cfg, names[-_count_of(files) :], given)
    used = [name for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST) if name.removesuffix("_standard") in names]
    if used:
        _settle(cfg, used[0], given)


def _count_of(files: Sequence[str | Path]) -> int:
    return sum(len(read_declaration(Path(file)).splits) for file in files)


def _choose_sets(cfg: CfgNode, names: Sequence[str], given: Mapping[str, str]) -> None:
    train = next((name for name in names if name.endswith("_train")), names[0])
    endings = [f"_{split}" for split in _TEST_SPLITS]
    test = next((name for ending in endings for name in names if name.endswith(ending)), names[-1])
    for key, name in (("TRAIN", train), ("TEST", test)):
        if f"DATASETS.{key}" not in given:
            cfg.DATASETS[key] = (name,)


# ---- registration ------------------------------------------------------------------------------------------------


def _register(declaration: Declaration, prepared: Prepared, name: str, split: PreparedSplit) -> None:
    if _folders.get(name) == prepared.folder:
        return
    if name in DatasetCatalog and name not in _folders:
        raise DataError(f"{declaration.path}: a data set is registered as {name} already: give another name")
    metadata = _metadata(prepared.categories, split, prepared.keypoints)
    _renew(name, metadata, lambda: _records(prepared.categories, split))
    if split.panoptic_json is not None:
        paths = {key: metadata[key] for key in _PATH_KEYS if key in metadata}
        standard = paths | standard_metadata(prepared.categories)
        _renew(f"{name}_standard", standard, lambda: standard_records(standard))
    _folders[name] = prepared.folder


def _renew(name: str, metadata: Mapping[str, Any], load: Any) -> None:
    if name in DatasetCatalog:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    DatasetCatalog.register(name, load)
    MetadataCatalog.get(name).set(**metadata)


_PATH_KEYS = ("image_root", "json_file", "panoptic_json", "panoptic_root", "evaluator_type", "ignore_label")


def _metadata(categories: Categories, split: PreparedSplit, keypoints: Keypoints | None) -> dict[str, Any]:
    has_stuff = split.stuff_json is not None
    classes = {
        key: value
        for key, value in categories.to_metadata().items()
        if (split.has_instances and key.startswith("thing")) or (has_stuff and key.startswith("stuff"))
    }
    kinds = {(True, True): "coco_panoptic_seg", (True, False): "coco", (False, True): "sem_seg"}
    paths = {
        "image_root": split.image_root,
        "json_file": split.json_file if split.has_instances else None,
        "panoptic_json": split.panoptic_json,
        "panoptic_root": split.panoptic_root,
    }
    return {
        **{key: value for key, value in paths.items() if value is not None},
        **classes,
        **_keypoint_metadata(keypoints),
        "evaluator_type": kinds.get((split.has_instances, has_stuff), "coco_panoptic_seg"),
        "ignore_label": 255,
    }


def _keypoint_metadata(keypoints: Keypoints | None) -> dict[str, Any]:
    if keypoints is None:
        return {}
    return {"keypoint_names": list(keypoints.names), "keypoint_flip_map": [list(pair) for pair in keypoints.flips]}


def _records(categories: Categories, split: PreparedSplit) -> list[dict[str, Any]]:
    """Detectron2's dictionaries; of a data set without instances they have no annotations."""
    index_of = {category.id: index for index, category in enumerate(categories.things)}
    stuff_files = split.stuff_files()
    records = []
    for record in load_coco_json(split.json_file, split.image_root):
        notes = [n | {"category_id": index_of[n["category_id"]]} for n in record.pop("annotations", [])]
        own = {"annotations": notes} if split.has_instances else {}
        stuff = {"sem_seg_file_name": stuff_files[record["image_id"]]} if record["image_id"] in stuff_files else {}
        records.append(record | own | stuff)
    return records


# ---- the config --------------------------------------------------------------------------------------------------


def _settle(cfg: CfgNode, name: str, given: Mapping[str, str]) -> None:
    if "MODEL.REINIT_HEADS" not in given:
        cfg.MODEL.REINIT_HEADS = True  # what it means for the weights, they say when they are loaded
    for key, count in class_counts(cfg, name).items():
        if key in given and given[key] != str(count):
            raise ConfigError(f"{key} {given[key]}: data set {name} has {count}: leave the key out")
        _set(cfg, key, count, name)
    points = len(MetadataCatalog.get(name).get("keypoint_names") or ())
    if cfg.MODEL.KEYPOINT_ON and points not in (0, COCO_KEYPOINTS) and not cfg.TEST.KEYPOINT_OKS_SIGMAS:
        raise ConfigError(
            f"data set {name} has {points} keypoints, and COCO's metric knows {COCO_KEYPOINTS}: set "
            f"TEST.KEYPOINT_OKS_SIGMAS to {points} numbers, how far each may be off (0.025 to 0.1 of the object)"
        )
    if cfg.MODEL.MASK_ON and cfg.INPUT.MASK_FORMAT == "polygon" and _has_rle(name):
        _set(cfg, "INPUT.MASK_FORMAT", "bitmask", name)


def class_counts(cfg: CfgNode, name: str) -> dict[str, int]:
    """Key of the config -> what it has to be for this data set, for the keys that this model may read."""
    metadata = MetadataCatalog.get(name)
    things, stuff = len(metadata.get("thing_classes") or ()), len(metadata.get("stuff_classes") or ())
    keypoints = len(metadata.get("keypoint_names") or ())
    counts = {
        "MODEL.ROI_HEADS.NUM_CLASSES": things,
        "MODEL.RETINANET.NUM_CLASSES": things,
        "MODEL.POINT_HEAD.NUM_CLASSES": things,
        "MODEL.SEM_SEG_HEAD.NUM_CLASSES": stuff,
        "MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS": keypoints,
    }
    return {key: count for key, count in counts.items() if count and key.split(".")[1] in cfg.MODEL}


def _has_rle(name: str) -> bool:
    split = Prepared.read(_folders[name.removesuffix("_standard")]).splits
    return any(one.has_rle for one in split.values())


def _set(cfg: CfgNode, key: str, value: Any, name: str) -> None:
    node, last = cfg, key.split(".")
    for part in last[:-1]:
        node = node[part]
    if node[last[-1]] != value:
        level = logging.INFO if _is_read(cfg, key) else logging.DEBUG
        logger.log(level, "%s is %s, as data set %s has it (it was %s)", key, value, name, node[last[-1]])
        node[last[-1]] = value


def _is_read(cfg: CfgNode, key: str) -> bool:
    """Whether Detectron2's model of this kind looks at a key of MODEL."""
    part, kind = key.split(".")[1], cfg.MODEL.META_ARCHITECTURE
    models = {"RETINANET": {"RetinaNet"}, "SEM_SEG_HEAD": {"SemanticSegmentor", "PanopticFPN", "PanopticDeepLab"}}
    return part not in models or kind in models[part]
