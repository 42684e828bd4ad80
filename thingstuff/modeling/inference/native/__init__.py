"""C code that is compiled where it runs, by the machine's own compiler, and kept in the cache folder.

No compiler is needed: whoever calls it has another way without it. The compiler is told to use every instruction that
this processor has, so what it made is kept under a name that tells the processor, the compiler, the source and what the
source includes.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from thingstuff.files import cache_root

logger = logging.getLogger(__name__)

_FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")
_LONGEST_S = 120


@functools.cache
def library(name: str) -> ctypes.CDLL | None:
    """The compiled `name`.c of this folder; None, with a line in the log, where that is not possible."""
    source = Path(__file__).with_name(f"{name}.c")
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        logger.info("no C compiler here: prediction goes without %s and takes longer", source.name)
        return None
    try:
        return ctypes.CDLL(str(_compiled(source, compiler)))
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", "") or str(error)
        logger.info(
            "%s could not be compiled, without which prediction takes longer: %s",
            source.name,
            told.strip().splitlines()[0],
        )
        return None


def _compiled(source: Path, compiler: str) -> Path:
    """The shared library of a source, compiled unless it lies in the cache."""
    folder = cache_root() / "native"
    target = folder / f"{source.stem}-{_fingerprint(source, compiler)}.so"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / target.name
            command = [*compiler.split(), *_FLAGS, "-o", str(made), str(source)]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_LONGEST_S)
            made.replace(target)
    return target


def _fingerprint(source: Path, compiler: str) -> str:
    version = subprocess.run(
        [*compiler.split(), "--version"], check=True, capture_output=True, text=True, timeout=_LONGEST_S
    ).stdout
    texts = [file.read_text(encoding="utf-8") for file in (source, *sorted(source.parent.glob("*.h")))]
    parts = (*texts, version, _processor(), " ".join(_FLAGS))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Its name and what it can; a cache folder may be shared by machines that differ in it."""
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.is_file() else []
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join([platform.machine(), *sorted({line for line in lines if line.startswith(wanted)})])
