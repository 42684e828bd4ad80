"""Evaluate stored predictions, without a model and without a GPU: box and mask AP, mean IoU, panoptic quality.

Examples:
  evaluate.py --predictions output/photos --ground-truth shapes_val --output output/scores
  evaluate.py --predictions coco_results.json --ground-truth instances_val2017.json --output output/scores
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from thingstuff.cli.common import run_command
from thingstuff.errors import DataError

SCHEMA = 1  # of results.json, raised when a key changes its meaning


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _evaluate, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--predictions", type=Path, required=True, metavar="PATH", help="a store, predict.py's output, or a COCO JSON")
    add("--ground-truth", required=True, metavar="NAME|FILE", help="a registered data set, or a COCO JSON")
    add("--truth-folder", type=Path, metavar="DIR", help="PNGs of a panoptic truth (default: named as its JSON)")
    add("--predictions-folder", type=Path, metavar="DIR", help="PNGs of panoptic predictions (default: as their JSON)")
    add("--output", type=Path, required=True, metavar="DIR", help="where results.json goes")
    return parser


def _evaluate(args: argparse.Namespace) -> int:
    from thingstuff.files import write_json
    from thingstuff.report.ground_truth import open_truth
    from thingstuff.report.results_table import results_table
    from thingstuff.report.stored_scores import score

    if not args.predictions.exists():
        raise DataError(f"there are no predictions at {args.predictions}")
    truth = open_truth(args.ground_truth, args.truth_folder)
    scores = score(args.predictions, truth, args.predictions_folder)
    path = args.output / "results.json"
    inputs = {"predictions": str(args.predictions), "ground_truth": args.ground_truth}
    write_json(path, {"schema": SCHEMA, **inputs, "results": {truth.name: scores.results}, "notes": scores.notes})
    print(f"\n{truth.name}\n{results_table(scores.results)}\n")
    for note in scores.notes:
        print(note)
    print(f"results    {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
