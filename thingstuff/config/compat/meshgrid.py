"""Every first forward pass warns that `torch.meshgrid` will require its `indexing` argument.

torch does so since 1.10. Detectron2's anchor generator, its Swin backbone and Panoptic-DeepLab's post-processing pass
none and mean today's default, "ij"; saying that to torch gives the same numbers under every version.
"""

from __future__ import annotations

from types import FunctionType, ModuleType

from thingstuff.config.compat.on_import import after_import
from thingstuff.config.compat.respell import respell


def apply() -> None:
    after_import("detectron2.modeling.anchor_generator", lambda module: _mend(module, module._create_grid_offsets))
    after_import("detectron2.modeling.backbone.swin", lambda module: _mend(module, module.WindowAttention.__init__))
    after_import(
        "detectron2.projects.panoptic_deeplab.post_processing", lambda module: _mend(module, module.group_pixels)
    )


def _mend(module: ModuleType, function: FunctionType) -> None:
    module.meshgrid_ij = meshgrid_ij
    respell(function, {"torch.meshgrid(": "meshgrid_ij("})


def meshgrid_ij(*tensors):
    """`torch.meshgrid` with the indexing that it has when none is given. Takes tensors, or one sequence of them."""
    import torch

    return torch.meshgrid(*tensors, indexing="ij")
