"""In which numbers a training computes: fp32, or mixed precision in bf16 or fp16 where the device has it."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from detectron2.config import CfgNode

from thingstuff.errors import ConfigError
from thingstuff.modeling.inference.cpu import cpu_flags

logger = logging.getLogger(__name__)

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
CHOICES = ("auto", *_DTYPES)
_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # of /proc/cpuinfo: x86's two, and ARM's
_WORDS = {None: "fp32", torch.bfloat16: "mixed bf16", torch.float16: "mixed fp16"}


@dataclass(frozen=True)
class Precision:
    """The dtype of mixed precision, None for plain fp32, on a kind of device, "cpu" or "cuda"."""

    dtype: torch.dtype | None
    device_type: str

    @classmethod
    def from_config(cls, cfg: CfgNode) -> Precision:
        """What `SOLVER.AMP` asks for on `MODEL.DEVICE`; `auto` is the best that the device computes in itself."""
        device_type = torch.device(cfg.MODEL.DEVICE).type
        wanted = cfg.SOLVER.AMP.PRECISION
        if wanted not in CHOICES:
            raise ConfigError(f"SOLVER.AMP.PRECISION is {wanted!r}, expected one of {', '.join(CHOICES)}")
        if not cfg.SOLVER.AMP.ENABLED:
            return cls(None, device_type)
        if wanted == "auto":
            return cls(_best_dtype(device_type), device_type)
        if wanted == "fp16" and device_type == "cpu":
            raise ConfigError("SOLVER.AMP.PRECISION fp16 needs a GPU: on a CPU use bf16, or auto")
        return cls(_DTYPES[wanted], device_type)

    @property
    def words(self) -> str:
        """For the log: "fp32", "mixed bf16" or "mixed fp16"."""
        return _WORDS[self.dtype]

    def autocast(self) -> AbstractContextManager:
        """Around the forward pass and the losses; the backward pass and the optimiser stay outside."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device_type, self.dtype)

    def scaler(self) -> torch.amp.GradScaler | None:
        """For fp16, whose small gradients would become 0. bf16 has the range of fp32 and needs none."""
        if self.dtype is torch.float16:
            return torch.amp.GradScaler(self.device_type)
        return None


def _best_dtype(device_type: str) -> torch.dtype | None:
    if device_type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device_type == "cpu" and cpu_has_bf16():
        return torch.bfloat16
    logger.info("this %s has no bf16 instructions: training in fp32", device_type.upper())
    return None


def cpu_has_bf16(cpuinfo: Path | None = None) -> bool:
    """Whether this processor multiplies bf16 numbers itself; without that, bf16 is slower than fp32."""
    return not _CPU_FLAGS.isdisjoint(cpu_flags(cpuinfo))
