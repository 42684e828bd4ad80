"""On which device a job runs: what the config asks for where it exists, the CPU with one line where it does not."""

from __future__ import annotations

import logging

import torch
from detectron2.config import CfgNode

from thingstuff.errors import SetupError

logger = logging.getLogger(__name__)


def settle_device(cfg: CfgNode, gpus: int = 1) -> None:
    """Set `MODEL.DEVICE` to one that exists here. More than one GPU is never replaced by something else."""
    if cfg.MODEL.DEVICE == "cpu":
        return
    require_gpus(gpus)
    if gpus == 0 or not torch.cuda.is_available():
        if gpus:
            logger.info("no GPU here: running on the CPU")
        cfg.MODEL.DEVICE = "cpu"


def require_gpus(count: int) -> None:
    """Refuse to go on with fewer GPUs than were asked for; a single one may be replaced by the CPU."""
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count > 1 and present < count:
        raise SetupError(
            f"--num-gpus {count} was asked for, but PyTorch sees {present} here: lower it, or run tools/doctor.py"
        )
