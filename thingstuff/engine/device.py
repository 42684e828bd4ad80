"""On which device a job runs: what the config asks for where it exists, the CPU with one line where it does not."""

from __future__ import annotations

import logging

import torch
from detectron2.config import CfgNode

from thingstuff.errors import SetupError

logger = logging.getLogger(__name__)


def settle_device(cfg: CfgNode, gpus: int = 1, machines: int = 1) -> None:
    """Set `MODEL.DEVICE` to one that exists here. Several GPUs are never replaced by something else."""
    device = cfg.MODEL.DEVICE
    if gpus * machines > 1:
        require_gpus(gpus, machines)
        if device == "cpu":
            raise SetupError(f"MODEL.DEVICE cpu contradicts --num-gpus {gpus} on {machines} machines: drop one of them")
    elif device.startswith("cuda") and (gpus == 0 or not torch.cuda.is_available()):
        if gpus:
            logger.info("no GPU here: running on the CPU")
        cfg.MODEL.DEVICE = "cpu"
    else:
        require_device(device)


def require_gpus(count: int, machines: int = 1) -> None:
    """Refuse to go on with fewer GPUs than were asked for; a single one may be replaced by the CPU."""
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count * machines > 1 and present < count:
        asked = f"--num-gpus {count}" + (f" on {machines} machines" if machines > 1 else "")
        raise SetupError(f"{asked} was asked for, but PyTorch sees {present} here: lower it, or run tools/doctor.py")


def require_device(device: str) -> None:
    """Refuse a device that PyTorch does not know or that is not here."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SetupError(f"cannot compute on the device {device}: {str(error).splitlines()[0]}") from error
