"""Evaluation: AP, mIoU and PQ against pycocotools, Detectron2's evaluators and the PNG round trip; time and memory."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator

from thingstuff.benchmark.evaluate_ap import ap_cases
from thingstuff.benchmark.evaluate_detectron2 import detectron2_cases
from thingstuff.benchmark.evaluate_memory import memory_rows
from thingstuff.benchmark.evaluate_panoptic import panoptic_cases
from thingstuff.benchmark.measure import Case, Measurement, MemoryRow
from thingstuff.errors import ConfigError

PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Case]]] = {
    "ap": lambda args: ap_cases(args.images, args.objects, args.seed),
    "detectron2": lambda args: detectron2_cases(args.full_images, args.objects, args.seed),
    "pq": lambda args: panoptic_cases(args.full_images, args.seed),
}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=1000, help="images of the AP cases (default 1000)")
    parser.add_argument("--objects", type=float, default=7.0, help="objects an image, on average (default 7, as COCO)")
    parser.add_argument(
        "--full-images",
        type=int,
        default=50,
        help="images of the cases that start from whole masks or maps, not from RLE (default 50)",
    )
    parser.add_argument("--parts", default=",".join(PARTS), help=f"what to measure (default {','.join(PARTS)})")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random scenes (default 0)")
    parser.add_argument("--threads", type=int, default=1, help="threads of hotcoco, PyTorch and OpenCV (default 1)")


def _cases(args: argparse.Namespace) -> Iterator[Case]:
    parts = _asked(args)
    _use_threads(args.threads, with_torch="detectron2" in parts)
    for part in parts:
        yield from PARTS[part](args)


def _memory(args: argparse.Namespace) -> Iterator[MemoryRow]:
    _asked(args)
    _use_threads(args.threads, with_torch=False)
    yield from memory_rows(args.images, args.objects, args.seed)


def _asked(args: argparse.Namespace) -> list[str]:
    parts = [part.strip() for part in args.parts.split(",")]
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ConfigError(f"--parts: expected some of {', '.join(PARTS)}, separated by commas, got {unknown[0]!r}")
    for option in ("images", "objects", "full_images", "threads"):
        if getattr(args, option) <= 0:
            raise ConfigError(f"--{option.replace('_', '-')} must be above 0, got {getattr(args, option)}")
    if args.seed < 0:
        raise ConfigError(f"--seed must be 0 or more, got {args.seed}")
    return parts


def _use_threads(threads: int, with_torch: bool) -> None:
    """hotcoco makes its threads in its first evaluation, and a process that this one starts inherits the number."""
    import cv2

    os.environ["RAYON_NUM_THREADS"] = str(threads)
    cv2.setNumThreads(threads)
    if with_torch:
        import torch

        torch.set_num_threads(threads)


MEASUREMENT = Measurement(
    "evaluate",
    "AP, mIoU and PQ, against pycocotools, Detectron2's evaluators and a PNG round trip",
    _add_arguments,
    _cases,
    _memory,
)
