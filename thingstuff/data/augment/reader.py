"""Detectron2's `DatasetMapper` with two mends: images without objects, and masks of images that are padded."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks

from thingstuff.data.augment.augmentations import with_jitter_and_limit

Record = dict[str, Any]


class InstanceReader(DatasetMapper):
    """A record -> Detectron2's training input, bit for bit as `DatasetMapper(cfg, True)` but in this:

    - an image without objects has empty `instances` with masks of the right type (there they have none, and where
      boxes are made from masks, as under a crop, it fails);
    - a mask is padded with 0 where a label map is padded with the ignored label (there 255, which is inside).
    """

    @configurable
    def __init__(self, *, expects_instances: bool, **stock: Any) -> None:
        """`expects_instances`: a record without `annotations` has none; otherwise it has no truth of instances."""
        super().__init__(**stock)
        self.expects_instances = expects_instances

    @classmethod
    def from_config(cls, cfg: CfgNode, expects_instances: bool, needs_masks: bool) -> dict[str, Any]:
        """`needs_masks`: they are read where the model learns none, too."""
        stock = DatasetMapper.from_config(cfg, is_train=True)
        ignored = cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE
        stock["augmentations"] = with_jitter_and_limit(stock["augmentations"], cfg, padding_label=ignored)
        stock["use_instance_mask"] |= needs_masks
        cuts = cfg.INPUT.CROP.ENABLED or cfg.INPUT.JITTER.ENABLED
        stock["recompute_boxes"] = cuts and stock["use_instance_mask"]
        return {"expects_instances": expects_instances, **stock}

    def __call__(self, record: Record) -> Record:
        if self.expects_instances and "annotations" not in record:
            record = {**record, "annotations": []}
        return super().__call__(record)

    def _transform_annotations(
        self, dataset_dict: Record, transforms: T.TransformList, image_shape: tuple[int, int]
    ) -> None:
        if any(note.get("iscrowd", 0) == 0 for note in dataset_dict["annotations"]):
            super()._transform_annotations(dataset_dict, _for_masks(transforms), image_shape)
        else:
            del dataset_dict["annotations"]
            dataset_dict["instances"] = self._no_instances(image_shape)

    def _no_instances(self, image_shape: tuple[int, int]) -> Instances:
        empty = Instances(image_shape, gt_boxes=Boxes(torch.zeros(0, 4)), gt_classes=torch.zeros(0, dtype=torch.int64))
        if self.use_instance_mask:
            polygons = self.instance_mask_format == "polygon"
            empty.gt_masks = (
                PolygonMasks([]) if polygons else BitMasks(torch.zeros((0, *image_shape), dtype=torch.bool))
            )
        return empty


def _for_masks(transforms: T.TransformList) -> T.TransformList:
    """The same transforms, which pad with 0."""
    return T.TransformList([_padding_with_zero(transform) for transform in transforms.transforms])


def _padding_with_zero(transform: T.Transform) -> T.Transform:
    if not isinstance(transform, T.PadTransform) or transform.seg_pad_value == 0:
        return transform
    t = transform
    return T.PadTransform(t.x0, t.y0, t.x1, t.y1, t.orig_w, t.orig_h, t.pad_value, seg_pad_value=0)
