"""Importing Detectron2 prints up to nine times that `torch.jit.script` is deprecated.

Recent versions of torch do so. Detectron2 and fvcore compile a handful of small functions and classes with it when
they are imported, and a user of theirs can do nothing about it. Leaving these uncompiled would change their speed and
memory, so this is a filter: this message only, and only while these modules are imported. A `torch.jit.script` in
anybody's own code still warns.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from thingstuff.config.compat.on_import import during_import

_COMPILING = ("fvcore.nn.focal_loss", "detectron2.modeling.box_regression")
_MESSAGE = r"`torch\.jit\.script` is deprecated\."
_RAISED_IN = r"torch\.jit\._script"


def apply() -> None:
    for module in _COMPILING:
        during_import(module, _quiet)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _MESSAGE, Warning, _RAISED_IN)
        yield
