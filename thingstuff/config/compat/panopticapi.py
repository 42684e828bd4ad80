"""Detectron2 imports `panopticapi`, which no package registry offers, to turn segment ids into colors and back.

Without it the visualizer cannot draw panoptic truth, the panoptic evaluator cannot write its PNG files, and the
Panoptic-DeepLab project cannot be imported. COCO defines the formula, id = R + 256 G + 256^2 B, so a module with
`panopticapi.utils` is supplied when the real one is not installed. Its evaluation stays absent: thingstuff has its own.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np

from thingstuff.structures import ids_to_rgb, rgb_to_ids


def apply() -> None:
    if importlib.util.find_spec("panopticapi") is None:
        package = _module("panopticapi", is_package=True)
        package.utils = _module("panopticapi.utils", is_package=False)
        package.utils.rgb2id, package.utils.id2rgb = rgb2id, id2rgb


def _module(name: str, is_package: bool) -> ModuleType:
    module = ModuleType(name, "What Detectron2 uses of panopticapi, supplied by thingstuff.")
    module.__spec__ = ModuleSpec(name, loader=None, is_package=is_package)
    if is_package:
        module.__path__ = []
    sys.modules[name] = module
    return module


def rgb2id(color) -> np.ndarray | int:
    """... x 3 colors -> int32 ids of that shape; one color (a sequence of three numbers) -> int."""
    colors = np.asarray(color, np.uint8)
    ids = rgb_to_ids(colors.reshape(-1, 1, 3)).astype(np.int32).reshape(colors.shape[:-1])
    return ids if ids.ndim else int(ids)


def id2rgb(id_map) -> np.ndarray | list[int]:
    """Ids of any shape -> ... x 3 uint8 colors; one id -> a list of three numbers."""
    ids = np.asarray(id_map, np.uint32)
    colors = ids_to_rgb(ids.reshape(-1, 1)).reshape(*ids.shape, 3)
    return colors if isinstance(id_map, np.ndarray) else colors.tolist()
