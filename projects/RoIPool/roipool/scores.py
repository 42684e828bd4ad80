"""What a finished run scored: box and mask AP of its predictions, over COCO's IoU thresholds and at each of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from thingstuff.errors import DataError
from thingstuff.evaluation import CocoAP, CocoOptions, evaluate_coco
from thingstuff.files import write_json

IOUS = tuple(round(0.5 + 0.05 * number, 2) for number in range(10))
TASKS = {"segm": "mask", "bbox": "box"}
_SIZES = ("APs", "APm", "APl")


@dataclass(frozen=True)
class Scores:
    """One run's AP in percent: task ("segm", "bbox") -> "AP", an IoU threshold such as "0.75", or a size -> number."""

    variant: str
    seed: int
    train_seconds: float
    tasks: Mapping[str, Mapping[str, float]]

    @classmethod
    def read(cls, path: Path) -> Scores:
        """From the file that `write` wrote, where null is NaN: no objects of a size."""
        try:
            content = json.loads(path.read_text())
            tasks = {task: {name: _number(value) for name, value in content["tasks"][task].items()} for task in TASKS}
            return cls(str(content["variant"]), int(content["seed"]), float(content["train_seconds"]), tasks)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} holds no scores of a run of this study: remove it, and the run is done anew"
            ) from error

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def score_run(truth: Path, predictions: Path) -> dict[str, dict[str, float]]:
    """COCO files of truth and results -> `Scores.tasks`."""
    return {task: dict(_numbers(evaluate_coco(truth, predictions, task, _OPTIONS))) for task in TASKS}


_OPTIONS = CocoOptions(iou_threshs=IOUS)


def _numbers(measured: CocoAP) -> Iterator[tuple[str, float]]:
    yield "AP", 100 * measured.numbers["AP"]
    for iou in IOUS:
        yield iou_key(iou), 100 * measured.at_iou[iou]
    for size in _SIZES:
        yield size, 100 * measured.numbers[size]


def iou_key(iou: float) -> str:
    return f"{iou:.2f}"
