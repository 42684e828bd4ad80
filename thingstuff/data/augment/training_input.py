"""Detectron2's training input of one image -> a `Sample`, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks

from thingstuff.data.augment.sample import Sample
from thingstuff.structures import MaskCrops

Record = dict[str, Any]

_PANOPTIC_KEYS = ("pan_seg_file_name", "segments_info")


def sample_of(result: Record) -> Sample:
    """What Detectron2's `DatasetMapper` gives, with masks. Polygons become bitmaps as there."""
    instances = result["instances"]
    classes = instances.gt_classes.numpy()
    stuff = result["sem_seg"].numpy().astype(np.uint8) if "sem_seg" in result else None
    image = result["image"].numpy().transpose(1, 2, 0)
    return Sample(image, _masks(instances), classes, np.zeros(len(classes), bool), stuff)


def with_sample(result: Record, sample: Sample) -> Record:
    """The same input with a sample's image and truth; boxes are the tight ones of the masks, crowds are left out.

    Panoptic files and segments, which this mapper does not read, are left out: they no longer say what is seen.
    """
    kept = {key: value for key, value in result.items() if key not in _PANOPTIC_KEYS}
    changed = {"image": image_tensor(sample.image), "instances": _instances(sample)}
    if sample.stuff is not None:
        changed["sem_seg"] = torch.as_tensor(sample.stuff.astype("long"))
    return {**kept, **changed}


def image_tensor(image: np.ndarray) -> torch.Tensor:
    """H x W x C -> C x H x W."""
    return torch.as_tensor(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _masks(instances: Instances) -> MaskCrops:
    height, width = instances.image_size
    if not len(instances):
        return MaskCrops.from_boxes((), height, width)
    if isinstance(instances.gt_masks, PolygonMasks):
        return MaskCrops.from_polygons(instances.gt_masks.polygons, height, width)
    return MaskCrops.from_bitmaps(instances.gt_masks.tensor.numpy())


def _instances(sample: Sample) -> Instances:
    masks = sample.masks[~sample.iscrowd].tight()
    return Instances(
        (sample.height, sample.width),
        gt_boxes=Boxes(torch.as_tensor(masks.boxes_xyxy.astype(np.float32))),
        gt_classes=torch.as_tensor(sample.category_ids[~sample.iscrowd]),
        gt_masks=BitMasks(torch.as_tensor(masks.to_bitmaps())),
    )
