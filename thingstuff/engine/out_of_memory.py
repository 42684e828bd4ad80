"""Out of memory in a prediction: one line that says what would fit, and by which option."""

from __future__ import annotations

import math
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from thingstuff.errors import SetupError

SMALLEST_TILE_PX = 128  # a tile below it sees too little of most objects
_SMALL_PX = 2048 * 2048
_STEP_PX = 32  # tile sizes are suggested in whole cells of a feature map
_SAID = re.compile(
    "not enough memory|can't allocate memory|out of memory|insufficient memory|failed to allocate|ALLOC_FAILED",
    re.I,
)
_ASKED = re.compile(r"(?:tried to allocate|Unable to allocate|Failed to allocate) ([\d.]+) ?([KMGT]i?B|bytes)", re.I)
_FREE = re.compile(r"of which ([\d.]+) ([KMGT]i?B) is free", re.I)
_UNITS = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@contextmanager
def name_what_fits(height: int, width: int, *, batch: int = 1) -> Iterator[None]:
    """Turns every kind of "out of memory" in its block into a SetupError with a way out.

    The block predicts `batch` images, the largest of H x W pixels. Memory goes with the number of pixels, so what is
    suggested is half of the batch, or for a single image tiles of half its length, and half of that again for as long
    as what could not be had exceeds what is free, where both are known. What a smaller batch or tile needs in all,
    nobody knows before it is tried: the line says "try".
    """
    try:
        yield
    except Exception as error:  # OpenCV's has no other base
        if not is_out_of_memory(error):
            raise
        raise SetupError(_line(error, height, width, batch)) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Of a GPU (torch.OutOfMemoryError), or of the CPU: PyTorch's RuntimeError, NumPy's MemoryError, OpenCV's error."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    known = type(error) is RuntimeError or type(error).__module__ in ("cv2", "torch")
    return known and bool(_SAID.search(str(error)))


def _line(error: BaseException, height: int, width: int, batch: int) -> str:
    halvings = _halvings(str(error), isinstance(error, torch.OutOfMemoryError))
    images = f"an image of {width} x {height} pixels" if batch == 1 else f"{batch} images of up to {width} x {height}"
    return f"out of memory while predicting {images}{_numbers(str(error))}: {_way_out(height, width, batch, halvings)}"


def _way_out(height: int, width: int, batch: int, halvings: int) -> str:
    if batch > 1:
        smaller = max(batch >> halvings, 1)
        return f"try --batch {smaller}"
    tile_px = max(height, width) >> math.ceil(halvings / 2)  # half of the length is a quarter of the pixels
    tile_px = tile_px // _STEP_PX * _STEP_PX
    smaller = "a smaller network input (--opts INPUT.MIN_SIZE_TEST N INPUT.MAX_SIZE_TEST N)"
    if tile_px < SMALLEST_TILE_PX:
        return f"try {smaller}"
    # the network sees a tile enlarged to its own size, so that of a small image tiles save little
    return f"try --tile {tile_px} (in Python tile={tile_px})" + (
        f", or {smaller}" if height * width <= _SMALL_PX else ""
    )


def _halvings(message: str, on_gpu: bool) -> int:
    """How often the pixels are halved until what was asked for fits into what is free; once at least."""
    asked, free = _bytes(_ASKED, message), _bytes(_FREE, message) if on_gpu else _free_bytes()
    if not asked or not free or asked <= free:
        return 1
    return max(1, math.ceil(math.log2(asked / free)))


def _numbers(message: str) -> str:
    asked = _bytes(_ASKED, message)
    return f" ({asked / (1 << 20):,.0f} MiB more were asked for)" if asked else ""


def _bytes(pattern: re.Pattern[str], message: str) -> float:
    found = pattern.search(message)
    return float(found[1]) * _UNITS[found[2][0].lower()] if found else 0


def _free_bytes() -> float:
    """What this process may still have: what the machine has available, and its own limit where there is one."""
    try:
        available = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    room = math.inf if limit == resource.RLIM_INFINITY else max(limit - used, 1)
    return min(float(available[1]) * 1024 if available else math.inf, room)
