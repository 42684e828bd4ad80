"""The mapper of a training with instance, semantic or panoptic truth: Detectron2's, with jitter and copy-paste."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode, configurable

from thingstuff.data.augment.copy_paste import paste
from thingstuff.data.augment.paste_source import PasteSource, drawn_rng
from thingstuff.data.augment.reader import InstanceReader
from thingstuff.data.augment.training_input import sample_of, with_sample
from thingstuff.data.naming_mapper import NamingMapper
from thingstuff.errors import ConfigError

Record = dict[str, Any]


class TrainingMapper:
    """A record -> what a model trains on: image, instances, sem_seg, file_name, height, width, image_id.

    The result is that of Detectron2's `DatasetMapper(cfg, True)`, bit for bit, where `INPUT.JITTER`, `COPY_PASTE` and
    `MAX_PIXELS` are off, but for the two mends of `InstanceReader`. An image onto which something was pasted has
    `BitMasks`, also where `INPUT.MASK_FORMAT` is polygon; Detectron2's mask head takes both in one batch.
    """

    @configurable
    def __init__(self, *, reader: InstanceReader, source: PasteSource | None = None, gives_masks: bool = True) -> None:
        """`gives_masks`: whether the model learns masks; a detector of boxes needs them only for pasting."""
        self.reader = reader
        self.source = source
        self.gives_masks = gives_masks

    @classmethod
    def from_config(cls, cfg: CfgNode, records: Sequence[Record]) -> dict[str, Any]:
        source = PasteSource.from_config(cfg, records)
        if source:
            _refuse_nothing_to_paste(cfg, records)
        expects_instances = any("annotations" in record for record in records)
        reader = InstanceReader(cfg, expects_instances=expects_instances, needs_masks=source is not None)
        return {"reader": reader, "source": source, "gives_masks": cfg.MODEL.MASK_ON}

    def __call__(self, record: Record) -> Record:
        result = self.reader(record)
        other = self.source.draw() if self.source else None
        if self.source and other is not None:
            result = self._pasted(result, NamingMapper(self.reader)(other), self.source)
        if not self.gives_masks and "instances" in result and result["instances"].has("gt_masks"):
            result["instances"].remove("gt_masks")
        return result

    def _pasted(self, result: Record, other: Record, source: PasteSource) -> Record:
        if not len(other["instances"]):
            return result
        target = sample_of(result)
        sample = paste(target, sample_of(other), source.options, drawn_rng())
        return result if sample is target else with_sample(result, sample)


def _refuse_nothing_to_paste(cfg: CfgNode, records: Sequence[Record]) -> None:
    names = ", ".join(cfg.DATASETS.TRAIN)
    if not any(_instances(record) for record in records):
        raise ConfigError(
            f"INPUT.COPY_PASTE pastes instances, but data set {names} has none: set INPUT.COPY_PASTE.ENABLED False"
        )
    without = next((r for r in records if any(not note.get("segmentation") for note in _instances(r))), None)
    if without is not None:
        raise ConfigError(
            f"INPUT.COPY_PASTE pastes masks, but data set {names} has instances without one in {without['file_name']}: "
            "add them, or set INPUT.COPY_PASTE.ENABLED False"
        )


def _instances(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [note for note in record.get("annotations", ()) if not note.get("iscrowd")]
