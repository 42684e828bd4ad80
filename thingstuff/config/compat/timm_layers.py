"""Detectron2's ViT, MViT and Swin take two small layers from `timm`, which they import while they are built.

Detectron2 does not require timm, so without it none of the three can be built; and the place they import from,
`timm.models.layers`, has been announced to go since timm 0.9. Both layers are a formula each, supplied here with the
names that timm has for their parameters, so that weights fit. Whether timm is installed changes nothing.
"""

from __future__ import annotations

from types import ModuleType

from thingstuff.config.compat.on_import import after_import
from thingstuff.config.compat.respell import respell

_BACKBONES = "detectron2.modeling.backbone"


def apply() -> None:
    after_import(f"{_BACKBONES}.vit", lambda module: _mend(module, "Block", "DropPath, Mlp"))
    after_import(f"{_BACKBONES}.mvit", lambda module: _mend(module, "MultiScaleBlock", "DropPath, Mlp"))
    after_import(f"{_BACKBONES}.swin", lambda module: _mend(module, "SwinTransformerBlock", "DropPath"))


def _mend(module: ModuleType, block: str, names: str) -> None:
    """Let `block` find `names` in its own module."""
    from thingstuff.config.compat import timm_modules

    if respell(getattr(module, block).__init__, {f"from timm.models.layers import {names}": "pass"}):
        for name in names.split(", "):
            setattr(module, name, getattr(timm_modules, name))
