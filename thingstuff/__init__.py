"""thingstuff: instance and panoptic segmentation with Detectron2. A panoptic picture is things plus stuff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thingstuff.report.result import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """`thingstuff.load` brings torch and Detectron2 with it, so it is imported when it is first asked for."""
    if name != "load":
        raise AttributeError(f"module 'thingstuff' has no attribute {name!r}")
    from thingstuff.report.result import load

    return load
