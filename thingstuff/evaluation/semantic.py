"""Semantic segmentation scores: one confusion matrix, summed over the images and divided at the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from thingstuff.errors import DataError
from thingstuff.structures.runs import run_starts

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_MEANS = ("mIoU", "fwIoU", "mACC", "pACC")


@dataclass(frozen=True)
class SemanticScores:
    """Fractions, as Detectron2's `SemSegEvaluator` computes them; an undefined one is NaN and `undefined` says why.

    `numbers` holds mIoU, fwIoU, mACC and pACC; `iou` and `accuracy` hold each class's, by name.
    """

    numbers: Mapping[str, float]
    iou: Mapping[str, float]
    accuracy: Mapping[str, float]
    undefined: Mapping[str, str]

    def percent(self) -> dict[str, float]:
        """Percent under the keys, and in the order, of Detectron2's `SemSegEvaluator`, without its boundary IoU."""
        means = {name: 100 * value for name, value in self.numbers.items()}
        ious = {f"IoU-{name}": 100 * value for name, value in self.iou.items()}
        accuracies = {f"ACC-{name}": 100 * value for name, value in self.accuracy.items()}
        overlaps = {name: means.pop(name) for name in ("mIoU", "fwIoU")}
        return overlaps | ious | means | accuracies


@dataclass(frozen=True)
class SemanticCounts:
    """Pixels by prediction (row) and truth (column), (C + 1) x (C + 1) int64; index C is "no class".

    `add` gives the counts with one more image, `+` joins those of several processes.
    """

    class_names: tuple[str, ...]
    ignore_label: int
    confusion: IntArray

    def __post_init__(self) -> None:
        side = len(self.class_names) + 1
        if self.confusion.shape != (side, side):
            raise ValueError(f"expected a {side} x {side} confusion matrix, got {self.confusion.shape}")

    @classmethod
    def empty(cls, class_names: Sequence[str], ignore_label: int = 255) -> SemanticCounts:
        side = len(class_names) + 1
        return cls(tuple(class_names), ignore_label, np.zeros((side, side), np.int64))

    def add(self, prediction: npt.ArrayLike, truth: npt.ArrayLike) -> SemanticCounts:
        """Count one image: two H x W maps of contiguous class indices.

        `ignore_label` in the truth takes the pixel out; in the prediction it stands for "no class" and the pixel is
        missed. Detectron2's predictions always have a class, so it knows no such pixels.
        """
        predicted, true = np.asarray(prediction), np.asarray(truth)
        if predicted.shape != true.shape:
            raise DataError(f"the prediction has shape {predicted.shape}, but the truth has {true.shape}")
        side = len(self.class_names) + 1
        predicted, true = predicted.reshape(-1), true.reshape(-1)
        starts = run_starts(predicted, true)  # far fewer than pixels
        lengths_px = np.diff(starts, append=true.size)
        pairs = side * self._indices(predicted[starts], "prediction") + self._indices(true[starts], "truth")
        counts = np.bincount(pairs, lengths_px, minlength=side * side).astype(np.int64).reshape(side, side)
        return replace(self, confusion=self.confusion + counts)

    def _indices(self, labels: npt.NDArray[np.integer], what: str) -> IntArray:
        classes = len(self.class_names)
        none = labels == self.ignore_label
        wrong = ~none & ((labels < 0) | (labels >= classes))
        if wrong.any():
            allowed = f"0...{classes - 1} and {self.ignore_label}"
            raise DataError(f"the {what} holds the label {labels[wrong][0]}, expected {allowed}")
        return np.where(none, classes, labels).astype(np.int64)

    def __add__(self, other: SemanticCounts) -> SemanticCounts:
        if (self.class_names, self.ignore_label) != (other.class_names, other.ignore_label):
            raise ValueError("these counts are of other classes or another ignore label")
        return replace(self, confusion=self.confusion + other.confusion)

    def scores(self) -> SemanticScores:
        """Divide. As in Detectron2 the means run over the classes that the truth holds, predicted or not.

        Without any labelled pixel every score is undefined (Detectron2 gives fwIoU 0 there).
        """
        hit = self.confusion.diagonal()[:-1].astype(float)
        true = self.confusion[:, :-1].sum(axis=0).astype(float)
        predicted = self.confusion[:-1, :-1].sum(axis=1).astype(float)
        present = true > 0
        iou, accuracy = _divide(hit, true + predicted - hit, present), _divide(hit, true, present)
        numbers = _means(iou[present], accuracy[present], true[present], hit.sum())
        return SemanticScores(numbers, self._named(iou), self._named(accuracy), self._undefined(present))

    def _named(self, values: FloatArray) -> dict[str, float]:
        return dict(zip(self.class_names, values.tolist(), strict=True))

    def _undefined(self, present: npt.NDArray[np.bool_]) -> dict[str, str]:
        absent = [name for name, here in zip(self.class_names, present, strict=True) if not here]
        reasons = {} if present.any() else dict.fromkeys(_MEANS, "no labelled pixel in the ground truth")
        for score in ("IoU", "ACC"):
            reasons |= {f"{score}-{name}": f"no pixel of {name!r} in the ground truth" for name in absent}
        return reasons


def _divide(part: FloatArray, whole: FloatArray, where: npt.NDArray[np.bool_]) -> FloatArray:
    return np.divide(part, whole, out=np.full_like(part, math.nan), where=where)


def _means(iou: FloatArray, accuracy: FloatArray, true: FloatArray, hit: float) -> dict[str, float]:
    """The four numbers, from the classes that the truth holds."""
    if not true.size:
        return dict.fromkeys(_MEANS, math.nan)
    return {
        "mIoU": float(iou.sum() / iou.size),
        "fwIoU": float(np.sum(iou * (true / true.sum()))),
        "mACC": float(accuracy.sum() / accuracy.size),
        "pACC": float(hit / true.sum()),
    }
