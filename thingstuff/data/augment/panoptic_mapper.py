"""The mapper of Panoptic-DeepLab with jitter, copy-paste and a limit of pixels, all before its targets are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from detectron2.config import CfgNode, configurable
from detectron2.data import detection_utils
from detectron2.data import transforms as T

from thingstuff.data.augment.augmentations import with_jitter_and_limit
from thingstuff.data.augment.copy_paste import paste
from thingstuff.data.augment.paste_panoptic import measured_map
from thingstuff.data.augment.paste_source import PasteSource, drawn_rng
from thingstuff.data.augment.sample import Sample
from thingstuff.data.augment.training_input import image_tensor
from thingstuff.data.naming_mapper import NamingMapper
from thingstuff.structures import MaskCrops, PanopticMap, Segment, rgb_to_ids
from thingstuff.structures.panoptic_map import VOID_ID

Record = dict[str, Any]


class PanopticMapper:
    """As Detectron2's `PanopticDeeplabDatasetMapper`; `segments_info` of a result says what is seen of each segment.

    `targets` makes the model's targets of panoptic ids and `segments_info`, and has `thing_ids`, the classes of things.
    """

    @configurable
    def __init__(
        self,
        *,
        augmentations: list[T.Augmentation],
        image_format: str,
        targets: Any,
        source: PasteSource | None = None,
    ) -> None:
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format
        self.targets = targets
        self.source = source

    @classmethod
    def from_config(cls, cfg: CfgNode, records: Sequence[Record]) -> dict[str, Any]:
        from detectron2.projects.panoptic_deeplab import PanopticDeeplabDatasetMapper

        stock = PanopticDeeplabDatasetMapper.from_config(cfg)
        return {
            "augmentations": with_jitter_and_limit(stock["augmentations"], cfg, padding_label=VOID_ID),
            "image_format": stock["image_format"],
            "targets": stock["panoptic_target_generator"],
            "source": PasteSource.from_config(cfg, records),
        }

    def __call__(self, record: Record) -> Record:
        record = dict(record)
        sample = self._read(record)
        other = self.source.draw() if self.source else None
        if self.source and other is not None:
            sample = paste(sample, NamingMapper(self._read)(dict(other)), self.source.options, drawn_rng())
        segments_info = [_to_info(segment) for segment in sample.panoptic.segments]
        kept = {key: value for key, value in record.items() if key != "pan_seg_file_name"}
        made = {"image": image_tensor(sample.image), "segments_info": segments_info}
        return {**kept, **made, **self.targets(sample.panoptic.ids, segments_info)}

    def _read(self, record: Record) -> Sample:
        """One record after its own augmentation. As in Detectron2, one that lacks the image's size is given it."""
        image = detection_utils.read_image(record["file_name"], format=self.image_format)
        detection_utils.check_image_size(record, image)
        ids_rgb = detection_utils.read_image(record["pan_seg_file_name"], "RGB")
        augmented = T.AugInput(image, sem_seg=ids_rgb)
        self.augmentations(augmented)
        segments = [self._segment(info) for info in record["segments_info"]]
        panoptic = measured_map(rgb_to_ids(augmented.sem_seg), segments)
        things = [segment for segment in panoptic.segments if segment.isthing]
        return Sample(
            image=augmented.image,
            masks=_masks(panoptic, things),
            category_ids=np.array([segment.category_id for segment in things], np.int64),
            iscrowd=np.array([segment.iscrowd for segment in things], bool),
            panoptic=panoptic,
        )

    def _segment(self, info: Record) -> Segment:
        isthing = info["category_id"] in self.targets.thing_ids
        return Segment(info["id"], info["category_id"], isthing, 0, (0, 0, 0, 0), iscrowd=bool(info.get("iscrowd")))


def _masks(panoptic: PanopticMap, things: Sequence[Segment]) -> MaskCrops:
    height, width = panoptic.ids.shape
    boxes = [(x, y, x + w, y + h) for x, y, w, h in (segment.bbox for segment in things)]
    crops = [panoptic.ids[y0:y1, x0:x1] == s.id for s, (x0, y0, x1, y1) in zip(things, boxes, strict=True)]
    return MaskCrops.from_boxes(((c.view(np.uint8), b) for c, b in zip(crops, boxes, strict=True)), height, width)


def _to_info(segment: Segment) -> Record:
    return {
        "id": segment.id,
        "category_id": segment.category_id,
        "isthing": segment.isthing,
        "iscrowd": int(segment.iscrowd),
        "area": segment.area,
        "bbox": list(segment.bbox),
    }
