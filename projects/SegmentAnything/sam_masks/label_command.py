"""Label images with SAM or SAM 2: a mask for every box or point that somebody gave, or for everything in the image.

Examples:
  label.py --images photos --model weights/sam2.1-hiera-small --boxes boxes.json --output photos.json
  label.py --images photos --model weights/sam2.1-hiera-small --points points.csv --output photos.json
  label.py --images photos --model weights/sam-vit-base --output everything.json

A points file has one point a line: image,class,x,y,label and, where several points are one object, object. The label
is 1 inside of the object and 0 outside.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sam_masks.common import add_model, add_single, check_model, check_share, load_segmenter
from thingstuff.cli.common import run_command
from thingstuff.errors import ConfigError, DataError

_GRID = ("points_per_side", "iou_thresh", "stability_thresh", "nms_thresh")  # options without prompts


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(build_parser(), _label, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="label", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="the folder that the images' names are relative to")
    add("--output", type=Path, required=True, metavar="FILE", help="the COCO JSON to write")
    add_model(parser)
    prompts = parser.add_mutually_exclusive_group()
    prompts.add_argument("--boxes", type=Path, metavar="FILE", help="a COCO JSON with boxes")
    prompts.add_argument("--points", type=Path, metavar="FILE", help="a CSV or JSON of points")
    add_single(parser)
    grid = parser.add_argument_group("without boxes and points")
    grid.add_argument("--points-per-side", type=int, metavar="N", help="of a grid over the image (default 32)")
    grid.add_argument("--iou-thresh", type=float, metavar="T", help="of predicted IoUs (default 0.88)")
    grid.add_argument("--stability-thresh", type=float, metavar="T", help="of stability scores (default 0.95)")
    grid.add_argument("--nms-thresh", type=float, metavar="T", help="of the IoU of two boxes (default 0.7)")
    return parser


def _label(args: argparse.Namespace) -> int:
    from sam_masks.label import label_images
    from sam_masks.partial import Partial
    from thingstuff.console import start_console
    from thingstuff.engine.folders import make_writable

    _check(args)
    start_console()
    make_writable(args.output.parent, "--output")
    work = _everything(args) if args.boxes is None and args.points is None else _marked(args)
    partial = Partial(args.output, _known_by(args))
    labels = label_images(work, partial)
    labels.write(args.output)
    partial.remove()
    if labels.already_there:
        print(f"{'earlier':10} {labels.already_there} images were labelled by a run that was stopped")
    if labels.empty:
        print(f"{'left out':10} {labels.empty} objects that got no mask")
    print(f"{'labels':10} {args.output}: {len(labels.annotations)} masks in {len(labels.images)} images")
    return 0


def _check(args: argparse.Namespace) -> None:
    if not args.images.is_dir():
        raise DataError(f"--images: there is no folder {args.images}")
    if args.output.suffix.lower() != ".json" or args.output.is_dir():
        raise ConfigError(f"--output {args.output} must be a file that ends in .json")
    given = [name for name in _GRID if getattr(args, name) is not None]
    if given and (args.boxes or args.points):
        raise ConfigError(f"--{given[0].replace('_', '-')} is for labelling without boxes and points: leave it out")
    if args.single_mask and not (args.boxes or args.points):
        raise ConfigError("--single-mask is for boxes and points: leave it out")
    for prompts in (args.boxes, args.points):
        if prompts is not None and prompts.exists() and prompts.resolve() == args.output.resolve():
            raise ConfigError(f"--output {args.output} would replace the file of prompts: give another name")
    if args.points_per_side is not None and args.points_per_side < 1:
        raise ConfigError(f"--points-per-side must be 1 or more, got {args.points_per_side}")
    for name in _GRID[1:]:
        if getattr(args, name) is not None:
            check_share(f"--{name.replace('_', '-')}", getattr(args, name))
    check_model(args)


def _known_by(args: argparse.Namespace) -> str:
    """What a run must share with an earlier one to go on with its images."""
    import hashlib

    from sam_masks.weights import weights_hash

    prompts = args.boxes or args.points
    own = {name: getattr(args, name) for name in (*_GRID, "single_mask", "mask_thresh")}
    content = b"" if prompts is None else prompts.read_bytes()
    parts = [str(args.images.absolute()), weights_hash(args.model), str(own), hashlib.sha256(content).hexdigest()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _marked(args: argparse.Namespace) -> Any:
    from sam_masks.boxes_file import read_boxes
    from sam_masks.label import marked_work
    from sam_masks.points_file import read_points

    marked = read_boxes(args.boxes) if args.boxes else read_points(args.points)
    for note in marked.notes:
        print(note)
    return marked_work(load_segmenter(args), marked, args.images)


def _everything(args: argparse.Namespace) -> Any:
    from sam_masks.everything import GridOptions
    from sam_masks.label import everything_work
    from thingstuff.data.inputs import find_inputs

    inputs = find_inputs([args.images])
    if inputs.videos:
        print(f"{len(inputs.videos)} videos are left out")
    given = {name: getattr(args, name) for name in _GRID if getattr(args, name) is not None}
    names = [image.key for image in inputs.images]
    return everything_work(load_segmenter(args), names, inputs.root, GridOptions(**given))
