"""The records that a training reads, checked for what would fail, or learn nonsense, an hour later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog, get_detection_dataset_dicts

from thingstuff.errors import ConfigError, DataError

_NOTHING_LEFT = "No valid data found"  # as Detectron2 says it
Records = Sequence[dict[str, Any]]


def load_records(name: str) -> Records:
    """What Detectron2's catalog gives for a registered data set; a broken file is named by the data set."""
    with _broken_file_of(name):
        return DatasetCatalog.get(name)


def training_records(cfg: CfgNode) -> Records:
    """The records of `DATASETS.TRAIN`, filtered as Detectron2's loader does, in the format that the model can use."""
    names = ", ".join(cfg.DATASETS.TRAIN)
    with _broken_file_of(names):
        records = get_detection_dataset_dicts(
            cfg.DATASETS.TRAIN,
            filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
            min_keypoints=cfg.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE if cfg.MODEL.KEYPOINT_ON else 0,
            proposal_files=cfg.DATASETS.PROPOSAL_FILES_TRAIN if cfg.MODEL.LOAD_PROPOSALS else None,
        )
    _refuse_unknown_classes(cfg, names, records)
    _refuse_other_mask_format(cfg, names, records)
    _refuse_missing_stuff(cfg, names, records)
    _refuse_missing_instances(cfg, names, records)
    return records


@contextmanager
def _broken_file_of(names: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except AssertionError as error:
        if not str(error).startswith(_NOTHING_LEFT):
            raise DataError(f"data set {names} cannot be read: {error}") from error
        raise DataError(
            f"no image of data set {names} has an object that could be learnt (crowds are none): "
            "DATALOADER.FILTER_EMPTY_ANNOTATIONS False keeps images without any"
        ) from error
    except (ValueError, KeyError, OSError) as error:
        raise DataError(f"data set {names} cannot be read: {type(error).__name__}: {error}") from error


def _refuse_unknown_classes(cfg: CfgNode, names: str, records: Sequence[Mapping[str, Any]]) -> None:
    key = _CLASS_COUNT_KEYS.get(cfg.MODEL.META_ARCHITECTURE)
    if key is None:
        return
    count = cfg.MODEL[key].NUM_CLASSES
    highest = max((note["category_id"] for r in records for note in r.get("annotations", ())), default=-1)
    if highest >= count:
        raise ConfigError(
            f"data set {names} has {highest + 1} classes, but MODEL.{key}.NUM_CLASSES is {count}: "
            f"set it to {highest + 1}"
        )


_CLASS_COUNT_KEYS = {"GeneralizedRCNN": "ROI_HEADS", "PanopticFPN": "ROI_HEADS", "RetinaNet": "RETINANET"}


def _refuse_other_mask_format(cfg: CfgNode, names: str, records: Sequence[Mapping[str, Any]]) -> None:
    if not cfg.MODEL.MASK_ON or cfg.INPUT.MASK_FORMAT != "polygon":
        return
    notes = (note for r in records for note in r.get("annotations", ()) if not note.get("iscrowd"))
    if any(isinstance(note.get("segmentation"), Mapping) for note in notes):
        raise ConfigError(f"data set {names} has RLE masks, not polygons: set INPUT.MASK_FORMAT bitmask")


def _refuse_missing_stuff(cfg: CfgNode, names: str, records: Sequence[Mapping[str, Any]]) -> None:
    """A semantic head learns from one label map an image."""
    if cfg.MODEL.META_ARCHITECTURE not in ("PanopticFPN", "SemanticSegmentor"):
        return
    lacking = next((r for r in records if not r.get("sem_seg_file_name")), None)
    if lacking is not None:
        raise ConfigError(
            f"data set {names} has no stuff truth (sem_seg_file_name) for {lacking['file_name']}, which a semantic "
            "head learns from: add it, or take stuff from PANOPTIC.STUFF model or files"
        )
    classes = len(MetadataCatalog.get(cfg.DATASETS.TRAIN[0]).get("stuff_classes") or [])
    if classes and classes != cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES:
        raise ConfigError(
            f"data set {names} has {classes} stuff classes ('things' among them), but "
            f"MODEL.SEM_SEG_HEAD.NUM_CLASSES is {cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES}: set it to {classes}"
        )


def _refuse_missing_instances(cfg: CfgNode, names: str, records: Sequence[Mapping[str, Any]]) -> None:
    if cfg.MODEL.META_ARCHITECTURE in _CLASS_COUNT_KEYS and not any("annotations" in record for record in records):
        raise ConfigError(
            f"data set {names} has no instances, which {cfg.MODEL.META_ARCHITECTURE} learns from: add them, or train a "
            "SemanticSegmentor"
        )
