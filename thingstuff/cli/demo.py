"""The tour: train a Mask R-CNN on the embedded data set, evaluate it, draw what it sees, and sum it up in one file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from thingstuff.cli.common import run_command
from thingstuff.cli.train_net import run_config

RECIPE = "thingstuff://shapes/mask_rcnn.yaml"


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _demo, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("output/demo"), metavar="DIR", help="default: output/demo")
    parser.add_argument("--setup-seconds", type=float, metavar="S", help="how long the set-up took, for the summary")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="config options over the recipe's")
    return parser


def _demo(args: argparse.Namespace) -> int:
    folder = args.output / "mask_rcnn"
    run_config(RECIPE, [*args.opts, "OUTPUT_DIR", str(folder)])
    from thingstuff.files import write_json
    from thingstuff.report.results_table import headline

    run = json.loads((folder / "results.json").read_text())
    numbers = headline(next(iter(run["results"].values())))
    summary = {"setup_seconds": args.setup_seconds, "mask_rcnn": numbers | {"train_seconds": run["train_seconds"]}}
    write_json(args.output / "summary.json", summary)
    print(f"summary    {args.output / 'summary.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
