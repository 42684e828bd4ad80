"""The panoptic option of a config: its source of stuff and its rule, built once, put around an instance model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetMapper
from detectron2.modeling import META_ARCH_REGISTRY, build_model
from torch import nn

from thingstuff.config import load_config
from thingstuff.data.catalog import metadata_with_classes
from thingstuff.data.images import read_image_bgr
from thingstuff.engine.mode import Mode
from thingstuff.engine.preprocess import Preprocess
from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.errors import ConfigError, DataError
from thingstuff.merge import RULES, Rule, build_rule
from thingstuff.modeling.augmented import AugmentedRcnn, AugmentedSegmentor
from thingstuff.modeling.label_space import LabelSpace
from thingstuff.modeling.stuff_files import StuffFiles
from thingstuff.modeling.stuff_sources import STUFF_IMAGE, FileSource, HeadSource, ModelSource, StuffSource
from thingstuff.modeling.things_and_stuff import ThingsAndStuff, refuse_other_than_rcnn
from thingstuff.structures import Categories


@dataclass(frozen=True)
class PanopticOption:
    """What PANOPTIC asks for. `stuff_preprocess` is set where a second model wants images of its own kind."""

    categories: Categories
    metadata: Any  # how Detectron2's outputs number the categories
    rule: Rule
    stuff: StuffSource
    preprocess: Preprocess
    stuff_preprocess: Preprocess | None

    @classmethod
    def from_config(cls, cfg: CfgNode) -> PanopticOption | None:
        """None where PANOPTIC is not enabled. Whatever is wrong with the source of stuff is found here."""
        if not cfg.PANOPTIC.ENABLED:
            return None
        _require_rcnn(cfg.MODEL.META_ARCHITECTURE)
        if not cfg.DATASETS.TEST:
            raise ConfigError("DATASETS.TEST is empty: name the data set whose classes are merged")
        metadata = metadata_with_classes(cfg.DATASETS.TEST[0])
        stuff_cfg = _stuff_config(cfg)
        stuff_metadata = metadata if stuff_cfg is None else metadata_with_classes(stuff_cfg.DATASETS.TEST[0])
        categories = _joined_categories(metadata, stuff_metadata)
        preprocess = Preprocess.from_config(cfg)
        second = None if stuff_cfg is None else Preprocess.from_config(stuff_cfg)
        return cls(
            categories,
            metadata if metadata.get("stuff_classes") else categories.to_metadata(),
            rule_from_config(cfg),
            _build_source(cfg, stuff_cfg, stuff_metadata, categories),
            preprocess,
            None if second == preprocess else second,
        )

    def wrap(self, model: nn.Module) -> ThingsAndStuff:
        """`model`, which is or will be trained elsewhere, with stuff; a second model is augmented where it is."""
        stuff = self.stuff
        if isinstance(model, AugmentedRcnn) and isinstance(stuff, ModelSource):
            stuff = stuff.with_model(AugmentedSegmentor(stuff.model, model.tta_mapper))
        return ThingsAndStuff(
            things=model, stuff=stuff, rule=self.rule, categories=self.categories, metadata=self.metadata
        )

    def test_mapper(self, cfg: CfgNode) -> DatasetMapper | _MapperWithStuffImage:
        """What turns a data set's record into a model input for evaluation."""
        mapper = DatasetMapper(cfg, is_train=False)
        return mapper if self.stuff_preprocess is None else _MapperWithStuffImage(mapper, self.stuff_preprocess)


@dataclass(frozen=True)
class _MapperWithStuffImage:
    """A mapper whose inputs also hold the image as the second model wants it."""

    mapper: DatasetMapper
    preprocess: Preprocess

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.mapper(record), STUFF_IMAGE: self.preprocess(read_image_bgr(record["file_name"]))}


def merged_categories(cfg: CfgNode) -> Categories:
    """`PanopticOption.categories` of a config that has the option on, without building its models."""
    metadata, stuff_cfg = metadata_with_classes(cfg.DATASETS.TEST[0]), _stuff_config(cfg)
    stuff_metadata = metadata if stuff_cfg is None else metadata_with_classes(stuff_cfg.DATASETS.TEST[0])
    return _joined_categories(metadata, stuff_metadata)


def _require_rcnn(name: str) -> None:
    """Refuse what `ThingsAndStuff` would refuse, before anything is trained; who is not registered is named later."""
    if name in META_ARCH_REGISTRY:
        refuse_other_than_rcnn(META_ARCH_REGISTRY.get(name))


