"""The tour: train instances and stuff on the embedded data set, merge them, evaluate, draw, and sum it all up."""

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

    write_json(args.output / "summary.json", summary)
    print(f"summary    {args.output / 'summary.json'}")
    return 0


def _run(recipe: str, output: Path, options: list[str]) -> dict[str, float | None]:
    """Run a recipe in its folder; the few numbers that stand for it."""
    from thingstuff.engine.run import WEIGHTS_FILE, results_path
    from thingstuff.report.results_table import headline

    settings = ["OUTPUT_DIR", str(output / recipe)]
    if recipe == BOTH:
        things, stuff = (str(output / trained / WEIGHTS_FILE) for trained in (INSTANCES, STUFF))
        settings += ["SOLVER.MAX_ITER", "0", "MODEL.WEIGHTS", things, "PANOPTIC.STUFF_WEIGHTS", stuff]
    run_config(f"thingstuff://shapes/{recipe}.yaml", [*options, *settings])
    run = json.loads(results_path(output / recipe, recipe == BOTH).read_text())
    return headline(next(iter(run["results"].values()))) | {"train_seconds": run["train_seconds"]}


if __name__ == "__main__":
    sys.exit(main())
