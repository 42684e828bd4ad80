"""The tour: train instances, stuff and both on the embedded data set, merge, evaluate, draw, and sum it all up.

At last it says how sure the numbers are, what they are lost by, and what going panoptic costs and gives.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from thingstuff.cli.common import run_command
from thingstuff.cli.train_net import run_config

INSTANCES, STUFF, BOTH, ONE_NETWORK = "mask_rcnn", "semantic", "things_and_stuff", "panoptic_fpn"
COMPARED = (BOTH, ONE_NETWORK, INSTANCES)
PAGE_IMAGES = 60


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _demo, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("output/demo"), metavar="DIR", help="default: output/demo")
    parser.add_argument("--setup-seconds", type=float, metavar="S", help="how long the set-up took, for the summary")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="config options over the recipes'")
    return parser


def _demo(args: argparse.Namespace) -> int:
    summary: dict[str, Any] = {"setup_seconds": args.setup_seconds}
    for recipe in (INSTANCES, STUFF, BOTH, ONE_NETWORK):
        summary[recipe] = _run(recipe, args.output, args.opts)
    from thingstuff.files import write_json

    stores = [_store(recipe, args.output, args.opts) for recipe in COMPARED]
    summary["intervals"] = _score(stores[0], args.output)
    summary["verdict"] = _compare(stores, args.output)
    write_json(args.output / "summary.json", summary)
    print(f"summary    {args.output / 'summary.json'}")
    return 0


def _run(recipe: str, output: Path, options: list[str]) -> dict[str, float | None]:
    """Run a recipe in its folder; the few numbers that stand for it."""
    from thingstuff.engine.run import results_path
    from thingstuff.report.results_table import headline

    settings = ["OUTPUT_DIR", str(output / recipe)]
    if recipe == BOTH:
        settings += ["SOLVER.MAX_ITER", "0", *_weights(recipe, output)]
    run_config(f"thingstuff://shapes/{recipe}.yaml", [*options, *settings])
    run = json.loads(results_path(output / recipe, recipe == BOTH).read_text())
    return headline(next(iter(run["results"].values()))) | {"train_seconds": run["train_seconds"]}


def _weights(recipe: str, output: Path) -> list[str]:
    from thingstuff.engine.run import WEIGHTS_FILE

    if recipe != BOTH:
        return ["MODEL.WEIGHTS", str(output / recipe / WEIGHTS_FILE)]
    things, stuff = (str(output / trained / WEIGHTS_FILE) for trained in (INSTANCES, STUFF))
    return ["MODEL.WEIGHTS", things, "PANOPTIC.STUFF_WEIGHTS", stuff]


def _store(recipe: str, output: Path, options: list[str]) -> Path:
    """Predict the test images once more, into a store."""
    from thingstuff.config import load_config
    from thingstuff.data.inputs import dataset_inputs
    from thingstuff.engine.device import settle_device
    from thingstuff.engine.folders import set_aside
    from thingstuff.report.prediction_run import Job, Wanted, run_prediction

    cfg = load_config(f"thingstuff://shapes/{recipe}.yaml", [*options, *_weights(recipe, output)])
    settle_device(cfg)
    folder = output / "stored" / recipe
    if folder.exists():  # by other weights
        set_aside(folder)
    name = cfg.DATASETS.TEST[0]
    run_prediction(Job(cfg, dataset_inputs(name), folder, Wanted(overlays=False), name))
    return folder


def _score(store: Path, output: Path) -> dict[str, dict[str, object]]:
    """Print error bars and causes of the merged models; the intervals."""
    from thingstuff.report.error_bars import as_records, intervals
    from thingstuff.report.ground_truth import open_truth
    from thingstuff.report.score_report import ScoreReport
    from thingstuff.report.stored_scores import score, store_folder
    from thingstuff.store import Store

    name = str(Store.open(store_folder(store)).meta.dataset)
    scores = score(store, open_truth(name))
    report = ScoreReport(str(store), name, scores, intervals(scores.samples))
    print(f"\n{report.explanation()}\n")
    print(f"scores     {report.write(output / 'scores' / 'results.json')}")
    return as_records(report.intervals)


def _compare(stores: list[Path], output: Path) -> list[str]:
    """Print what going panoptic costs and gives, and write the page of it; the sentences."""
    from thingstuff.report.comparison import compare_stores
    from thingstuff.report.comparison_files import write_comparison
    from thingstuff.report.comparison_report import tables, verdict

    comparison = compare_stores(stores)
    sentences = verdict(comparison)
    print("\n" + "\n\n".join([tables(comparison)[0].table.text(), *sentences]) + "\n")
    print(f"comparison {write_comparison(comparison, output, PAGE_IMAGES)[1]}")
    return sentences


if __name__ == "__main__":
    sys.exit(main())
