"""Stored predictions: import results of other programs, merge things with stuff, export for other programs.

Examples:
  store.py import their_results.json --data my_data.yaml --split val --output output/theirs
  store.py import runs/segment/predict/labels --data data.yaml --split val --output output/yolo
  store.py merge output/yolo output/semantic --output output/yolo_panoptic
  store.py export output/yolo --to cvat --output output/for_cvat
  store.py info output/yolo
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from thingstuff.cli.common import run_command
from thingstuff.cli.key_values import numbers_by_name
from thingstuff.errors import ConfigError, DataError

EXPORTED = ("coco", "coco_panoptic", "cvat", "fiftyone", "labelme")
LABEL_THRESH = 0.5  # of what goes to a labeller


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), lambda args: args.run(args), argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="store", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_import(commands)
    _add_merge(commands)
    _add_export(commands)
    _add_info(commands)
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> Any:
    one = commands.add_parser(name, help=text, description=text)
    one.set_defaults(run=run)
    return one.add_argument


def _add_import(commands: Any) -> None:
    add = _command(commands, "import", _import, "results of another program as a store")
    add(
        "results", type=Path, metavar="RESULTS", help="a COCO JSON of results, or a folder of Ultralytics or Cityscapes"
    )
    add("--data", required=True, metavar="DATA", help="a declaration, a registered name, or annotations")
    add("--split", metavar="NAME", help="of DATA, where it has several")
    add("--output", type=Path, required=True, metavar="DIR", help="the store goes to DIR/predictions/NAME_SPLIT")
    add("--format", default="auto", metavar="NAME", help="coco, coco_panoptic, yolo, cityscapes (default: recognised)")
    add("--names", type=Path, metavar="FILE", help="of the results' classes: data.yaml, classes.txt or a COCO JSON")
    add("--folder", type=Path, metavar="DIR", help="PNGs of panoptic results (default: as their JSON)")
    add("--images", type=Path, metavar="DIR", help="of annotations that are named directly")
    add("--lenient", action="store_true", help="leave out results that cannot count, and say how many")


def _add_merge(commands: Any) -> None:
    add = _command(commands, "merge", _merge, "the things of one store over the stuff of another, as panoptic maps")
    add("things", type=Path, metavar="THINGS", help="a store with detections, or predict.py's output")
    add("stuff", type=Path, nargs="?", metavar="STUFF", help="a store with stuff or panoptic maps (default: THINGS)")
    add("--output", type=Path, required=True, metavar="DIR", help="the store goes to DIR/predictions/...")
    add("--rule", default="greedy", metavar="NAME", help="a merge rule (default greedy)")
    add("--threshold", action="append", default=[], metavar="NAME=VALUE", help="of the rule; again for more")


def _add_export(commands: Any) -> None:
    add = _command(commands, "export", _export, "a store in a format that other programs read")
    add("store", type=Path, metavar="STORE", help="a store, or predict.py's output")
    add("--to", required=True, choices=EXPORTED, help="of the result")
    add("--output", type=Path, required=True, metavar="DIR", help="where the files go")
    add(
        "--score-thresh",
        type=float,
        metavar="T",
        help=f"leave out what scores less (for labelling {LABEL_THRESH}, else 0)",
    )
    add("--stuff", action="store_true", help="regions of stuff too, for labelling")
    add("--images", type=Path, metavar="DIR", help="where the images are (default: where they were)")
    add(
        "--tolerance", type=float, default=0.5, metavar="PX", help="how far polygons may run beside masks (default 0.5)"
    )
    add("--overwrite", action="store_true", help="replace files of an earlier export, which may hold corrections")


def _add_info(commands: Any) -> None:
    add = _command(commands, "info", _info, "what is in a store")
    add("store", type=Path, metavar="STORE", help="a store, or predict.py's output")


# ---- the commands ------------------------------------------------------------------------------------------------


def _import(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from thingstuff.console import start_console
    from thingstuff.data.formats.faults import Faults
    from thingstuff.data.results import ResultSource, Targets, result_format_of
    from thingstuff.data.results.class_ids import read_class_names
    from thingstuff.data.results.import_results import import_results
    from thingstuff.engine.folders import make_writable

    start_console()
    results = result_format_of(args.format, args.results)
    names = read_class_names(args.names) if args.names else {}
    name, truth, file = _split(args)
    make_writable(args.output, "--output")
    source = ResultSource(args.results, names, args.folder, Faults(args.lenient))
    targets = replace(Targets.of_truth(name, truth), truth=file)
    imported = import_results(results, source, targets, args.output / "predictions" / name)
    for note in imported.notes:
        print(note)
    _show(imported.folder)
    return 0


def _split(args: argparse.Namespace) -> tuple[str, Any, str]:
    """The split that the results are of, under the name by which it is registered, or with its own JSON."""
    from thingstuff.data.open_data import WHOLE, open_data

    opened = open_data(args.data, args.images)
    for truth in opened.splits.values():
        for note in truth.notes:
            print(note)
    if args.split is None and len(opened.splits) > 1:
        raise ConfigError(f"{args.data} has several splits: say which with --split, one of {', '.join(opened.splits)}")
    split = args.split or next(iter(opened.splits))
    if split not in opened.splits:
        raise ConfigError(f"--split {split}: {args.data} has {', '.join(opened.splits)}")
    truth = opened.splits[split]
    if opened.declaration is not None:
        return opened.declaration.registered(split), truth, ""
    if split != WHOLE:
        return (opened.name if split == opened.name else f"{opened.name}_{split}"), truth, ""
    file = truth.json_path or (truth.panoptic.json_path if truth.panoptic else None)
    return opened.name, truth, str(file or "")


def _merge(args: argparse.Namespace) -> int:
    from thingstuff.console import start_console
    from thingstuff.engine.folders import make_writable
    from thingstuff.merge import build_rule
    from thingstuff.report.merged_store import merge_stores

    start_console()
    thresholds = numbers_by_name(args.threshold, "--threshold", "NAME=VALUE such as overlap_thresh=0.5")
    rule = build_rule(args.rule, **thresholds)
    things = _open(args.things)
    stuff = _open(args.stuff) if args.stuff else things
    make_writable(args.output, "--output")
    folder = args.output / "predictions" / things.folder.name
    merged = merge_stores(things, stuff, rule, folder)
    before = f", {merged.already_there} already there" if merged.already_there else ""
    print("\n".join([f"{merged.merged} merged{before}", *merged.totals.lines()]))
    _show(folder)
    return 0


def _export(args: argparse.Namespace) -> int:
    from thingstuff.console import start_console
    from thingstuff.engine.folders import make_writable
    from thingstuff.store.exports import EXPORTS, FOR_LABELLING, ExportOptions

    start_console()
    store = _open(args.store)
    make_writable(args.output, "--output")
    thresh = args.score_thresh
    if thresh is None and args.to in FOR_LABELLING:
        thresh = LABEL_THRESH
    root = args.images or store.meta.image_root
    options = ExportOptions(thresh, args.stuff, args.tolerance, None if root is None else Path(root), args.overwrite)
    print(f"{f'{args.to} export':20} {EXPORTS[args.to](store, args.output, options)}")
    return 0


def _info(args: argparse.Namespace) -> int:
    from thingstuff.console import start_console

    start_console()
    _show(_open(args.store).folder)
    return 0


def _open(path: Path) -> Any:
    from thingstuff.report.stored_scores import store_folder
    from thingstuff.store import Store

    if not path.exists():
        raise DataError(f"there is no store at {path}: give a store's folder, or the output folder of predict.py")
    if path.is_file():
        raise DataError(f"{path} is a file, and no store: results of other programs become one by store.py import")
    return Store.open(store_folder(path))


def _show(folder: Path) -> None:
    from thingstuff.report.store_summary import store_summary

    print(store_summary(folder))


if __name__ == "__main__":
    sys.exit(main())
