"""The first prediction logs that `is_fx_tracing` now means two things.

Recent versions of torch do so when `torch.fx._symbolic_trace.is_fx_tracing` is asked, which Detectron2's ROI pooler
does to leave out its assertions while a model is traced. The two functions that torch names instead answer the same
question: is this a symbolic trace, or a compilation or export?
"""

from __future__ import annotations

from types import ModuleType

from thingstuff.config.compat.on_import import after_import


def apply() -> None:
    after_import("detectron2.utils.tracing", _mend)


def _mend(tracing: ModuleType) -> None:
    from torch.fx import _symbolic_trace

    if hasattr(_symbolic_trace, "is_fx_symbolic_tracing"):
        tracing.is_fx_tracing_current = is_tracing


def is_tracing() -> bool:
    """Whether torch records what runs, instead of only running it."""
    import torch
    from torch.fx._symbolic_trace import is_fx_symbolic_tracing

    return torch.compiler.is_compiling() or is_fx_symbolic_tracing()
