"""How long a trained model takes for an image, on one thread, as `tools/benchmark.py predict` measures it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thingstuff.benchmark.prediction.process import OWN, Job
from thingstuff.benchmark.prediction.rows import PredictRow, rows_of
from thingstuff.benchmark.prediction.turns import Plan, measure
from thingstuff.errors import SetupError

MODES = ("exact", "fast")


def latencies(cfg: Any, name: str, images: Sequence[Path], repeats: int, folder: Path, seed: int) -> dict[str, Any]:
    """Mode -> its row of `PredictRow`. A project's own code may have no mode but `exact`."""
    from thingstuff.benchmark.prediction.images import image_sizes

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.yaml"
    file.write_text(cfg.dump())
    paths = [str(path.absolute()) for path in images]
    job = Job("", str(file), None, [], paths, image_sizes(images), proposals=1, threads=1, seed=seed)
    try:
        rows = _rows(name, job, MODES, repeats, folder)
    except SetupError:
        rows = _rows(name, job, MODES[:1], repeats, folder)
    return {row.system: row for row in rows}


def _rows(name: str, job: Job, modes: Sequence[str], repeats: int, folder: Path) -> list[PredictRow]:
    measured = measure(Plan(modes, (OWN,), repeats, (), None, job), folder)
    return list(rows_of(name, measured, {}))


def latency_record(rows: Mapping[str, PredictRow]) -> dict[str, Any]:
    """What of it the table and its JSON keep."""
    exact = rows["exact"]
    return {
        "p50_ms": {mode: row.p50_ms for mode, row in rows.items()},
        "p90_ms": {mode: row.p90_ms for mode, row in rows.items()},
        "stages_ms": exact.stages_ms,
        "peak_mib": exact.peak_mib,
        "found": exact.found,
        "parameters": exact.parameters,
        "gflop": sum(exact.gflop.values()) or None,
    }
