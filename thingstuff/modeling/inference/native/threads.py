"""Blocks of work for a compiled function, shared among as many threads as PyTorch may use."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def share(blocks: int, part: Callable[[int, int], None]) -> None:
    """Call `part(first, end)` for ranges that make up `blocks`. It should let go of Python's lock, as ctypes does."""
    threads = min(torch.get_num_threads(), blocks)
    bounds = [blocks * number // threads for number in range(threads + 1)]
    if threads == 1:
        part(0, blocks)
    else:
        list(_pool(threads).map(part, bounds[:-1], bounds[1:]))


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="native")
