"""Work with data sets. So far: write the embedded set `shapes` and say what is in it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from thingstuff.cli.common import run_command


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), lambda args: args.run(args), argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dataset", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shapes = commands.add_parser("shapes", help="write the embedded data set and print its statistics")
    shapes.add_argument(
        "--output", type=Path, metavar="DIR", help="default: shapes/ under $DETECTRON2_DATASETS, or datasets/shapes"
    )
    shapes.set_defaults(run=_shapes)
    return parser


def _shapes(args: argparse.Namespace) -> int:
    from thingstuff.data.shapes import ensure_shapes, read_statistics

    root = ensure_shapes(args.output)
    for split, statistics in read_statistics(root).items():
        print(f"shapes_{split} in {root / split}")
        for line in statistics.lines():
            print(f"  {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
