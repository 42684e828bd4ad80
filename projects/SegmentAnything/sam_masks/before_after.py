"""What new masks are worth: mask AP and boundary AP of two stores on one truth, and the verdict."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from thingstuff.errors import ConfigError, DataError
from thingstuff.report.error_bars import differences
from thingstuff.report.ground_truth import GroundTruth, open_truth
from thingstuff.report.scores import ScoreOptions, Scores
from thingstuff.report.stored_scores import score_store
from thingstuff.report.table import Table
from thingstuff.store import Store

_ROWS = (
    ("mask AP", "segm", "AP"),
    ("mask AP50", "segm", "AP50"),
    ("mask AP75", "segm", "AP75"),
    ("mask AP, small", "segm", "APs"),
    ("mask AP, medium", "segm", "APm"),
    ("mask AP, large", "segm", "APl"),
    ("boundary AP", "boundary", "AP"),
    ("box AP", "bbox", "AP"),
)
_DRAWS, _SEED = 1000, 0


def truth_of(text: str, dataset: str | None) -> GroundTruth:
    """A registered name, a COCO JSON, or a declaration: of its splits the one that `dataset` names, or the only one."""
    if Path(text).suffix in (".yaml", ".yml"):
        from thingstuff.data.declared.declare import register_declared

        text = _split(text, register_declared([text]), dataset)
    truth = open_truth(text)
    if truth.instances is None:
        raise DataError(f"--truth {text} has no instances")
    return truth


def before_after(before: Store, after: Store, truth: GroundTruth) -> str:
    """Tables for a terminal, of the images that the stores have."""
    scores = [_scores(store, truth) for store in (before, after)]
    rows = [[title, *values] for title, *place in _ROWS if (values := _values(scores, *place))]
    parts = [Table(rows, ["percent", "before", "after", "difference"], digits=2).text(), _verdict(*scores)]
    notes = dict.fromkeys(note for one in scores for note in one.notes)
    if not _has_vernier():
        notes["boundary AP needs vernier: pip install 'thingstuff[boundary]'"] = None
    return "\n\n".join(part for part in [*parts, "\n".join(notes)] if part)


def _scores(store: Store, truth: GroundTruth) -> Scores:
    is_lvis = any("frequency" in record for record in truth.category_records())
    scores = Scores()
    options = ScoreOptions(explain=False, only_stored=True, boundary=_has_vernier() and not is_lvis and _masks(store))
    score_store(store, truth, options, scores)
    return scores


def _masks(store: Store) -> bool:
    """Whether there are masks to measure the boundaries of."""
    return any("segmentation" in r for entry in store.entries for r in store.coco_records(entry.key, 0)[:1])


def _values(scores: Sequence[Scores], task: str, metric: str) -> list[float | None] | None:
    """Before, after and the difference, where the later store has this task."""
    before, after = (one.results.get(task, {}).get(metric) for one in scores)
    if after is None:
        return None
    return [before, after, None if before is None else after - before]


def _verdict(before: Scores, after: Scores) -> str:
    shared = {name: one for name, one in after.samples.items() if name == "mask AP" and name in before.samples}
    if not shared:
        return ""
    found = differences(shared, before.samples, _DRAWS, _SEED)["mask AP"]
    return f"mask AP is {found.verdict}: {found.value:+.2f} (95 % {found.low:+.2f} to {found.high:+.2f})"


def _has_vernier() -> bool:
    return importlib.util.find_spec("vernier") is not None


def _split(text: str, names: Sequence[str], dataset: str | None) -> str:
    if dataset in names:
        return str(dataset)
    if len(names) != 1:
        raise ConfigError(f"--truth {text} has several splits: give it with --dataset, and here {' or '.join(names)}")
    return names[0]