def rule_from_config(cfg: CfgNode) -> Rule:
    """The rule that PANOPTIC names, with its thresholds from the keys of the same names in capitals.

    A key that is None or absent falls back to MODEL.PANOPTIC_FPN.COMBINE, and where that lacks it, to the rule's own.
    """
    if cfg.PANOPTIC.RULE not in RULES:
        build_rule(cfg.PANOPTIC.RULE)  # refuses it
    thresholds = {}
    for field in fields(RULES[cfg.PANOPTIC.RULE]):
        key = field.name.upper()
        value = cfg.PANOPTIC.get(key)
        value = cfg.MODEL.PANOPTIC_FPN.COMBINE.get(key) if value is None else value
        if value is not None:
            thresholds[field.name] = value
    return build_rule(cfg.PANOPTIC.RULE, **thresholds)


def _stuff_config(cfg: CfgNode) -> CfgNode | None:
    """The config of the second model, on the device of the first."""
    if cfg.PANOPTIC.STUFF != "model":
        return None
    stuff_cfg = load_config(cfg.PANOPTIC.STUFF_CONFIG)
    stuff_cfg.MODEL.DEVICE = cfg.MODEL.DEVICE
    stuff_cfg.MODEL.WEIGHTS = cfg.PANOPTIC.STUFF_WEIGHTS or stuff_cfg.MODEL.WEIGHTS
    if not stuff_cfg.MODEL.WEIGHTS:
        raise ConfigError("PANOPTIC.STUFF_WEIGHTS is empty: name the weights that STUFF_CONFIG was trained to")
    if not stuff_cfg.DATASETS.TEST:
        raise ConfigError(f"DATASETS.TEST is empty in {cfg.PANOPTIC.STUFF_CONFIG}: name the data set of its classes")
    return stuff_cfg


def _joined_categories(metadata: Any, stuff_metadata: Any) -> Categories:
    """The categories of the test set; its things and the stuff of the second model where the test set has no stuff."""
    own = _categories(metadata)
    if own.stuff or stuff_metadata is metadata:
        return own
    names = {c.name for c in own.things}
    stuff = tuple(c for c in _categories(stuff_metadata).stuff if c.name not in names)
    try:
        return Categories((*own.things, *stuff))
    except DataError as error:
        sets = f"{metadata.name} and {stuff_metadata.name}"
        raise ConfigError(f"things and stuff come from the data sets {sets}, which clash: {error}") from error


def _categories(metadata: Any) -> Categories:
    try:
        return Categories.from_metadata(metadata)
    except DataError as error:
        raise DataError(f"data set {metadata.name}: {error}") from error


def _build_source(cfg: CfgNode, stuff_cfg: CfgNode | None, stuff_metadata: Any, categories: Categories) -> StuffSource:
    if cfg.PANOPTIC.STUFF == "files":
        contiguous = cfg.PANOPTIC.STUFF_FORMAT == "contiguous"
        folder, void_ids = cfg.PANOPTIC.STUFF_DIR, cfg.PANOPTIC.STUFF_VOID_IDS
        return FileSource(StuffFiles(folder, categories, contiguous=contiguous, void_ids=void_ids), categories)
    labels = LabelSpace.from_metadata(stuff_metadata)
    if stuff_cfg is None:
        return HeadSource(labels, categories)
    model = build_model(stuff_cfg)
    Checkpointer(model, whole_model=True, key="PANOPTIC.STUFF_WEIGHTS").load(stuff_cfg.MODEL.WEIGHTS)
    return ModelSource(Mode.from_config(cfg).prepare(model), _by_name(labels, stuff_metadata, categories), categories)


def _by_name(labels: LabelSpace, metadata: Any, categories: Categories) -> LabelSpace:
    """The second model's labels in the ids of `categories`: two data sets agree in names, not always in ids."""
    names = {c.id: c.name for c in _categories(metadata).all}
    known = {c.name: c.id for c in categories.all}
    lacking = [names[i] for i in labels.label_ids if i is not None and names[i] not in known]
    if lacking:
        raise ConfigError(f"the model of PANOPTIC.STUFF_CONFIG knows {lacking[0]!r}, which DATASETS.TEST does not have")
    return LabelSpace(tuple(None if i is None else known[names[i]] for i in labels.label_ids))
