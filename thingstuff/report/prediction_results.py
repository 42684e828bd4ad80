"""What a prediction run leaves beside its store, whichever engine filled it: counts, totals of the merges, exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thingstuff.errors import SetupError, UserError
from thingstuff.merge import LedgerTotals
from thingstuff.modeling.prediction import Prediction
from thingstuff.report.counts import Counts
from thingstuff.report.picture_files import things_of
from thingstuff.store import PredictedImage, Store
from thingstuff.store.exports import EXPORTS, FOR_LABELLING, ExportOptions


@dataclass(frozen=True)
class Wanted:
    """What a run leaves in its folder beside the store."""

    views: tuple[str, ...] = ()
    side_by_side: bool = False
    overlays: bool = True
    counts: bool = False
    cutouts: bool = False
    exports: tuple[str, ...] = ()
    overwrite: bool = False  # LabelMe files of an earlier export, which may hold corrections
    score_thresh: float = 0.5  # of what is shown, counted, cut out and exported for labelling


@dataclass
class Summary:
    """How many images and frames were predicted now and before, which were skipped and why, what was written."""

    predicted: int = 0
    already_there: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    written: dict[str, Path] = field(default_factory=dict)
    merged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: Counts | None = None


def merge_totals(store: Store, keys: Sequence[str]) -> list[str]:
    """What the merges of these images did, in lines."""
    totals = LedgerTotals()
    for key in keys:
        ledger = store.ledger(key)
        if ledger is not None:
            totals.add_records(ledger)
    return totals.lines()


def write_counts(summary: Summary, store: Store, keys: Sequence[str], wanted: Wanted, output: Path) -> None:
    """Objects by class and image into counts.csv and `summary`, where they are wanted."""
    if not wanted.counts:
        return
    counts = Counts(store.meta.categories, wanted.score_thresh)
    for key in keys:
        counts.add(key, things_of(store.read(key, stuff=False)))
    path = output / "counts.csv"
    counts.write_csv(path)
    summary.counts, summary.written["counts"] = counts, path


def write_exports(summary: Summary, store: Store, wanted: Wanted, output: Path, root: Path) -> None:
    """The formats that are wanted, into exports/; `root` is where the images lie."""
    has_stuff = any(entry.has_stuff_map or entry.has_panoptic for entry in store.entries)
    for name in wanted.exports:
        # what goes to a labeller is chosen by score, what goes to an evaluation is complete
        thresh = wanted.score_thresh if name in FOR_LABELLING else None
        options = ExportOptions(
            score_thresh=thresh, include_stuff=has_stuff, image_root=root, overwrite=wanted.overwrite
        )
        summary.written[f"{name} export"] = EXPORTS[name](store, output / "exports" / name, options)


def refuse_impossible_exports(wanted: Wanted, found: Prediction | PredictedImage) -> None:
    """With the first prediction, not after the last one."""
    if "coco_panoptic" in wanted.exports and found.panoptic is None:
        raise UserError("--export coco_panoptic needs a panoptic map: turn on PANOPTIC in the model's config")
    if "coco" in wanted.exports and found.detections is None:
        raise UserError("--export coco needs instances, and this model predicts none")


def refuse_other_inputs(folder: Path) -> None:
    """Pictures, counts and exports of two data sets would be mixed up in one output folder."""
    others = sorted(p.name for p in folder.parent.iterdir() if p != folder) if folder.parent.is_dir() else []
    if others:
        raise SetupError(f"{folder.parent} has predictions of {others[0]}, not {folder.name}: give another --output")
