"""Detectron2's data loader benchmark fails: numpy 2.4 dropped `np.percentile(..., interpolation=)`.

The argument is called `method` since numpy 1.22, with the same values.
"""

from __future__ import annotations

from types import ModuleType

from thingstuff.config.compat.on_import import after_import
from thingstuff.config.compat.respell import respell


def apply() -> None:
    after_import("detectron2.data.benchmark", _mend)


def _mend(benchmark: ModuleType) -> None:
    respell(benchmark.DataLoaderBenchmark._log_time, {'interpolation="nearest"': 'method="nearest"'})
