"""Ctrl-C, or a cluster's notice that the time is over: the step is finished and a checkpoint written first."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from detectron2.engine import HookBase
from detectron2.utils import comm

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

logger = logging.getLogger(__name__)


class Interruption(HookBase):
    """On the first SIGINT or SIGTERM the training is left behind the step, with a checkpoint; a second one ends it.

    KeyboardInterrupt is raised in both cases. Only where the training runs in the main thread, which gets signals.
    Of several processes, to which a signal comes at different times or not at all, all leave behind the same step.
    """

    def __init__(self) -> None:
        self._got: int | None = None
        self._before: dict[int, Any] = {}

    def before_train(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._got is not None:
            raise KeyboardInterrupt
        self._got = number
        logger.info("stopping after this step, with a checkpoint (once more: at once)")

    def after_step(self) -> None:
        if not self._is_over():
            return
        steps = self.trainer.iter + 1
        if steps < self.trainer.max_iter:
            self.trainer.save(f"model_{self.trainer.iter:07d}")
            logger.info("stopped after %d of %d steps: go on with --resume", steps, self.trainer.max_iter)
            raise KeyboardInterrupt

    def _is_over(self) -> bool:
        """Whether a signal has come to any process. On CPUs: a GPU must not be waited for."""
        if comm.get_world_size() == 1:
            return self._got is not None
        got = torch.tensor(int(self._got is not None))
        dist.all_reduce(got, op=dist.ReduceOp.MAX, group=comm._get_global_gloo_group())
        return bool(got)

    def after_train(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
