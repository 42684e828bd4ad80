"""How far a training is, with its loss and learning rate."""

from __future__ import annotations

from detectron2.engine import HookBase

from thingstuff.progress import Progress


class TrainingProgress(HookBase):
    """Reports every training step with the smoothed loss and the learning rate."""

    def before_train(self) -> None:
        trainer = self.trainer
        self._progress = Progress(trainer.max_iter, "training", trainer.start_iter)

    def after_step(self) -> None:
        storage = self.trainer.storage
        shown = {}
        if "total_loss" in storage.histories():
            shown["loss"] = f"{storage.history('total_loss').median(20):.3f}"
        if "lr" in storage.histories():
            shown["lr"] = f"{storage.history('lr').latest():.2g}"
        self._progress.step(**shown)
        if self.trainer.iter + 1 >= self.trainer.max_iter:
            self._progress.__exit__(None, None, None)  # before evaluation, which has a bar of its own
