"""The toolkit's training mapper, with crowds: they are no objects to find, but no background either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import transforms as T
from detectron2.data.detection_utils import transform_instance_annotations
from detectron2.structures import BitMasks, Instances, polygons_to_bitmask

from thingstuff.data.augment.mapper import TrainingMapper
from thingstuff.data.augment.reader import InstanceReader
from thingstuff.data.mappers import register_mapper
from thingstuff.data.records import Records
from thingstuff.errors import ConfigError
from yolact.config import MAPPER
from yolact.truth import CROWDS

Record = dict[str, Any]
_PLACE = ("bbox", "bbox_mode", "segmentation")


class CrowdReader(InstanceReader):
    """As `InstanceReader`; a result also has `crowds`, Instances with the masks of crowds and the boxes of those."""

    def _transform_annotations(
        self, dataset_dict: Record, transforms: T.TransformList, image_shape: tuple[int, int]
    ) -> None:
        crowds = [note for note in dataset_dict["annotations"] if note.get("iscrowd")]
        dataset_dict[CROWDS] = _crowds(crowds, transforms, image_shape)
        super()._transform_annotations(dataset_dict, transforms, image_shape)


class CrowdMapper(TrainingMapper):
    """As `TrainingMapper`, with crowds. What copy-paste lays over a crowd is an object as any other."""

    @classmethod
    def from_config(cls, cfg: CfgNode, records: Sequence[Record]) -> dict[str, Any]:
        parts = super().from_config(cfg, records)
        reader = CrowdReader(cfg, expects_instances=parts["reader"].expects_instances, needs_masks=True)
        return parts | {"reader": reader}


@register_mapper(MAPPER)
def build_mapper(cfg: CfgNode, records: Records) -> CrowdMapper:
    """ConfigError where the records are not what YOLACT with this config could learn."""
    names, count = ", ".join(cfg.DATASETS.TRAIN), cfg.MODEL.ROI_HEADS.NUM_CLASSES
    pairs = [(r, note) for r in records for note in r.get("annotations", ()) if not note.get("iscrowd")]
    if not pairs:
        raise ConfigError(f"data set {names} has no instances, which YOLACT learns from: add them")
    without = next((record for record, note in pairs if not note.get("segmentation")), None)
    if without is not None:
        raise ConfigError(
            f"data set {names} has instances without masks, in {without['file_name']}: YOLACT learns masks"
        )
    classes = max(note["category_id"] for _, note in pairs) + 1
    if classes > count:
        raise ConfigError(
            f"data set {names} has {classes} classes, but MODEL.ROI_HEADS.NUM_CLASSES is {count}: set it to {classes}"
        )
    return CrowdMapper(cfg, records)


def _crowds(notes: Sequence[Mapping[str, Any]], transforms: T.TransformList, shape: tuple[int, int]) -> Instances:
    masks = BitMasks(torch.zeros((0, *shape), dtype=torch.bool))
    if notes:
        masks = BitMasks(torch.stack([_mask(note, transforms, shape) for note in notes]))
    crowds = Instances(shape, gt_boxes=masks.get_bounding_boxes(), gt_masks=masks)
    return crowds[crowds.gt_boxes.nonempty()]


def _mask(note: Mapping[str, Any], transforms: T.TransformList, shape: tuple[int, int]) -> torch.Tensor:
    """H x W bool; the whole box where a crowd has no mask."""
    place = {key: note[key] for key in _PLACE if note.get(key) is not None}
    turned = transform_instance_annotations(place, transforms, shape)
    mask = turned.get("segmentation")
    if isinstance(mask, np.ndarray):
        return torch.as_tensor(mask == 1)  # what a transform pads with is another number
    if mask:
        return torch.as_tensor(polygons_to_bitmask(mask, *shape))
    x0, y0, x1, y1 = (round(float(side)) for side in turned["bbox"])
    filled = torch.zeros(shape, dtype=torch.bool)
    filled[y0:y1, x0:x1] = True
    return filled
