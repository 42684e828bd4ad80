"""torchvision's Mask R-CNN as one of the programs that predict, with random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode

from thingstuff.benchmark.prediction.inject import Injection, inject_torchvision
from thingstuff.errors import ConfigError
from thingstuff.modeling.prediction import Prediction

Records = list[dict[str, Any]]


class Torchvision:
    """`maskrcnn_resnet50_fpn` with frozen norms, as its trained weights have them, random here; COCO's 91 class ids."""

    def __init__(self, cfg: CfgNode, injection: Injection, mixed: bool) -> None:
        from torchvision.models.detection import MaskRCNN
        from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

        from thingstuff.benchmark.train_data import settle_norms

        self._device = torch.device(cfg.MODEL.DEVICE)
        torch.manual_seed(0)
        backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=5)
        sizes = {"min_size": cfg.INPUT.MIN_SIZE_TEST, "max_size": cfg.INPUT.MAX_SIZE_TEST}
        # the numbers of the config, where torchvision's own differ
        counts = {
            "box_detections_per_img": cfg.TEST.DETECTIONS_PER_IMAGE,
            "rpn_post_nms_top_n_test": cfg.MODEL.RPN.POST_NMS_TOPK_TEST,
        }
        classes = max(91, cfg.MODEL.ROI_HEADS.NUM_CLASSES + 1)
        self.class_of = {label: label - 1 for label in range(1, classes)}
        self.network = MaskRCNN(backbone, classes, **sizes, **counts).eval().to(self._device)
        settle_norms(self.network, torch.randn((1, 3, 480, 640), device=self._device))
        self._mixed, self._clock = mixed, injection.clock
        inject_torchvision(self.network, injection)

    def __call__(self, paths: Sequence[Path]) -> list[Records]:
        images = [self._decoded(path) for path in paths]
        self._clock.mark("decode")
        precision = torch.bfloat16 if self._device.type == "cpu" else torch.float16
        with torch.inference_mode(), torch.autocast(self._device.type, precision, enabled=self._mixed):
            outputs = self.network(images)
        self._clock.mark("paste")
        records = [_encoded(output) for output in outputs]
        self._clock.mark("encode")
        return records

    def predict(self, path: Path) -> Prediction:
        raise ConfigError("torchvision's weights are random here: no accuracy is measured")

    def _decoded(self, path: Path) -> torch.Tensor:
        """As the data sets of torchvision's reference training do it."""
        from PIL import Image
        from torchvision.transforms.functional import pil_to_tensor

        return pil_to_tensor(Image.open(path).convert("RGB")).to(self._device).float() / 255


def _encoded(output: Mapping[str, torch.Tensor]) -> Records:
    """As the COCO evaluation of torchvision's reference training does it."""
    from pycocotools import mask as mask_utils

    found = {name: value.cpu() for name, value in output.items()}
    masks = (found["masks"] > 0.5).numpy()
    rles = [mask_utils.encode(np.array(mask[0][:, :, None], dtype=np.uint8, order="F"))[0] for mask in masks]
    boxes = found["boxes"].float()
    boxes_xywh = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).tolist()
    columns = zip(found["labels"].tolist(), boxes_xywh, found["scores"].tolist(), rles, strict=True)
    return [
        {"image_id": 0, "category_id": label, "bbox": box, "score": score, "segmentation": _text(rle)}
        for label, box, score, rle in columns
    ]


def _text(rle: Mapping[str, Any]) -> dict[str, Any]:
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}
