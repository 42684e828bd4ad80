"""Better masks for stored instances: every box goes to SAM or SAM 2, whose mask takes the place of the stored one.

Examples:
  refine.py --store output/photos --model weights/sam2.1-hiera-small --output output/photos_sam
  refine.py --store output/demo/stored/mask_rcnn --model weights/sam-vit-base --output output/sam --truth shapes_val
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sam_masks.common import add_model, add_single, check_model, check_share, load_segmenter, mask_options
from thingstuff.cli.common import add_dataset, register_datasets, run_command
from thingstuff.errors import ConfigError, DataError


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(build_parser(), _refine, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--store", type=Path, required=True, metavar="STORE", help="a store, or predict.py's output")
    add("--output", type=Path, required=True, metavar="DIR", help="the new store goes to DIR/predictions/NAME")
    add_model(parser)
    add_single(parser)
    add("--score-thresh", type=float, default=0.0, metavar="T", help="what scores less keeps its mask (default 0)")
    add("--boxes-from-masks", action="store_true", help="boxes become those of the new masks (default: they stay)")
    add("--images", type=Path, metavar="DIR", help="where the images are (default: where they were)")
    add("--truth", metavar="NAME|FILE", help="print AP before and after: a data set, a declaration or a COCO JSON")
    add_dataset(parser)
    return parser


def _refine(args: argparse.Namespace) -> int:
    from thingstuff.console import start_console
    from thingstuff.engine.folders import make_writable

    _check(args)
    start_console()
    store = _open(args.store)
    options = _options(args)
    meta = _meta(args, store, options)
    truth = _truth(args, store)
    make_writable(args.output, "--output")
    folder = args.output / "predictions" / store.folder.name
    if folder.resolve() == store.folder.resolve():
        raise ConfigError(f"--output {args.output} is where the store lies that is to be refined: give another")
    refined = _run(args, store, folder, meta, options)
    _report(refined, folder)
    if truth is not None:
        from sam_masks.before_after import before_after
        from thingstuff.store import Store

        print(f"\n{truth.name}\n{before_after(store, Store.open(folder), truth)}")
    return 0


def _check(args: argparse.Namespace) -> None:
    if not args.store.is_dir():
        raise DataError(f"there is no store at {args.store}: give a store's folder, or the output folder of predict.py")
    if args.images is not None and not args.images.is_dir():
        raise DataError(f"--images: there is no folder {args.images}")
    check_share("--score-thresh", args.score_thresh)
    check_model(args)


def _open(path: Path) -> Any:
    from thingstuff.report.stored_scores import store_folder
    from thingstuff.store import Store

    return Store.open(store_folder(path))


def _options(args: argparse.Namespace) -> Any:
    from sam_masks.refine import RefineOptions

    return RefineOptions(args.score_thresh, args.boxes_from_masks)


def _meta(args: argparse.Namespace, store: Any, options: Any) -> Any:
    """Checks the store and its images on the way, since the hash of large weights takes a while."""
    from dataclasses import replace

    from sam_masks.refine import check_store, image_paths
    from sam_masks.refined_meta import refined_meta

    check_store(store, options)
    image_paths(store, replace(store.meta, image_root=str(args.images)) if args.images else store.meta)
    return refined_meta(store, args.model, mask_options(args), options, args.images)


def _truth(args: argparse.Namespace, store: Any) -> Any:
    register_datasets(args)
    if args.truth is None:
        return None
    from sam_masks.before_after import truth_of

    return truth_of(args.truth, store.meta.dataset)


def _run(args: argparse.Namespace, store: Any, folder: Path, meta: Any, options: Any) -> Any:
    from sam_masks.prompts import Prompts
    from sam_masks.refine import refine_store

    segmenter = load_segmenter(args)
    return refine_store(store, lambda image, boxes: segmenter(image, Prompts(boxes)).masks, folder, meta, options)


def _report(refined: Any, folder: Path) -> None:
    before = f", {refined.already_there} already there" if refined.already_there else ""
    print(f"{'images':10} {refined.images}{before}")
    print(f"{'refined':10} {refined.refined} instances")
    kept = {
        "score less than --score-thresh": refined.below,
        "have a box outside of the image": refined.outside,
        "got no mask": refined.empty,
    }
    for why, count in kept.items():
        if count:
            print(f"{'as before':10} {count} that {why}")
    print(f"{'store':10} {folder}")
