"""The rows as a table, and its place in a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thingstuff.benchmark.projects.entries import YARDSTICK
from thingstuff.benchmark.projects.row import ProjectRow
from thingstuff.benchmark.projects.settings import Settings
from thingstuff.report.marks import Marks
from thingstuff.report.table import Table

MARKS = Marks("benchmark projects")
_HEADERS = (
    *("model", "mask AP", "95 %", "of Mask R-CNN's", "box AP", "mask AP50", "thing PQ", "p50 ms", "fast ms"),
    *("parameters", "GFLOP", "weights MiB", "steps", "trained s"),
)
_VERSIONS = ("torch", "torchvision", "detectron2")


def project_table(rows: Sequence[ProjectRow], settings: Settings, machine: Mapping[str, Any]) -> Table:
    """A failed entry keeps its row, and its reason stands below."""
    yardstick = next((row.number("mask", "AP") for row in rows if row.name == YARDSTICK), None)
    failures = [f"{row.name} failed: {row.failure}" for row in rows if row.failure]
    notes = [*failures, *_notes(settings), _machine_note(settings, machine)]
    return Table([_cells(row, yardstick) for row in rows], _HEADERS, "l" + "r" * (len(_HEADERS) - 1), 1, notes)


def _cells(row: ProjectRow, yardstick: float | None) -> list[Any]:
    mask_ap, interval, training = row.number("mask", "AP"), row.interval("mask AP"), row.training
    p50_ms, parameters = row.measured("p50_ms") or {}, row.measured("parameters")
    gflop = row.measured("gflop")
    return [
        f"{row.name} (failed)" if row.failure else row.name,
        mask_ap,
        None if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}",
        f"{100 * mask_ap / yardstick:.0f} %" if mask_ap is not None and yardstick else None,
        row.number("box", "AP"),
        row.number("mask", "AP50"),
        row.thing_pq(),
        p50_ms.get("exact"),
        p50_ms.get("fast"),
        None if parameters is None else f"{parameters / 1e6:.1f} M",
        None if gflop is None else f"{gflop:.2f}",
        training and training.weights_mib,
        training and training.iterations,
        training and f"{training.train_seconds:.0f}",
    ]


def _notes(settings: Settings) -> list[str]:
    trial = ["**A trial at small sizes: these numbers mean nothing.**"] if settings.small else []
    return [
        *trial,
        f"Each is trained from nothing, alone, with its own recipe for as many steps as go into {settings.seconds:g} s"
        f" (seed {settings.seed}), and evaluated on {settings.scenes} fresh scenes that are in no training; 95 %: the"
        " interval, were other scenes drawn.",
        "Thing PQ: instances merged over the true stuff map, at the confidence threshold that is best for the model on"
        " the first fifth of the scenes, measured on the others. ms: from a file to COCO RLE on one thread, scenes of"
        " 160 x 160 pixels, in the modes exact and fast.",
    ]


def _machine_note(settings: Settings, machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {machine[name]}" for name in _VERSIONS if machine.get(name))
    gpu = f"{machine['gpu']}, " if machine.get("gpu") else ""
    threads = f"{settings.threads} thread{'s' if settings.threads > 1 else ''} in training"
    place = f"{gpu}{machine['cpu']}, {threads}, Python {machine['python']}, {versions}"
    return f"`{settings.command()}` on {place}."
