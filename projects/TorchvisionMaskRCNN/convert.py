#!/usr/bin/env python3
"""A file of torchvision's weights becomes one of Detectron2's own Mask R-CNN."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from thingstuff.cli.common import run_command
from thingstuff.errors import ConfigError

_CONFIG = "projects/TorchvisionMaskRCNN/configs/detectron2_of_torchvision"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="convert", description=__doc__)
    parser.add_argument("source", metavar="IN", help="torchvision's file, an address of one, or a checkpoint of ours")
    parser.add_argument("target", metavar="OUT", type=Path, help="the .pth file to write")
    parser.add_argument(
        "--norm-eps",
        type=float,
        help="what frozen norms added to the variance in training; by default 0 for the file that torchvision "
        "publishes for maskrcnn_resnet50_fpn, and else 0.00001",
    )
    parser.add_argument("--keep-all-rows", action="store_true", help="91 rows are 90 classes, not COCO's category ids")
    return run_command(parser, _convert, argv)


def _convert(args: argparse.Namespace) -> int:
    from torchvision_maskrcnn.conversion import DETECTRON2_EPS, Conversion, converted
    from torchvision_maskrcnn.weights import wants_no_eps

    from thingstuff.engine.weights.cache import local_weights
    from thingstuff.engine.weights.file import read_weights_file
    from thingstuff.engine.weights.write import write_checkpoint

    if args.target.suffix != ".pth":
        raise ConfigError(f"{args.target} must end in .pth")
    if args.norm_eps is not None and not args.norm_eps >= 0:
        raise ConfigError(f"--norm-eps is {args.norm_eps}, expected 0 or more")
    default = 0.0 if wants_no_eps(args.source) else DETECTRON2_EPS
    eps = default if args.norm_eps is None else args.norm_eps
    state = read_weights_file(local_weights(args.source))["model"]
    model = converted(state, Conversion(eps, args.keep_all_rows))
    args.target.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(args.target, {"model": model})
    _report(args.target, len(model["roi_heads.box_predictor.cls_score.bias"]) - 1, _is_second_version(model))
    return 0


def _is_second_version(model: dict) -> bool:
    return "roi_heads.box_head.conv1.weight" in model


def _report(target: Path, classes: int, v2: bool) -> None:
    print(f"weights    {target}, {classes} classes")
    print(
        f"config     {_CONFIG}{'_v2' if v2 else ''}.yaml MODEL.WEIGHTS {target} MODEL.ROI_HEADS.NUM_CLASSES {classes}"
    )


if __name__ == "__main__":
    sys.exit(main())
