"""The tour: train instances and stuff on the embedded data set, merge them, evaluate, draw, and sum it all up.

At last it says how sure the numbers are, and where they are lost.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from thingstuff.cli.common import run_command
from thingstuff.cli.train_net import run_config

INSTANCES, STUFF, BOTH = "mask_rcnn", "semantic", "things_and_stuff"


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _demo, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("output/demo"), metavar="DIR", help="default: output/demo")
    parser.add_argument("--setup-seconds", type=float, metavar="S", help="how long the set-up took, for the summary")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="config options over the recipes'")
    return parser


def _demo(args: argparse.Namespace) -> int:
    summary = {"setup_seconds": args.setup_seconds}
    for recipe in (INSTANCES, STUFF, BOTH):
        summary[recipe] = _run(recipe, args.output, args.opts)
    from thingstuff.files import write_json

    summary["intervals"] = _score(args.output, args.opts)
    write_json(args.output / "summary.json", summary)
    print(f"summary    {args.output / 'summary.json'}")
    return 0


def _run(recipe: str, output: Path, options: list[str]) -> dict[str, float | None]:
    """Run a recipe in its folder; the few numbers that stand for it."""
    from thingstuff.engine.run import results_path
    from thingstuff.report.results_table import headline

    settings = ["OUTPUT_DIR", str(output / recipe)]
    if recipe == BOTH:
        settings += ["SOLVER.MAX_ITER", "0", *_weights(output)]
    run_config(f"thingstuff://shapes/{recipe}.yaml", [*options, *settings])
    run = json.loads(results_path(output / recipe, recipe == BOTH).read_text())
    return headline(next(iter(run["results"].values()))) | {"train_seconds": run["train_seconds"]}


def _weights(output: Path) -> list[str]:
    from thingstuff.engine.run import WEIGHTS_FILE

    things, stuff = (str(output / trained / WEIGHTS_FILE) for trained in (INSTANCES, STUFF))
    return ["MODEL.WEIGHTS", things, "PANOPTIC.STUFF_WEIGHTS", stuff]


def _score(output: Path, options: list[str]) -> dict[str, dict[str, object]]:
    """Store what the merged models predict, and print error bars and causes; the intervals."""
    from thingstuff.config import load_config
    from thingstuff.data.inputs import dataset_inputs
    from thingstuff.engine.device import settle_device
    from thingstuff.engine.folders import set_aside
    from thingstuff.report.error_bars import as_records, intervals
    from thingstuff.report.ground_truth import open_truth
    from thingstuff.report.prediction_run import Job, Wanted, run_prediction
    from thingstuff.report.score_report import ScoreReport
    from thingstuff.report.stored_scores import score

    cfg = load_config(f"thingstuff://shapes/{BOTH}.yaml", [*options, *_weights(output)])
    settle_device(cfg)
    name = cfg.DATASETS.TEST[0]
    folder = output / "stored"
    if folder.exists():  # by other weights
        set_aside(folder)
    run_prediction(Job(cfg, dataset_inputs(name), folder, Wanted(overlays=False), name))
    scores = score(folder, open_truth(name))
    report = ScoreReport(str(folder), name, scores, intervals(scores.samples))
    print(f"\n{report.explanation()}\n")
    print(f"scores     {report.write(output / 'scores' / 'results.json')}")
    return as_records(report.intervals)


if __name__ == "__main__":
    sys.exit(main())
