"""Work with data sets: check, convert, split, merge and look at them.

DATA is a declaration (my_data.yaml), a registered name (shapes_val, coco_2017_val), or the annotations themselves: a
file or folder in a format that is recognised.

Examples:
  dataset.py check my_data.yaml
  dataset.py convert my_data.yaml --to coco --output output/my_data_coco
  dataset.py stats my_data.yaml --output output/my_data
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from thingstuff.cli.common import run_command
from thingstuff.cli.dataset_shapes import add_shapes
from thingstuff.cli.key_values import numbers_by_name, values_by_name

EXIT_ERRORS = 1  # of `check`: it ran, and found mistakes that would fail or teach nonsense
MOST_CLASSES = 30  # of a table on the terminal; the page and the JSON have all
POLICIES = ("fail", "area", "order")
PANOPTIC_FORMS = ("panoptic_2ch", "panoptic_detection")


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), lambda args: args.run(args), argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dataset", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_check(commands)
    _add_convert(commands)
    _add_split(commands)
    _add_stats(commands)
    _add_preview(commands)
    _add_merge(commands)
    _add_build_panoptic(commands)
    add_shapes(commands)
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> Any:
    """A command about DATA; the function that adds options to it."""
    one = commands.add_parser(name, help=text, description=text)
    one.set_defaults(run=run)
    one.add_argument("data", metavar="DATA", help="a declaration, a registered name, or annotations")
    one.add_argument("--images", type=Path, metavar="DIR", help="of annotations that are named directly")
    one.add_argument("--format", default="auto", metavar="NAME", help="of annotations that are named directly")
    one.add_argument("--lenient", action="store_true", help="leave out what cannot be read, and say how much")
    text = "a key of that format, as in a declaration: label=kind, divisor=1000; again for more"
    one.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help=text)
    return one.add_argument


def _add_check(commands: Any) -> None:
    add = _command(commands, "check", _check, "find the mistakes that cost a night of training")
    add("--quick", action="store_true", help="the annotations and the names of files alone; no image is opened")
    add("--config-file", metavar="FILE", help="compare the class counts of this config with the data")
    add("--fix", type=Path, metavar="DIR", help="write a mended copy of the annotations (COCO) into a new folder")
    add("--json", type=Path, metavar="FILE", help="write the findings for a program")


def _add_convert(commands: Any) -> None:
    add = _command(commands, "convert", _convert, "write a data set in another format")
    _add_output(add, None)
    add("--tolerance", type=float, default=0.0, metavar="PX", help="how far polygons may run beside masks (default 0)")


def _add_output(add: Any, form: str | None) -> None:
    """Where written data goes, and in which format; None: that must be said."""
    default = "" if form is None else f" (default {form})"
    formats = (
        *("coco", "coco_panoptic", "lvis", "fiftyone", "supervisely", "labelme", "cvat", "via", "label_studio"),
        *("yolo", "voc", "mask_folders", "cityscapes", "id_masks", "semantic"),
    )
    text = f"{', '.join(formats)}{default}"
    if form is None:
        text = f"{text}, {', '.join(PANOPTIC_FORMS)}"
    add("--to", required=form is None, default=form, metavar="FORMAT", help=text)
    add("--output", type=Path, required=True, metavar="DIR", help="a new folder; one below it for each split")
    add("--copy-images", action="store_true", help="copy the images too")


def _add_split(commands: Any) -> None:
    add = _command(commands, "split", _split, "share the images of a data set out, once and for all")
    add("--shares", nargs="+", required=True, metavar="NAME=SHARE", help="for example train=0.8 val=0.2")
    _add_output(add, "coco")
    add("--seed", type=int, default=0, metavar="N", help="of the shuffling (default 0)")
    add("--group-by", metavar="REGEX", help="images with the same first group stay together, as frames of one video")
    add("--no-stratify", action="store_true", help="do not share rare classes out evenly")


def _add_stats(commands: Any) -> None:
    add = _command(commands, "stats", _stats, "counts and sizes: images, instances, classes")
    add("--no-pixels", action="store_true", help="do not read label maps, which takes long where they are many")
    add("--output", type=Path, metavar="DIR", help="also write stats.json and a page with plots")


def _add_preview(commands: Any) -> None:
    add = _command(commands, "preview", _preview, "a picture of some images with their truth drawn over them")
    add("--output", type=Path, required=True, metavar="FILE", help="a .jpg or .png")
    add("--count", type=int, default=12, metavar="N", help="images (default 12)")
    add("--seed", type=int, default=0, metavar="N", help="which ones (default 0)")
    add("--image", action="append", default=[], metavar="NAME", help="these instead; again for more")


def _add_merge(commands: Any) -> None:
    one = commands.add_parser("merge", help="several data sets as one", description="several data sets as one")
    one.set_defaults(run=_merge)
    one.add_argument("data", nargs="+", metavar="DATA", help="two or more; categories are joined by name")
    one.add_argument("--lenient", action="store_true", help="leave out what cannot be read, and say how much")
    _add_output(one.add_argument, "coco")


def _add_build_panoptic(commands: Any) -> None:
    add = _command(commands, "build-panoptic", _build_panoptic, "panoptic truth from instances and label maps")
    add("--policy", choices=POLICIES, required=True, help="of overlaps: refuse, the smaller wins, the later wins")
    add("--output", type=Path, required=True, metavar="DIR", help="a new folder: panoptic_SPLIT.json and its PNGs")


# ---- the commands ------------------------------------------------------------------------------------------------


def _open(args: argparse.Namespace) -> Any:
    from thingstuff.console import start_console
    from thingstuff.data.open_data import open_data

    start_console()
    opened = open_data(
        args.data, args.images, args.format, args.lenient, values_by_name(args.option, "--option", "label=kind")
    )
    for truth in opened.splits.values():
        for note in truth.notes:
            print(note)
    return opened


def _check(args: argparse.Namespace) -> int:
    from thingstuff.config import load_config
    from thingstuff.data.checks import CHECKS, Checked, run_checks
    from thingstuff.data.checks.class_counts import stated_class_counts
    from thingstuff.data.convert import refuse_filled
    from thingstuff.data.fix import mended, write_mended
    from thingstuff.engine.folders import make_writable
    from thingstuff.files import write_json
    from thingstuff.report.check_report import check_record, check_text

    if args.json:
        make_writable(args.json.parent, "--json")
    if args.fix:
        refuse_filled(args.fix)
    opened = _open(args)
    class_counts = {}
    if args.config_file and not opened.declaration:
        class_counts = stated_class_counts(load_config(args.config_file))
    data = Checked(opened.splits, args.quick, class_counts)
    if opened.declaration and args.config_file:
        print(f"the class counts of {args.config_file} are set from a declared data set, so they are not compared")
    found = run_checks(data)
    if args.json:
        write_json(args.json, check_record(args.data, found, args.quick))
    looked_for = sum(len(check.codes) for check in CHECKS if check.is_quick or not args.quick)
    print(f"\n{check_text(found, list(opened.splits), looked_for)}")
    if args.fix:
        written = write_mended(mended(opened.splits), args.fix, opened.name)
        print(
            *written.notes, *(f"mended     {path}" for path in (*written.paths.values(), written.declaration)), sep="\n"
        )
    return EXIT_ERRORS if any(one.code.severity == "error" for one in found) else 0


def _convert(args: argparse.Namespace) -> int:
    from thingstuff.data.convert import convert
    from thingstuff.data.formats import WriteOptions

    opened = _open(args)
    options = WriteOptions(args.copy_images, args.tolerance)
    converted = convert(opened.splits, args.to, args.output, options, opened.name)
    _show_converted(converted)
    return 0


def _split(args: argparse.Namespace) -> int:
    from thingstuff.data.convert import convert
    from thingstuff.data.formats import WriteOptions
    from thingstuff.data.merge_data import merge
    from thingstuff.data.split_data import split

    opened = _open(args)
    truths = list(opened.splits.values())
    whole = truths[0] if len(truths) == 1 else merge(truths, list(opened.splits))
    stratify = not args.no_stratify
    shares = numbers_by_name(args.shares, "--shares", "NAME=SHARE such as train=0.8")
    parts = split(whole, shares, args.seed, stratify=stratify, group_by=args.group_by)
    _show_converted(convert(parts, args.to, args.output, WriteOptions(args.copy_images), opened.name))
    return 0


def _show_converted(converted: Any) -> None:
    for note in converted.notes:
        print(note)
    for split, path in converted.paths.items():
        print(f"{split:10} {path}")
    if converted.declaration is not None:
        print(f"{'declared':10} {converted.declaration}")


def _stats(args: argparse.Namespace) -> int:
    from thingstuff.files import write_json
    from thingstuff.report.dataset_stats import measure
    from thingstuff.report.dataset_stats_page import write_stats_page
    from thingstuff.report.dataset_tables import rare_lines, stats_tables

    opened = _open(args)
    stats = measure(opened.splits, with_pixels=not args.no_pixels)
    for title, table in stats_tables(stats, MOST_CLASSES).items():
        print(f"\n{title}\n{table.text()}")
    for line in rare_lines(stats.splits):
        print(line)
    if args.output:
        write_json(args.output / "stats.json", stats.to_json())
        page = write_stats_page(stats, args.output / "stats.html", opened.name)
        print(f"\nresults    {args.output / 'stats.json'}\npage       {page}")
    return 0


def _preview(args: argparse.Namespace) -> int:
    from thingstuff.report.dataset_preview import PreviewOptions, preview

    found = preview(_open(args).splits, args.output, PreviewOptions(args.count, args.seed, tuple(args.image)))
    for note in found.notes:
        print(note)
    print(f"picture    {found.path}")
    return 0


def _merge(args: argparse.Namespace) -> int:
    from thingstuff.console import start_console
    from thingstuff.data.convert import convert
    from thingstuff.data.formats import WriteOptions
    from thingstuff.data.merge_data import merge
    from thingstuff.data.open_data import open_data

    start_console()
    opened = [open_data(text, lenient=args.lenient) for text in args.data]
    named = [(f"{one.name}_{split}", truth) for one in opened for split, truth in one.splits.items()]
    whole = merge([truth for _, truth in named], [name for name, _ in named])
    for note in whole.notes:
        print(note)
    options = WriteOptions(args.copy_images)
    _show_converted(convert({"data": whole}, args.to, args.output, options, args.output.name))
    return 0


def _build_panoptic(args: argparse.Namespace) -> int:
    from thingstuff.data.convert import write_declaration
    from thingstuff.data.panoptic.build import build_panoptic

    opened = _open(args)
    written = {}
    for split, truth in opened.splits.items():
        made = build_panoptic(truth, args.output / f"panoptic_{split}", args.policy)
        shared = f", {made.shared_px} pixels were of two instances" if made.shared_px else ""
        void = made.void_px / max(made.all_px, 1)
        print(f"{split:10} {made.json_path}: {void:.1%} of the pixels are void{shared}")
        if truth.stuff is None:
            print(f"{'':10} there are no label maps of stuff, so all that is no instance is void")
        for place in made.hidden:
            print(f"{'':10} {place} is wholly covered by others, and has no segment")
        written[split] = made.json_path
    roots = {split: truth.image_root for split, truth in opened.splits.items()}
    path = write_declaration(args.output / f"{opened.name}.yaml", "coco_panoptic", written, roots)
    print(f"{'declared':10} {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
