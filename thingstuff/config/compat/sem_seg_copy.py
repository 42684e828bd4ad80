"""Detectron2's `SemSegEvaluator` fails on every image: numpy 2 made `np.array(x, copy=False)` an error where it copies.

Before, it copied where it had to; that is spelled `copy=None` since numpy 2 (`copy or None` keeps a True).
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from thingstuff.config.compat.on_import import after_import
from thingstuff.config.compat.respell import respell


def apply() -> None:
    if int(np.__version__.partition(".")[0]) >= 2:
        after_import("detectron2.evaluation.sem_seg_evaluation", _mend)


def _mend(evaluation: ModuleType) -> None:
    respell(evaluation.load_image_into_numpy_array, {"copy=copy": "copy=copy or None"})
