"""What do I gain and lose by going panoptic? Compare the instances and the panoptic map of stores, on one page.

Examples:
  compare.py output/photos                         one store: its instances against its panoptic map
  compare.py output/two_models output/one_network  several stores of the same images
  compare.py output/photos other_results.json      with results of another program, as store.py imports them
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from thingstuff.cli.common import add_dataset, add_draws, check_draws, register_datasets, run_command
from thingstuff.errors import ConfigError, DataError

MOST_IMAGES = 200


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _compare, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "stores",
        type=Path,
        nargs="+",
        metavar="STORE",
        help="a store, predict.py's output, or results of another program",
    )
    add_dataset(parser)
    add("--output", type=Path, default=Path("output/compare"), metavar="DIR", help="default: output/compare")
    add("--ground-truth", metavar="NAME|FILE", help="default: the data set that the first store was made of")
    add("--truth-folder", type=Path, metavar="DIR", help="PNGs of a panoptic truth (default: named as its JSON)")
    add("--names", nargs="+", default=[], metavar="NAME", help="of the stores (default: their folders')")
    add("--images", type=int, default=MOST_IMAGES, metavar="N", help=f"on the page, at most (default {MOST_IMAGES})")
    add_draws(parser)
    return parser


def _compare(args: argparse.Namespace) -> int:
    from thingstuff.console import start_console
    from thingstuff.engine.folders import make_writable
    from thingstuff.report.comparison import ComparisonOptions, compare_stores
    from thingstuff.report.comparison_files import PAGE, write_comparison
    from thingstuff.report.comparison_report import text
    from thingstuff.report.page import check_page_path, files_folder

    _check(args)
    check_page_path(args.output / PAGE)
    make_writable(args.output, "--output")
    start_console()
    register_datasets(args)
    options = ComparisonOptions(args.names, args.output / "imported", args.truth_folder, args.draws, args.seed)
    comparison = compare_stores(args.stores, args.ground_truth, options)
    print(f"\n{text(comparison)}\n")
    record, page = write_comparison(comparison, args.output, args.images)
    print(f"{'results':10} {record}")
    beside = f", with its pictures in {files_folder(page)}" if files_folder(page).exists() else ""
    print(f"{'page':10} {page}{beside}")
    return 0


def _check(args: argparse.Namespace) -> None:
    for store in args.stores:
        if not store.exists():
            raise DataError(f"there is no store at {store}: give the output folder of predict.py, or results")
    check_draws(args)
    if args.images < 0:
        raise ConfigError(f"--images must be 0 or more, got {args.images}")


if __name__ == "__main__":
    sys.exit(main())
