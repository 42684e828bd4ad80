"""The best weights of a training by one of its numbers, and its end when they get no better."""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

from detectron2.engine import HookBase

from thingstuff.errors import ConfigError

BEST_NAME = "model_best"

logger = logging.getLogger(__name__)


class BestWeights(HookBase):
    """Calls `save` whenever `metric` is better than ever before; more is better, but of a loss less.

    After `patience` values in a row that are no better, the training ends with the step that it is at (0: never).
    What is known of the values is part of the checkpoint.
    """

    def __init__(self, metric: str, save: Callable[[str], None], patience: int = 0) -> None:
        self._metric, self._save, self._patience = metric, save, patience
        self._sign = -1 if "loss" in metric else 1
        self._best = -math.inf  # times the sign
        self._best_steps = self._seen_at = self._worse = 0

    def before_train(self) -> None:
        self._look(self.trainer.start_iter)  # at an evaluation that a resumed training made up for
        self._end_if_patience_is_over(self.trainer.start_iter)

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if self._look(done):
            self._end_if_patience_is_over(done)

    def after_train(self) -> None:
        if self.trainer.iter < self.trainer.max_iter:
            return
        try:
            self._look(self.trainer.max_iter)
        except ConfigError as error:  # after all steps there is something to keep
            logger.warning("%s", error)
        if self._seen_at:
            self._tell()

    def _tell(self) -> None:
        logger.info(
            "best %s: %.4f after %d steps, in %s.pth",
            *(self._metric, self._sign * self._best, self._best_steps, BEST_NAME),
        )

    def _look(self, done: int) -> bool:
        """Whether there is a new value after `done` steps."""
        latest = self.trainer.storage.latest().get(self._metric)
        if latest is None:
            self._refuse_unknown()
        if latest is None or done == self._seen_at or latest[1] < done - 1:
            return False
        value, self._seen_at = self._sign * latest[0], done
        if value > self._best:  # which no NaN is
            self._best, self._best_steps, self._worse = value, done, 0
            self._save(BEST_NAME)
        else:
            self._worse += 1
        return True

    def _refuse_unknown(self) -> None:
        """Once an evaluation of its kind has been."""
        is_loss = self._metric.startswith("validation")
        known = [name for name in self.trainer.evaluated if name.startswith("validation") == is_loss]
        if known:
            raise ConfigError(_unknown(self._metric, known))

    def _end_if_patience_is_over(self, done: int) -> None:
        if self._patience and self._worse >= self._patience and done < self.trainer.max_iter:
            logger.info(
                "%s was no better %d times in a row: the training ends after %d steps", self._metric, self._worse, done
            )
            self.trainer.max_iter = done

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best, "best_steps": self._best_steps, "seen_at": self._seen_at, "worse": self._worse}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._best, self._best_steps = state["best"], state["best_steps"]
        self._seen_at, self._worse = state["seen_at"], state["worse"]


def _unknown(metric: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(metric, known, n=1)
    shown = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"TEST.BEST_METRIC is {metric}, which no evaluation gives: {shown}"
