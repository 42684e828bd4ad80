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
from thingstuff.errors import ConfigError, DataError

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
    add("--compare", type=Path, metavar="PATH", help="other predictions of the same images, for a verdict")
    add("--draws", type=int, default=1000, metavar="N", help="of the images, for the intervals (default 1000)")
    add("--seed", type=int, default=0, metavar="N", help="of the draws (default 0)")
    add("--output", type=Path, required=True, metavar="DIR", help="where results.json goes")
    return parser


def _evaluate(args: argparse.Namespace) -> int:
    from thingstuff.files import write_json
    from thingstuff.report.causes_table import cause_records, causes_table
    from thingstuff.report.error_bars import as_records, differences, differences_table, intervals, intervals_table
    from thingstuff.report.ground_truth import open_truth
    from thingstuff.report.results_table import results_table
    from thingstuff.report.stored_scores import score

    for path in (args.predictions, args.compare):
        if path is not None and not path.exists():
            raise DataError(f"there are no predictions at {path}")
    if args.draws < 2 or args.seed < 0:
        raise ConfigError(f"--draws must be 2 or more and --seed 0 or more, got {args.draws} and {args.seed}")
    truth = open_truth(args.ground_truth, args.truth_folder)
    scores = score(args.predictions, truth, args.predictions_folder)
    found = intervals(scores.samples, args.draws, args.seed)
    verdicts = {}
    if args.compare:
        verdicts = differences(scores.samples, score(args.compare, truth).samples, args.draws, args.seed)
    path = args.output / "results.json"
    record = {
        "schema": SCHEMA,
        "predictions": str(args.predictions),
        "ground_truth": args.ground_truth,
        "results": {truth.name: scores.results},
        "intervals": as_records(found),
        "compared_with": str(args.compare) if args.compare else None,
        "differences": as_records(verdicts),
        "causes": cause_records(scores.causes) if scores.causes else {},
        "notes": scores.notes,
    }
    write_json(path, record)
    print(f"\n{truth.name}\n{results_table(scores.results)}\n")
    if found:
        print(f"{intervals_table(found)}\n")
    if scores.causes:
        print(f"{causes_table(scores.causes)}\n")
    if verdicts:
        print(f"{differences_table(verdicts)}\n")
    for note in scores.notes:
        print(note)
    print(f"results    {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
