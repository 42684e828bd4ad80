"""Losses that are no numbers: the batch is kept for a look at it, and the training goes on or ends, as configured."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from thingstuff.engine.training.update import Batch, Outcome
from thingstuff.errors import DataError
from thingstuff.files import whole_file

ACTIONS = ("skip", "stop")

logger = logging.getLogger(__name__)


class BadLosses:
    """Counts steps in a row without a finite loss or gradient. With "stop", or beyond `limit`, a DataError ends it all.

    The weights are as they were before the first of these steps, which need not be good: losses grow before they end.
    """

    def __init__(self, action: str, limit: int, folder: Path) -> None:
        self._action, self._limit, self._folder = action, limit, folder
        self._in_a_row = 0
        self.skipped = 0  # in all

    def judge(self, outcome: Outcome, batches: Sequence[Batch], iteration: int) -> None:
        if not outcome.is_bad:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        path = self._folder / f"bad_batch_{iteration:07d}.pth"
        with whole_file(path) as file:
            torch.save(_described(outcome, batches, iteration), file)
        message = f"step {iteration + 1}: {_what(outcome)}; the batch is in {path}"
        if self._action == "skip" and self._in_a_row <= self._limit:
            self.skipped += 1
            logger.warning("%s; the step is skipped", message)
            return
        often = f", {self._in_a_row} times in a row" if self._in_a_row > 1 else ""
        raise DataError(
            f"{message}{often}. Lower SOLVER.BASE_LR, set SOLVER.CLIP_GRADIENTS.ENABLED True, or look at the batch; "
            "then begin anew, or go on with --resume from a checkpoint of before the losses grew"
        )


def _what(outcome: Outcome) -> str:
    bad = [f"{name} is {value}" for name, value in outcome.losses.items() if not math.isfinite(value)]
    return ", ".join(bad) if bad else f"the gradient's norm is {outcome.grad_norm}"


def _described(outcome: Outcome, batches: Sequence[Batch], iteration: int) -> dict[str, Any]:
    """Tensors and plain values, so that it can be read again without running code."""
    samples = [_plain(sample) for batch in batches for sample in batch]
    return {"iteration": iteration, "losses": outcome.losses, "grad_norm": outcome.grad_norm, "samples": samples}


def _plain(sample: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in sample.items() if isinstance(value, int | str | torch.Tensor)}
    if "instances" in sample:
        instances = sample["instances"]
        kept |= {"gt_boxes": instances.gt_boxes.tensor, "gt_classes": instances.gt_classes}
    return kept
