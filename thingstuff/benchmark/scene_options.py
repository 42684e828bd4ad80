"""The options of measurements on random scenes: sizes, instances, seed, threads."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from thingstuff.errors import ConfigError

SIZES = "480x640,800x1333,1024x2048"
INSTANCES = "20,50,100,300"


def add_scene_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", default=SIZES, help=f"heights x widths, separated by commas (default {SIZES})")
    parser.add_argument("--instances", default=INSTANCES, help=f"instances an image (default {INSTANCES})")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random scenes (default 0)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch and of OpenCV (default 1)")


def asked_scenes(args: argparse.Namespace) -> Iterator[tuple[int, int, int]]:
    """Height, width and number of instances of each scene, after setting the threads."""
    sizes = [_numbers(size, "x", "--sizes") for size in args.sizes.split(",")]
    if any(len(size) != 2 for size in sizes):
        raise ConfigError(f"--sizes: expected HEIGHTxWIDTH, separated by commas, got {args.sizes!r}")
    counts = _numbers(args.instances, ",", "--instances")
    if args.seed < 0:
        raise ConfigError(f"--seed: expected 0 or more, got {args.seed}")
    _use_threads(args.threads)
    return ((height, width, count) for height, width in sizes for count in counts)


def _numbers(text: str, separator: str, option: str) -> list[int]:
    parts = text.split(separator)
    numbers = [int(part) for part in parts if part.strip().isdecimal() and int(part) > 0]
    if len(numbers) != len(parts):
        raise ConfigError(f"{option}: expected numbers above 0, got {text!r}")
    return numbers


def _use_threads(threads: int) -> None:
    import cv2
    import torch

    if threads < 1:
        raise ConfigError(f"--threads: expected 1 or more, got {threads}")
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
