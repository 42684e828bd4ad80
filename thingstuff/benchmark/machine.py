"""What a speed was measured on, for the file that keeps it."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path

from thingstuff.cores import usable_cores

_PACKAGES = (
    *("numpy", "torch", "torchvision", "detectron2", "hotcoco", "pycocotools", "opencv-python-headless", "pillow"),
    *("onnxruntime", "openvino"),
)
# of those that decide how fast a network computes, in the spelling of Linux, on x86 and on Arm
_INSTRUCTIONS = (
    *("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_bf16", "amx_int8", "amx_fp16"),
    *("asimd", "asimddp", "sve", "bf16", "i8mm"),
)
_CPUINFO = Path("/proc/cpuinfo")


def describe_machine() -> dict[str, str | int | None]:
    """Processor, usable cores, GPU, and versions; a package's is None if it is not installed. Imports none of them."""
    return {
        "cpu": _cpu_model(),
        "instructions": _instructions(),
        "cores": usable_cores(),
        "gpu": _gpu(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _cpu_model(cpuinfo: Path = _CPUINFO) -> str:
    return _first_line(cpuinfo, "model name") or platform.processor() or platform.machine()


def _instructions(cpuinfo: Path = _CPUINFO) -> str | None:
    """The known ones that this processor has; None where the system does not say."""
    words = (_first_line(cpuinfo, "flags") or _first_line(cpuinfo, "Features") or "").split()
    return " ".join(name for name in _INSTRUCTIONS if name in words) or None


def _first_line(cpuinfo: Path, key: str) -> str | None:
    """What stands behind the first `key`."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), None)


def _gpu() -> str | None:
    """Of PyTorch, if somebody has loaded it."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
