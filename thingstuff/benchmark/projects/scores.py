"""A trained model on scenes that nobody has trained on: AP with intervals, and PQ of things. A process of its own."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from thingstuff.benchmark.projects.entries import Entry
from thingstuff.benchmark.projects.settings import SCENE_SEED, Settings
from thingstuff.files import write_json

SCENES_NAME = "shapes_val"
_TASKS = {"box": "bbox", "mask": "segm"}
_NUMBERS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
_DRAWS = 1000


def scenes_folder(work: Path, count: int) -> Path:
    """A folder that stands for $DETECTRON2_DATASETS, in which `shapes_val` are `count` fresh scenes."""
    return work / f"scenes_{SCENE_SEED}_{count}"


def draw_scenes(folder: Path, count: int) -> None:
    """Into what `scenes_folder` gives, unless they are there."""
    from thingstuff.data.shapes import draw_shapes

    if not (folder / "shapes").exists():
        draw_shapes(folder / "shapes", train=1, val=count, seed=SCENE_SEED)


def score_entry(entry: Entry, weights: str, settings: Settings, scenes: Path, folder: Path) -> dict[str, Any]:
    """Start the process; its answer: `numbers`, `intervals` and `things`, in percent. ChildError if it fails."""
    from thingstuff.benchmark.projects.child import run_child

    job, answer = folder / "scores_job.json", folder / "scores.json"
    options = [*settings.overrides, "MODEL.WEIGHTS", weights, "DATASETS.TEST", f"('{SCENES_NAME}',)"]
    asked = {"config_file": entry.config_file, "options": options, "store": str(folder / "store")}
    write_json(job, asked | {"threads": settings.threads, "seed": settings.seed, "answer": str(answer)})
    variables = {"DETECTRON2_DATASETS": str(scenes.absolute())}
    arguments, log = [str(job)], folder / "scores.log"
    run_child(__name__, arguments, log, threads=settings.threads, variables=variables)
    return json.loads(answer.read_bytes())


# ---- in the process --------------------------------------------------------------------------------------------------


def main(job_file: str) -> None:
    job = json.loads(Path(job_file).read_bytes())
    answer = Path(job.pop("answer"))
    write_json(answer, _scores(**job))


def _scores(config_file: str, options: list[str], store: str, threads: int, seed: int) -> dict[str, Any]:
    import torch

    from thingstuff.config import load_config
    from thingstuff.console import start_console
    from thingstuff.engine.device import settle_device
    from thingstuff.report.error_bars import as_records, intervals
    from thingstuff.report.ground_truth import open_truth
    from thingstuff.report.scores import ScoreOptions
    from thingstuff.report.stored_scores import score

    start_console()
    torch.set_num_threads(threads)
    cfg = load_config(config_file, options)
    settle_device(cfg)
    predicted = _predict(cfg, Path(store))
    truth = open_truth(SCENES_NAME)
    scores = score(predicted, truth, ScoreOptions(explain=False))
    return {
        "numbers": {
            kind: {name: scores.results[task].get(name) for name in _NUMBERS}
            for kind, task in _TASKS.items()
            if task in scores.results
        },
        "intervals": as_records(intervals(scores.samples, _DRAWS, seed)),
        "things": _things(predicted, truth),
        "own_pq": scores.results.get("panoptic_seg", {}).get("PQ"),
    }


def _predict(cfg: Any, folder: Path) -> Path:
    """The store of all scenes, made anew; the mode is TEST.MODE, exact."""
    from thingstuff.data.inputs import dataset_inputs
    from thingstuff.report.prediction_run import Job, Wanted, run_prediction
    from thingstuff.report.stored_scores import store_folder

    shutil.rmtree(folder, ignore_errors=True)  # of other weights
    run_prediction(Job(cfg, dataset_inputs(SCENES_NAME), folder, Wanted(overlays=False), SCENES_NAME))
    return store_folder(folder)


def _things(folder: Path, truth: Any) -> dict[str, Any] | None:
    """None for a model without masks."""
    from thingstuff.benchmark.projects.thing_pq import Scene, thing_quality
    from thingstuff.report.scores import ScoreOptions, Scores
    from thingstuff.report.stored_scores import image_ids, read_labels
    from thingstuff.store import Store

    store = Store.open(folder)
    ids = image_ids(store, truth, ScoreOptions(), Scores())
    scenes = []
    for key, image_id in ids.items():
        detections = store.read(key, stuff=False, panoptic=False).detections
        if detections is None or detections.masks is None:
            return None
        stuff = read_labels(truth, image_id).astype("uint16")
        scenes.append(Scene(detections, stuff, truth.panoptic.read(image_id)))
    return asdict(thing_quality(scenes, truth.panoptic.categories))


if __name__ == "__main__":
    main(*sys.argv[1:])
