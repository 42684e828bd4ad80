"""How much memory a training needs, and how long its device waits for images."""

from __future__ import annotations

import resource
import sys

import torch
from detectron2.engine import HookBase

_MIB = 2**20


class Resources(HookBase):
    """Puts `peak_memory_mib` (of the GPU, or of this process) and `data_share`, waiting over time, into the storage."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def after_step(self) -> None:
        storage = self.trainer.storage
        shown = {"peak_memory_mib": self._peak_bytes() / _MIB}
        histories = storage.histories()
        if "time" in histories and "data_time" in histories:
            seconds = histories["time"].median(20)
            shown["data_share"] = histories["data_time"].median(20) / seconds if seconds else 0.0
        storage.put_scalars(**shown, smoothing_hint=False)

    def _peak_bytes(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
