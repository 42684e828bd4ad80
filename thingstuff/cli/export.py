"""Export a model to one file that runs without its code: ONNX, or torch.export's .pt2.

The file says itself what it takes and what its outputs mean, and is kept only if it predicts what the model predicts.

Examples:
  export.py --config-file configs/shapes/mask_rcnn.yaml --weights model_final.pth --output mask_rcnn.onnx
  export.py --config-file configs/shapes/panoptic_fpn.yaml --weights model_final.pth --output model.pt2 --images photos/
  export.py --config-file model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml --output out.onnx --dynamic
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from thingstuff.cli.common import add_dataset, run_command
from thingstuff.errors import ConfigError, UserError

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
FEW_IMAGES = 5


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _export, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config-file", required=True, metavar="FILE", help="a path, model_zoo://NAME or thingstuff://NAME")
    add_dataset(parser)
    add("--weights", metavar="FILE", help="default: MODEL.WEIGHTS of the config")
    add("--output", type=Path, required=True, metavar="FILE", help="what to write: NAME.onnx or NAME.pt2")
    add("--format", choices=tuple(SUFFIXES), help="default: by the suffix of --output")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="pixels of the network's input (default: the config's test size for images that lie, as 800 1344)",
    )
    size.add_argument("--dynamic", action="store_true", help="take images of any size: exact for each, slower to make")
    add("--images", nargs="+", metavar="IMAGE", help="to compare on: files, folders, globs or a data set")
    add("--no-check", action="store_true", help="keep the file without comparing")
    add("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config options, at the end")
    return parser


def _export(args: argparse.Namespace) -> int:
    path = _checked_output(args)
    from thingstuff.console import start_console
    from thingstuff.engine.exported.write import Canvas, export_model
    from thingstuff.engine.folders import make_writable

    start_console()
    cfg = _config(args)
    make_writable(path.parent, "--output")
    images = [] if args.no_check else _images(args.images, cfg)
    canvas = Canvas(None if args.size is None else tuple(args.size), args.dynamic)
    card = export_model(cfg, path, canvas, images, _report)
    size = "any size" if card.height is None else f"{card.height} x {card.width}"
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {card.architecture} for {size}: {', '.join(card.outputs)}")
    return 0


def _checked_output(args: argparse.Namespace) -> Path:
    """What can be said before anything is loaded."""
    path: Path = args.output
    if args.no_check and args.images:
        raise ConfigError("--no-check contradicts --images: drop one of them")
    if path.suffix not in SUFFIXES.values():
        raise ConfigError(f"--output {path}: name it .onnx (ONNX) or .pt2 (torch.export)")
    if args.format and SUFFIXES[args.format] != path.suffix:
        raise ConfigError(f"--format {args.format} contradicts --output {path}: name it {SUFFIXES[args.format]}")
    if path.is_dir():
        raise ConfigError(f"--output {path} is a folder: name a file")
    return path


def _config(args: argparse.Namespace) -> Any:
    from thingstuff.config import load_config

    cfg = load_config(args.config_file, args.opts)
    cfg.TEST.MODE = "exact"  # the other modes are of PyTorch
    cfg.TEST.AUG.ENABLED = False
    if args.dataset or cfg.DATASETS.DECLARE:
        from thingstuff.data.declared.declare import declare

        declare(cfg, args.dataset, args.opts)
    cfg.MODEL.WEIGHTS = args.weights or cfg.MODEL.WEIGHTS
    return cfg


def _images(named: list[str] | None, cfg: Any) -> list[Any]:
    from thingstuff.data.images import read_image_bgr
    from thingstuff.data.inputs import dataset_inputs, find_inputs, is_dataset

    if named:
        found = dataset_inputs(named[0]) if len(named) == 1 and is_dataset(named[0]) else find_inputs(named)
        if not found.images:
            raise ConfigError(f"--images {' '.join(named)}: there are videos and no images: name images")
        return [read_image_bgr(image.path) for image in found.images]
    try:
        found = dataset_inputs(cfg.DATASETS.TEST[0])
    except (UserError, LookupError):  # its files are not here, as those of the model zoo's sets seldom are
        return _drawn()
    return [read_image_bgr(image.path) for image in found.images[:FEW_IMAGES]]


def _drawn() -> list[Any]:
    """Scenes of the embedded data set."""
    import numpy as np

    from thingstuff.data.shapes_scene import draw_scene

    print("the images of the config's test set are not here: comparing on drawn scenes; --images names others")
    return [draw_scene(np.random.default_rng(seed)).image_bgr for seed in range(FEW_IMAGES)]


def _report(parity: Any) -> None:
    """The comparison as a table; UserError where it does not hold."""
    from thingstuff.report.table import Table

    other = sum(not image.own_canvas for image in parity.images)
    notes = [f"{other} of them padded to the file's size, as in a batch with larger images"] if other else []
    print(Table(_rows(parity), ("file against model", "value", "wanted"), footnotes=notes).text())
    if parity.says_nothing:
        raise UserError(
            "the model finds nothing in these images, so that nothing is proved and the file is not kept: name others "
            "with --images, or pass --no-check"
        )
    if not parity.holds:
        raise UserError("the file does not predict what the model predicts, and is not kept: --no-check keeps it")


def _rows(parity: Any) -> list[tuple[str, Any, str | None]]:
    """Without what the model does not predict."""
    from thingstuff.engine.exported.parity import LEAST_MASK_IOU, LEAST_PIXELS, MOST_BOX_PX

    worst = parity.worst
    rows = [
        ("images compared", "{}", len(parity.images), None),
        ("detections of the model", "{}", worst.detections, None),
        ("found by one of the two alone", "{}", None if worst.detections is None else worst.unmatched, "0"),
        ("largest difference of a box, px", "{:.2g}", worst.box_px, f"at most {MOST_BOX_PX}"),
        ("largest difference of a score", "{:.2g}", worst.score, None),
        ("least IoU of a mask", "{:.4f}", worst.mask_iou, f"at least {LEAST_MASK_IOU}"),
        ("least share of equal pixels in a map", "{:.4f}", worst.pixels, f"at least {LEAST_PIXELS}"),
    ]
    return [(what, form.format(value), wanted) for what, form, value, wanted in rows if value is not None]


if __name__ == "__main__":
    sys.exit(main())
