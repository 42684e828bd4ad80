"""Mixed precision in Detectron2 warns, rounds boxes, and on a CPU depends on the version of torchvision.

- `AMPTrainer` uses `torch.cuda.amp`, and since torch 2.4 `torch.cuda.amp.autocast` and `torch.cuda.amp.GradScaler`
  raise a FutureWarning when they are made. They are older names of `torch.amp.autocast("cuda")` and
  `torch.amp.GradScaler("cuda")`, so writing the new names changes nothing else, and it keeps working when the old ones
  are gone.
- `ROIAlign` gives boxes the dtype of the features. bf16 has 8 bits: a corner at 500 px moves by up to a pixel, and
  pooled features are off by several percent. Under autocast torchvision computes in float32 anyway, so the boxes stay
  as they are; a model that was turned to half precision as a whole is left alone.
- `batched_nms` hands on scores in bf16 beside float32 boxes, which torchvision's CPU kernel refuses unless it has an
  autocast rule for it. The scores become float32 like the boxes; their order, and so the result, is the same.
- Deformable convolutions through torchvision know no bf16 on a CPU. Under autocast they compute in float32 there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thingstuff.config.compat.on_import import after_import
from thingstuff.config.compat.respell import respell

if TYPE_CHECKING:
    import torch


def apply() -> None:
    after_import("detectron2.engine.train_loop", _mend_trainer)
    after_import("detectron2.layers.roi_align", _mend_roi_align)
    after_import("detectron2.layers.nms", _mend_nms)
    after_import("thingstuff.config.compat.deform_conv_layers", _mend_deform_conv)


def _mend_trainer(train_loop: ModuleType) -> None:
    trainer = train_loop.AMPTrainer
    respell(
        trainer.__init__,
        {
            "from torch.cuda.amp import GradScaler": "from torch.amp import GradScaler",
            "GradScaler()": "GradScaler('cuda')",
        },
    )
    respell(
        trainer.run_step,
        {"from torch.cuda.amp import autocast": "from torch.amp import autocast", "autocast(": "autocast('cuda', "},
    )


def _mend_roi_align(roi_align: ModuleType) -> None:
    roi_align._boxes_for = boxes_for
    respell(roi_align.ROIAlign.forward, {"rois.to(dtype=input.dtype)": "_boxes_for(input, rois)"})


def boxes_for(features: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """The boxes as they are under autocast, else of the features' dtype, which torchvision asks for."""
    import torch

    if torch.is_autocast_enabled(features.device.type):
        return boxes
    return boxes.to(dtype=features.dtype)


def _mend_nms(nms: ModuleType) -> None:
    respell(nms.batched_nms, {"batched_nms(boxes.float(), scores,": "batched_nms(boxes.float(), scores.float(),"})


def _mend_deform_conv(layers: ModuleType) -> None:
    layers.deform_conv2d = in_float32(layers.deform_conv2d)


def in_float32(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`function`, which on a CPU under autocast computes in float32; its result has the dtype of its first argument."""
    import torch

    @functools.wraps(function)
    def computed(features: torch.Tensor, *others: Any, **named: Any) -> torch.Tensor:
        if features.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return function(features, *others, **named)
        wide = [x.float() if isinstance(x, torch.Tensor) else x for x in (features, *others)]
        wide_named = {k: x.float() if isinstance(x, torch.Tensor) else x for k, x in named.items()}
        with torch.autocast("cpu", enabled=False):
            return function(*wide, **wide_named).to(features.dtype)

    return computed
