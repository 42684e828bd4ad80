"""The options that both commands have."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from thingstuff.errors import ConfigError

BATCH = 64


def add_model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="FOLDER", help="with config.json and model.safetensors")
    add("--device", metavar="NAME", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    add("--batch", type=int, default=BATCH, metavar="N", help=f"prompts at a time (default {BATCH})")
    add("--mask-thresh", type=float, default=0.0, metavar="T", help="of mask logits (default 0, a probability of 0.5)")


def add_single(parser: argparse.ArgumentParser) -> None:
    text = "the one mask for a clear prompt (default: the best of three, by predicted IoU)"
    parser.add_argument("--single-mask", action="store_true", help=text)


def check_model(args: argparse.Namespace) -> None:
    """What can be known of the options before anything heavy is imported."""
    from sam_masks.weights import check_folder, check_transformers

    if args.batch < 1:
        raise ConfigError(f"--batch must be 1 or more, got {args.batch}")
    if not math.isfinite(args.mask_thresh):
        raise ConfigError(f"--mask-thresh must be a number, got {args.mask_thresh}")
    check_transformers()
    check_folder(args.model)


def mask_options(args: argparse.Namespace) -> Any:
    from sam_masks.segmenter import MaskOptions

    return MaskOptions(not getattr(args, "single_mask", False), args.mask_thresh, args.batch)


def load_segmenter(args: argparse.Namespace) -> Any:
    import torch

    from sam_masks.segmenter import Segmenter
    from sam_masks.weights import load_network
    from thingstuff.engine.device import require_device

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    require_device(device)
    return Segmenter(load_network(args.model, device), mask_options(args))


def check_share(option: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{option} must be from 0 to 1, got {value:g}")
