"""`dataset.py shapes`: write the embedded data set, or another draw of its scenes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_shapes(commands: Any) -> None:
    text = "write the embedded data set, or with --seed, --train, --val another draw of it, and print its statistics"
    one = commands.add_parser("shapes", help=text, description=text)
    place = "default: shapes/ under $DETECTRON2_DATASETS, or datasets/shapes; of another draw a new folder"
    one.add_argument("--output", type=Path, metavar="DIR", help=place)
    one.add_argument("--seed", type=int, metavar="N", help="of another draw")
    one.add_argument("--train", type=int, metavar="N", help="images of the other draw (default 600)")
    one.add_argument("--val", type=int, metavar="N", help="likewise (default 200)")
    one.set_defaults(run=_shapes)


def _shapes(args: argparse.Namespace) -> int:
    from thingstuff.data.shapes import draw_shapes, ensure_shapes, read_statistics

    is_own = (args.seed, args.train, args.val) == (None, None, None)
    root = ensure_shapes(args.output) if is_own else draw_shapes(args.output, args.train, args.val, args.seed)
    for split, statistics in read_statistics(root).items():
        print(f"shapes_{split} in {root / split}")
        for line in statistics.lines():
            print(f"  {line}")
    return 0
