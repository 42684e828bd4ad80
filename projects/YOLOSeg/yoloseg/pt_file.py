"""ultralytics' .pt files, which are pickles of whole models: only their tensors are taken, and no code of theirs runs.

PyTorch's own safe reader (`weights_only`) rebuilds the tensors. Each class that such a file names becomes an inert
stand-in that holds what it is given and does nothing, so neither ultralytics nor anything else is imported or called;
a file that names anything else than what ultralytics writes is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from thingstuff.engine.weights.file import read_pth, register_reader
from thingstuff.errors import WeightsError

_MODEL = "ultralytics.nn.tasks.SegmentationModel"
_KNOWN = re.compile(
    r"""ultralytics\.(?:yolo\.)?(?:nn|utils)\.[\w.]+
    | torch\.nn\.modules\.[\w.]+
    | pathlib\.(?:_local\.)?\w*Path
    | numpy\.dtype | numpy\._?core\.multiarray\.scalar
    | (?:__builtin__|builtins)\.getattr""",
    re.VERBOSE,
)


class _StandIn:
    """Takes the place of an object of the file: keeps its attributes, calls nothing."""

    name = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            vars(self).update(state)


@register_reader(".pt")
def read_pt(path: Path) -> dict[str, Any]:
    """`{"model": tensors by name}` in float32, of the averaged weights where the file has such, as ultralytics does."""
    names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    if not names:
        return read_pth(path)
    unknown = next((name for name in names if not _KNOWN.fullmatch(name)), None)
    if unknown:
        raise WeightsError(f"{path} would run {unknown} when read, which no file of ultralytics does: it is refused")
    stand_ins = [(type("_StandIn", (_StandIn,), {"name": name}), name) for name in names]
    with torch.serialization.safe_globals(stand_ins):
        content = torch.load(path, map_location="cpu", weights_only=True)
    return {"model": dict(_tensors(_model(path, content)))}


def _model(path: Path, content: Any) -> _StandIn:
    model = (content.get("ema") or content.get("model")) if isinstance(content, dict) else content
    if not isinstance(model, _StandIn) or "_modules" not in vars(model):
        raise WeightsError(f"{path} holds no model of ultralytics: pass a .pt file of a training, or an exported .pth")
    name = type(model).name  # the file's own attributes lie over those of the class
    if name != _MODEL:
        kind = name.rpartition(".")[2]
        raise WeightsError(f"{path} holds a {kind}, expected a SegmentationModel: pass weights that end in -seg.pt")
    return model


def _tensors(module: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """As the module's `state_dict` would give them."""
    parts = vars(module)
    passing = parts.get("_non_persistent_buffers_set", ())
    for kind in ("_parameters", "_buffers"):
        for name, value in parts.get(kind, {}).items():
            if value is not None and name not in passing:
                value = value.detach()
                yield prefix + name, value.float() if value.is_floating_point() else value
    for name, inner in parts.get("_modules", {}).items():
        if inner is not None:
            yield from _tensors(inner, f"{prefix}{name}.")
