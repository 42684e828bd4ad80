"""From a record of a data set to what a model trains on: the mapper that a config names, or that its model needs.

A project adds its own under a name, in a module that its config lists in `IMPORTS`:

    @register_mapper("my_mapper")
    def build_my_mapper(cfg):  # or (cfg, records), to be given the training records too
        return MyMapper(cfg)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from thingstuff.data.augment.mapper import TrainingMapper
from thingstuff.data.augment.panoptic_mapper import PanopticMapper
from thingstuff.data.naming_mapper import Mapper
from thingstuff.data.records import Records
from thingstuff.errors import ConfigError

Builder = Callable[..., Mapper]

KEY = "DATASET_MAPPER_NAME"

_BUILDERS: dict[str, Builder] = {}
_NAME_BY_MODEL = {"PanopticDeepLab": "panoptic_deeplab"}  # META_ARCHITECTURE -> the mapper it cannot do without


def build_mapper(cfg: CfgNode, records: Records) -> Mapper:
    """The training mapper of `INPUT.DATASET_MAPPER_NAME` or, without one, of the model, and else a `TrainingMapper`.

    `records` are those of the training, from which copy-paste draws.
    """
    name = cfg.INPUT[KEY] or _NAME_BY_MODEL.get(cfg.MODEL.META_ARCHITECTURE)
    if not name:
        return TrainingMapper(cfg, records)
    if name not in _BUILDERS:
        raise ConfigError(f"INPUT.{KEY} is {name}, expected one of {', '.join(sorted(_BUILDERS))}, or nothing")
    builder = _BUILDERS[name]
    return builder(cfg, records=records) if "records" in inspect.signature(builder).parameters else builder(cfg)


def register_mapper(name: str) -> Callable[[Builder], Builder]:
    """A decorator: the function below it, `cfg -> mapper` or `(cfg, records) -> mapper`, becomes known as `name`."""

    def add(builder: Builder) -> Builder:
        if _BUILDERS.get(name, builder) is not builder:
            raise ConfigError(f"two data set mappers are called {name}: give each its own name")
        _BUILDERS[name] = builder
        return builder

    return add


# ---- Panoptic-DeepLab --------------------------------------------------------------------------------------------


@register_mapper("panoptic_deeplab")
def _panoptic_deeplab(cfg: CfgNode, records: Records) -> Mapper:
    """Panoptic files to semantic labels, centres and offsets, by the targets of Detectron2's project."""
    from detectron2.projects.panoptic_deeplab import PanopticDeeplabDatasetMapper

    if "GAUSSIAN_SIGMA" not in cfg.INPUT:
        raise ConfigError(f"INPUT.{KEY} is panoptic_deeplab: name detectron2.projects.panoptic_deeplab in IMPORTS")
    for name in cfg.DATASETS.TRAIN:
        _refuse_separated(name)
        _refuse_unknown_classes(cfg, name)
    changed = cfg.INPUT.JITTER.ENABLED or cfg.INPUT.COPY_PASTE.ENABLED or cfg.INPUT.MAX_PIXELS > 0
    return PanopticMapper(cfg, records) if changed else PanopticDeeplabDatasetMapper(cfg)


def _refuse_separated(name: str) -> None:
    """Without `label_divisor` a set is of the "separated" convention, or has no panoptic truth at all."""
    if MetadataCatalog.get(name).get("label_divisor") is None:
        raise ConfigError(
            f"data set {name} has no label_divisor: Panoptic-DeepLab trains on sets of Detectron2's "
            '"standard" panoptic convention, such as shapes_train_standard'
        )


def _refuse_unknown_classes(cfg: CfgNode, name: str) -> None:
    """A class beyond the head's would end the training at its first image with it."""
    classes, count = len(MetadataCatalog.get(name).get("stuff_classes") or ()), cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES
    if classes > count:
        raise ConfigError(
            f"data set {name} has {classes} classes, but MODEL.SEM_SEG_HEAD.NUM_CLASSES is {count}: set it to {classes}"
        )
