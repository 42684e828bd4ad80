"""Deformable convolutions do not work in a Detectron2 that comes without its compiled part, `detectron2._C`.

Detectron2 is installed as plain Python here, since a compiled part fits one version of torch only. It then replaces
`DeformConv` and `ModulatedDeformConv` by placeholders that raise, and four configs of the model zoo do not build.
torchvision has the same operator for CPU and GPU, forward and backward. Where `_C` exists, nothing is changed.
"""

from __future__ import annotations

import sys
from types import ModuleType

from thingstuff.config.compat.on_import import after_import

_NAMES = ("DeformConv", "ModulatedDeformConv", "deform_conv", "modulated_deform_conv")


def apply() -> None:
    after_import("detectron2.layers.deform_conv", _mend)


def _mend(placeholders: ModuleType) -> None:
    if hasattr(placeholders, "_C"):
        return
    from thingstuff.config.compat import deform_conv_layers

    for name in _NAMES:
        _replace_everywhere(name, getattr(placeholders, name), getattr(deform_conv_layers, name))


def _replace_everywhere(name: str, old: object, new: object) -> None:
    """Put `new` wherever a module holds `old` under `name`: they were copied if Detectron2 was imported before."""
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is old:
            setattr(module, name, new)
