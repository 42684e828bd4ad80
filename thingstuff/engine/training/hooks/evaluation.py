"""Evaluation every so many steps and at the end, which leaves no trace in the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from detectron2.engine import HookBase
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm

from thingstuff.engine.training.rng import capture_rng, restore_rng


class Evaluation(HookBase):
    """Puts the numbers of `measure` into the storage every `period` steps (0: never) and, if `at_end`, after the last.

    They are in `trainer.evaluated` too.
    Unlike Detectron2's EvalHook it hands the random generators back as they were; a training that was resumed right
    before an evaluation makes up for it, so that the hooks behind know its numbers; and none is done twice.
    """

    def __init__(self, period: int, measure: Callable[[], Mapping[str, Any] | None], *, at_end: bool = True) -> None:
        self._period, self._measure, self._at_end = period, measure, at_end
        self._done_at = 0  # steps that were done at the last evaluation

    def before_train(self) -> None:
        start = self.trainer.start_iter
        if start and self._is_due(start):
            self._evaluate(start, iteration=start - 1)

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if self._is_due(done):
            self._evaluate(done)

    def _is_due(self, steps: int) -> bool:
        """The last step's is made after the training, when its checkpoint is written."""
        return self._period > 0 and steps % self._period == 0 and steps < self.trainer.max_iter

    def after_train(self) -> None:
        done = self.trainer.iter
        if self._at_end and done >= self.trainer.max_iter and done != self._done_at:
            self._evaluate(done)

    def _evaluate(self, steps: int, iteration: int | None = None) -> None:
        self._done_at = steps
        state = capture_rng()
        numbers = flatten_results_dict(dict(self._measure() or {}))
        restore_rng(state)
        numbers = comm.all_gather(numbers)[0]  # the main process alone has them all, and hooks of others judge by them
        scalars = {name: float(value) for name, value in numbers.items()}
        self.trainer.evaluated.update(scalars)
        self.trainer.storage.put_scalars(**scalars, smoothing_hint=False, cur_iter=iteration)
