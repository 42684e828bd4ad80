"""The accuracy of the very programs that are timed: their predictions of a data set, scored against its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

_SHOWN = {
    "box AP": ("bbox", "AP"),
    "mask AP": ("segm", "AP"),
    "mIoU": ("sem_seg", "mIoU"),
    "PQ": ("panoptic_seg", "PQ"),
}
_DRAWS = 1000

Accuracy = dict[str, dict[str, Any]]


def store_predictions(program: Any, cfg: Any, name: str, folder: Path) -> int:
    """Predict every image of a registered data set; how many there are."""
    from thingstuff.data.inputs import dataset_inputs
    from thingstuff.engine.stored_prediction import store_meta, to_stored
    from thingstuff.store import StoreWriter

    inputs = dataset_inputs(name)
    with StoreWriter.open(folder, store_meta(cfg, program.categories, name, inputs.root)) as writer:
        for image in inputs.images:
            found = program.predict(image.path)
            size = (found.detections.height, found.detections.width)
            writer.append(to_stored(image.key, image.image_id, size, found))
    return len(inputs.images)


def score_stores(stores: Mapping[str, Path], name: str, baseline: str, seed: int) -> dict[str, Accuracy]:
    """System -> metric -> value in percent and, against the baseline's, difference, `low`, `high` and verdict."""
    from thingstuff.report.error_bars import differences
    from thingstuff.report.ground_truth import open_truth
    from thingstuff.report.scores import ScoreOptions
    from thingstuff.report.stored_scores import score

    truth = open_truth(name)
    scores = {system: score(store, truth, ScoreOptions(explain=False)) for system, store in stores.items()}
    found = {}
    for system, own in scores.items():
        verdicts = {}
        if system != baseline and baseline in scores:
            verdicts = differences(own.samples, scores[baseline].samples, _DRAWS, seed)
        found[system] = {
            metric: {"percent": own.results[task][key], **_difference(verdicts.get(metric))}
            for metric, (task, key) in _SHOWN.items()
            if task in own.results
        }
    return found


def _difference(verdict: Any) -> dict[str, Any]:
    if verdict is None:
        return {}
    as_dict = asdict(verdict)
    return {"difference": as_dict.pop("value"), **as_dict}
