"""Check the installation: what is here, what does not fit together, and the command that mends it.

Exits with 0 when everything works, 1 when something needs mending.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from thingstuff.cli.common import run_command
from thingstuff.cores import usable_cores

OK, NOTE, BAD = "ok", "note", "BAD"
_NEEDED = (
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pycocotools",
    "hotcoco",
    "safetensors",
    "fvcore",
    "iopath",
    "pyyaml",
)
_PAIRS = {"2.11": "0.26", "2.12": "0.27", "2.13": "0.28", "2.14": "0.29"}  # torch -> the torchvision built against it
_LOWEST_FREE_GIB = 5
_MEND_ALL = "make setup (or pip install thingstuff)"
_MEND_DETECTRON2 = "thingstuff install_detectron2 --force (or tools/install_detectron2.py --force)"


@dataclass(frozen=True)
class Finding:
    state: str
    what: str
    found: str
    mend: str = ""


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _doctor, argv)


def build_parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _doctor(args: argparse.Namespace) -> int:
    bad = 0
    for finding in examine():
        bad += finding.state == BAD
        print(f"{finding.state:5} {finding.what:24} {finding.found}")
        if finding.mend:
            print(f"{'':30} mend: {finding.mend}")
    print(f"\n{'everything works' if not bad else f'{bad} to mend'}")
    return int(bad > 0)


def examine() -> Iterator[Finding]:
    """Every check in turn. One that fails unexpectedly is a finding itself, so that the others still report."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        *(_python, _packages, _torch_pair, _gpu, _detectron2, _compiled_ops, _prediction, _weights_cache, _disk),
    )
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001  the doctor outlives what it examines
            yield Finding(BAD, check.__name__.strip("_"), f"{type(error).__name__}: {error}", _MEND_ALL)


def _python() -> Iterator[Finding]:
    fits = sys.version_info >= (3, 11)
    yield Finding(
        OK if fits else BAD,
        "python",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}, {usable_cores()} cores",
        "" if fits else "make a virtual environment with Python 3.11 or newer",
    )


def _packages() -> Iterator[Finding]:
    for name in _NEEDED:
        version = _version(name) or (_version("opencv-python") if name.startswith("opencv") else None)
        yield Finding(OK if version else BAD, name, version or "missing", "" if version else f"pip install {name}")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch_pair() -> Iterator[Finding]:
    torch, vision = _version("torch"), _version("torchvision")
    if not (torch and vision):
        absent = "torch" if not torch else "torchvision"
        yield Finding(BAD, absent, "missing", _MEND_ALL)
        return
    yield pair_finding(torch, vision)
    import torch as torch_module
    import torchvision

    boxes = torch_module.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]])
    kept = torchvision.ops.nms(boxes, torch_module.tensor([0.9, 0.8]), 0.5)
    works = kept.tolist() == [0]
    yield Finding(
        OK if works else BAD,
        "torchvision operators",
        "nms works" if works else "nms gives nonsense",
        "" if works else _MEND_ALL,
    )


def pair_finding(torch: str, vision: str) -> Finding:
    """Whether these two versions were built for each other, as far as we know the pairs."""
    wanted = _PAIRS.get(".".join(torch.split(".")[:2]))
    found = f"torch {torch}, torchvision {vision}"
    if wanted is None:
        return Finding(NOTE, "torch and torchvision", f"{found}: a pair we have not tried")
    if vision.startswith(f"{wanted}."):
        return Finding(OK, "torch and torchvision", found)
    return Finding(BAD, "torch and torchvision", f"{found} do not fit", f"pip install 'torchvision=={wanted}.*'")


def _gpu() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        built = f"PyTorch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "PyTorch has no CUDA in it"
        driver = "" if shutil.which("nvidia-smi") is None else "install a driver for that CUDA: nvidia-smi shows yours"
        yield Finding(NOTE, "gpu", f"none that works ({built}): jobs run on the CPU", driver)
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        yield Finding(OK, f"gpu {index}", f"{properties.name}, {memory:.0f} GiB, CUDA {torch.version.cuda}")


def _detectron2() -> Iterator[Finding]:
    if importlib.util.find_spec("detectron2") is None:
        yield Finding(BAD, "detectron2", "missing", _MEND_DETECTRON2)
        return
    import thingstuff.config  # noqa: F401  the door that mends Detectron2 first

    try:
        import detectron2
        import detectron2.modeling
    except Exception as error:  # noqa: BLE001  whatever a broken build raises
        yield Finding(BAD, "detectron2", f"does not import: {type(error).__name__}: {error}", _MEND_DETECTRON2)
        return
    yield Finding(OK, "detectron2", f"{detectron2.__version__} in {Path(detectron2.__file__).parent}")


def _compiled_ops() -> Iterator[Finding]:
    if importlib.util.find_spec("detectron2") is None:
        return
    if importlib.util.find_spec("detectron2._C") is None:
        yield Finding(
            NOTE, "detectron2._C", "not built: torchvision serves DeformConv, NMS and RoIAlign; no rotated boxes"
        )
        return
    import detectron2._C  # noqa: F401

    yield Finding(OK, "detectron2._C", "built")


def _prediction() -> Iterator[Finding]:
    """What the modes fp32 and fast have on this CPU."""
    import torch

    from thingstuff.engine.mode import Mode
    from thingstuff.modeling.inference.dense import has_fused_ops
    from thingstuff.modeling.inference.native import library

    mode = Mode.on("fast", "cpu")
    yield Finding(OK if mode.dtype is not torch.float32 else NOTE, "mode fast on the CPU", f"computes in {mode.words}")
    fused = has_fused_ops(torch.float32)
    yield Finding(OK if fused else NOTE, "fused operators", "work" if fused else "none: modes fp32 and fast are slower")
    kernels = [name for name in ("winograd", "labels") if library(name) is not None]
    what = f"compiled: {', '.join(kernels)}" if kernels else "none: modes fp32 and fast are slower"
    yield Finding(
        OK if kernels else NOTE, "kernels in C", what, "" if kernels else "install a C compiler (gcc or clang)"
    )


def _weights_cache() -> Iterator[Finding]:
    from iopath.common.file_io import get_cache_dir

    folder = Path(get_cache_dir())
    files = [f for f in folder.rglob("*") if f.is_file()] if folder.is_dir() else []
    size = sum(f.stat().st_size for f in files) / 2**20
    yield Finding(OK, "model-zoo weights", f"{len(files)} files, {size:.0f} MiB in {folder} (FVCORE_CACHE moves it)")


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    enough = free >= _LOWEST_FREE_GIB
    mend = "" if enough else "make room, or set OUTPUT_DIR to another disk"
    yield Finding(OK if enough else NOTE, "free disk here", f"{free:.0f} GiB", mend)


if __name__ == "__main__":
    sys.exit(main())
