"""Checkpoints every so many steps and at the end, of which the newest stay."""

from __future__ import annotations

from pathlib import Path

from detectron2.engine import HookBase
from detectron2.utils import comm

from thingstuff.engine.training.hooks.best import BEST_NAME
from thingstuff.engine.weights.kept import prune

FINAL_NAME = "model_final"


class Checkpoints(HookBase):
    """`trainer.save(NAME)` after every `period` steps, as `model_0000099`, and after the last, as `model_final`.

    All processes take part, since each has a state of its own. `keep`: how many periodic ones stay, 0 all.
    """

    def __init__(self, folder: Path, period: int, keep: int = 0) -> None:
        self._folder, self._period, self._keep = folder, period, keep

    def after_step(self) -> None:
        iteration = self.trainer.iter
        if self._period > 0 and (iteration + 1) % self._period == 0:
            self.trainer.save(f"model_{iteration:07d}")
            if comm.is_main_process():
                prune(self._folder, self._keep, protected={f"{BEST_NAME}.pth"})

    def after_train(self) -> None:
        if self.trainer.iter >= self.trainer.max_iter:
            self.trainer.save(FINAL_NAME)
