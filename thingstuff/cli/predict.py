"""Predict images, folders, globs, videos or a registered data set: pictures, a store, counts, cut-outs and exports.

Examples:
  predict.py --config-file configs/shapes/things_and_stuff.yaml --input photos/ clip.mp4 --output output/photos
  predict.py --config-file configs/shapes/mask_rcnn.yaml --weights model_final.pth --input '*.jpg' --output out --counts
  predict.py --config-file configs/shapes/mask_rcnn.yaml --input shapes_val --output out --no-overlays --export coco
  predict.py --config-file my.yaml --weights model_final.pth --input aerial.tif --output out --tile 1024
  predict.py --config-file mask_rcnn.onnx --input photos/ --output out
  predict.py --config-file my.yaml --weights model_final.pth --input s3://bucket/photos --output out --engine ray
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from thingstuff.cli.common import add_dataset, run_command
from thingstuff.cli.predict_ray import add_ray, predict_with_ray, refuse_ray_options
from thingstuff.errors import ConfigError

VIEWS = ("box", "semantic", "instance", "panoptic")
MODES = ("exact", "fp32", "fast")
_MOST_SKIPPED = 20  # that are named
EXPORTS = ("coco", "coco_panoptic", "labelme", "cvat", "fiftyone")


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _predict, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--config-file",
        required=True,
        metavar="FILE",
        help="a path, model_zoo://NAME or thingstuff://NAME, or an export",
    )
    add_dataset(parser)
    add("--weights", metavar="FILE", help="default: MODEL.WEIGHTS of the config")
    add("--stuff-weights", metavar="FILE", help="of the second model; default: PANOPTIC.STUFF_WEIGHTS of the config")
    add("--input", nargs="+", required=True, metavar="INPUT", help="images, videos, folders, globs, or one data set")
    add("--output", type=Path, required=True, metavar="DIR", help="a run that stopped goes on in the same folder")
    add(
        "--view", action="append", choices=VIEWS, default=[], help="what to draw; again for more (default: the richest)"
    )
    add("--side-by-side", action="store_true", help="the image and its views in one picture")
    add("--no-overlays", action="store_true", help="draw nothing")
    add("--score-thresh", type=_share, default=0.5, metavar="S", help="show, count and cut out from here (default 0.5)")
    add("--counts", action="store_true", help="a table of objects by class and image, and counts.csv")
    add("--cutouts", action="store_true", help="each instance of each image as a PNG with a transparent background")
    add("--export", action="append", choices=EXPORTS, default=[], help="write this format too; again for more")
    add("--overwrite", action="store_true", help="replace LabelMe files of an earlier export, which stay otherwise")
    add(
        "--on-bad-image",
        choices=("fail", "skip"),
        help="at an image that cannot be read (default fail; --engine ray always skips)",
    )
    add(
        "--mode", choices=MODES, help="how to compute: exactly as Detectron2, fp32, or fast (default: TEST.MODE, exact)"
    )
    add("--batch", type=int, default=1, metavar="N", help="images that go through the network together (default 1)")
    add("--tile", type=_tile_px, metavar="PX", help="predict large images in tiles of PX x PX pixels (0: as a whole)")
    add("--tile-overlap", type=float, metavar="PX", help="what tiles share, pixels or a share (default: a quarter)")
    add("--tta", action="store_true", help="test-time augmentation: average over the sizes and flips of TEST.AUG")
    add("--device", metavar="NAME", help="default: a GPU where there is one")
    add_ray(parser)
    add("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config options, at the end")
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return value


def _tile_px(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a number of pixels, got {text}")
    return value


def _predict(args: argparse.Namespace) -> int:
    if args.batch < 1:
        raise ConfigError(f"--batch must be 1 or more, got {args.batch}")
    from thingstuff.console import start_console

    start_console()
    summary = _run(args)
    if summary.counts is not None:
        print(f"\n{summary.counts.text()}\n")
    print(_totals(summary))
    for title, path in summary.written.items():
        print(f"{title:20} {path}")
    return 0


def _run(args: argparse.Namespace) -> Any:
    if args.engine == "ray":
        return predict_with_ray(args, _model)
    from thingstuff.report.prediction_run import run_prediction

    refuse_ray_options(args)
    return run_prediction(_job(args))


def _model(args: argparse.Namespace) -> Any:
    from thingstuff.engine.exported import is_exported

    return _exported(args) if is_exported(args.config_file) else _config(args)


def _job(args: argparse.Namespace) -> Any:
    from thingstuff.data.inputs import dataset_inputs, find_inputs, is_dataset
    from thingstuff.report.prediction_run import Job, Wanted

    model = _model(args)
    dataset = args.input[0] if is_dataset(args.input[0]) else None
    if dataset and len(args.input) > 1:
        raise ConfigError(f"{dataset} is a data set: predict it alone, and other inputs in another run")
    inputs = dataset_inputs(dataset) if dataset else find_inputs(args.input)
    wanted = Wanted(
        tuple(args.view),
        args.side_by_side,
        not args.no_overlays,
        args.counts,
        args.cutouts,
        tuple(args.export),
        args.overwrite,
        args.score_thresh,
    )
    on_bad_image = args.on_bad_image or "fail"
    return Job(model, _outside(inputs, args.output), args.output, wanted, dataset, on_bad_image, args.batch)


def _config(args: argparse.Namespace) -> Any:
    from thingstuff.config import load_config
    from thingstuff.engine.device import settle_device
    from thingstuff.engine.tiling import settle_tiles

    cfg = load_config(args.config_file, args.opts)
    if args.dataset or cfg.DATASETS.DECLARE:
        from thingstuff.data.declared.declare import declare

        declare(cfg, args.dataset, args.opts)
    cfg.MODEL.WEIGHTS = args.weights or cfg.MODEL.WEIGHTS
    if args.stuff_weights and not (cfg.PANOPTIC.ENABLED and cfg.PANOPTIC.STUFF == "model"):
        raise ConfigError("--stuff-weights is for a second model: turn on PANOPTIC with STUFF model, or leave it out")
    cfg.PANOPTIC.STUFF_WEIGHTS = args.stuff_weights or cfg.PANOPTIC.STUFF_WEIGHTS
    cfg.MODEL.DEVICE = args.device or cfg.MODEL.DEVICE
    cfg.TEST.MODE = args.mode or cfg.TEST.MODE
    settle_tiles(cfg, args.tile, args.tile_overlap)
    cfg.TEST.AUG.ENABLED = args.tta or cfg.TEST.AUG.ENABLED
    settle_device(cfg)
    return cfg


def _exported(args: argparse.Namespace) -> Any:
    from thingstuff.cli.common import register_datasets
    from thingstuff.engine.exported import ExportedPredictor

    given = {"--weights": args.weights, "--stuff-weights": args.stuff_weights, "--opts": args.opts}
    given |= {"--mode": args.mode, "--tile": args.tile, "--tile-overlap": args.tile_overlap, "--tta": args.tta}
    for option, value in given.items():
        if value:
            raise ConfigError(f"{args.config_file} is an exported model with everything in it: leave out {option}")
    register_datasets(args)
    return ExportedPredictor.open(args.config_file, device=args.device)


def _outside(inputs: Any, output: Path) -> Any:
    """Without what an earlier run wrote, where the output folder lies in an input folder."""
    from dataclasses import replace

    folder = output.resolve()
    images = tuple(image for image in inputs.images if not image.path.resolve().is_relative_to(folder))
    videos = tuple(video for video in inputs.videos if not video.path.resolve().is_relative_to(folder))
    if not images and not videos:
        raise ConfigError(f"all inputs lie in --output {output}: give another output folder")
    return replace(inputs, images=images, videos=videos)


def _totals(summary: Any) -> str:
    parts = [f"{summary.predicted} predicted"]
    if summary.already_there:
        parts.append(f"{summary.already_there} already there")
    if summary.skipped:
        parts.append(f"{len(summary.skipped)} skipped")
    skipped = [f"skipped {key}: {reason}" for key, reason in islice(summary.skipped.items(), _MOST_SKIPPED)]
    if len(summary.skipped) > _MOST_SKIPPED:
        skipped.append(f"... and {len(summary.skipped) - _MOST_SKIPPED} more")
    return "\n".join([", ".join(parts), *summary.merged, *summary.notes, *skipped])


if __name__ == "__main__":
    sys.exit(main())
