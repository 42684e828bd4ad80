"""`detectron2.tracking` imports scipy for its Hungarian trackers, so that without scipy no tracker can be imported.

The others need none of it. While that one file is imported a stand-in is there, whose function says what to install.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from thingstuff.config.compat.on_import import during_import
from thingstuff.errors import SetupError


def apply() -> None:
    during_import("detectron2.tracking.hungarian_tracker", _scipy_or_a_stand_in)


@contextmanager
def _scipy_or_a_stand_in() -> Iterator[None]:
    if "scipy" in sys.modules or importlib.util.find_spec("scipy") is not None:
        yield
        return
    stand_ins = {"scipy": ModuleType("scipy"), "scipy.optimize": ModuleType("scipy.optimize")}
    stand_ins["scipy.optimize"].linear_sum_assignment = _refuse_without_scipy
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _refuse_without_scipy(*_: object) -> None:
    raise SetupError("Detectron2's Hungarian trackers need scipy: pip install scipy")
