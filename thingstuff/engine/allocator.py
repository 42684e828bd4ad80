"""Memory that a prediction frees is kept for the next one, instead of being handed back and cleared by the system."""

from __future__ import annotations

import ctypes
import functools
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_LARGEST_KEPT = 1 << 30
_MOST_KEPT = (1 << 31) - 1


@functools.cache
def keep_freed_memory() -> bool:
    """For this process, under glibc; elsewhere nothing changes, and the answer is False.

    By default glibc gives every block of more than 32 MiB back at once, and the system clears its pages anew for the
    next feature map, which takes a sixth of a prediction's time on a CPU. The process then keeps what it needed at its
    peak.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_TRIM_THRESHOLD, _MOST_KEPT))
