"""How a model computes when it predicts: exactly as in Detectron2, faster with other rounding, or fast."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from torch import nn

from thingstuff.engine.training.precision import cpu_has_bf16
from thingstuff.errors import ConfigError
from thingstuff.modeling.inference.convert import make_fast

MODES = ("exact", "fp32", "fast")
_WORDS = {None: "exactly as Detectron2", torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mode:
    """A mode on a device. `dtype` is what it computes in; None leaves the model as it is."""

    name: str
    dtype: torch.dtype | None

    @classmethod
    def from_config(cls, cfg: CfgNode) -> Mode:
        """`TEST.MODE` on `MODEL.DEVICE`."""
        return cls.on(cfg.TEST.MODE, torch.device(cfg.MODEL.DEVICE).type)

    @classmethod
    def on(cls, name: str, device_type: str) -> Mode:
        if name not in MODES:
            raise ConfigError(f"TEST.MODE is {name!r}, expected one of {', '.join(MODES)}")
        if name == "exact":
            return cls(name, None)
        return cls(name, torch.float32 if name == "fp32" else _narrow_dtype(device_type))

    @property
    def words(self) -> str:
        return _WORDS[self.dtype]

    def prepare(self, model: nn.Module) -> nn.Module:
        """A Detectron2 model, changed in place; it can no longer be trained or saved."""
        return model.eval() if self.dtype is None else make_fast(model, self.dtype)

    def prepared_copy(self, model: nn.Module) -> nn.Module:
        """The same of a copy where anything changes, so that `model` can go on training."""
        return model if self.dtype is None else self.prepare(copy.deepcopy(model))


def _narrow_dtype(device_type: str) -> torch.dtype:
    if device_type == "cuda":
        return torch.float16
    if device_type == "cpu" and cpu_has_bf16():
        return torch.bfloat16
    logger.warning("this %s has no bf16 instructions: mode fast computes in fp32 here", device_type.upper())
    return torch.float32
