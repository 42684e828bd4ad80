"""Find better thresholds for the merge of things and stuff, on stored predictions and without the network.

Half of the images choose, the other half judges.

Examples:
  tune_merge.py output/photos --ground-truth shapes_val
  tune_merge.py output/photos --confidence 0.5 0.6 0.7 --overlap 0.5 0.7 --area 0 1024 4096 --metric PQ_th
  tune_merge.py output/photos --config-file configs/shapes/things_and_stuff.yaml
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from thingstuff.cli.common import add_dataset, add_draws, check_draws, register_datasets, run_command
from thingstuff.cores import usable_cores
from thingstuff.errors import ConfigError


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _tune_merge, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tune_merge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("store", type=Path, metavar="STORE", help="stored predictions, or predict.py's output")
    add("--ground-truth", metavar="NAME|FILE", help="a data set or a panoptic JSON (default: the store's data set)")
    add("--truth-folder", type=Path, metavar="DIR", help="PNGs of a panoptic truth (default: named as its JSON)")
    add_dataset(parser)
    add("--output", type=Path, default=Path("output/tune_merge"), metavar="DIR", help="default output/tune_merge")
    add("--confidence", type=float, nargs="+", metavar="T", help="least scores of an instance (default 0.3 ... 0.9)")
    add("--overlap", type=float, nargs="+", metavar="T", help="largest shares taken by others (default 0.3 ... 0.8)")
    add("--area", type=float, nargs="+", metavar="A", help="least areas of stuff (default 0 to 4 times the present)")
    add("--metric", choices=("PQ", "PQ_th", "PQ_st"), default="PQ", help="what chooses the best (default PQ)")
    add("--workers", type=int, metavar="N", help="processes (default: all cores)")
    add_draws(parser)
    add("--config-file", metavar="FILE", help="whose PANOPTIC has the present thresholds (default: from the ledgers)")
    add("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config options, at the end")
    return parser


def _tune_merge(args: argparse.Namespace) -> int:
    from thingstuff.console import start_console
    from thingstuff.engine.folders import make_writable
    from thingstuff.report.ground_truth import open_truth
    from thingstuff.report.merge_tuning import tune_merge
    from thingstuff.report.merge_tuning_data import open_data, open_store
    from thingstuff.report.merge_tuning_figure import draw_front
    from thingstuff.report.merge_tuning_report import MergeTuningReport
    from thingstuff.report.stored_scores import truth_name

    grid, options = _grid(args), _options(args)
    start_console()
    register_datasets(args)
    store = open_store(args.store)
    truth = open_truth(truth_name([store], args.ground_truth), args.truth_folder)
    make_writable(args.output, "--output")
    present, source = _present(args, store)
    data, notes = open_data(store, truth)
    tuning = tune_merge(data, present, grid, options)
    report = MergeTuningReport(str(args.store), truth.name, tuning, source, tuple(notes))
    print(f"\n{report.text()}\n")
    for name, path in report.write(args.output).items():
        print(f"{name:10} {path}")
    for path in draw_front(args.output, tuning):
        print(f"{'picture':10} {path}")
    print(f"{'or':10} --opts {report.options()}")
    return 0


def _grid(args: argparse.Namespace) -> Any:
    from thingstuff.report.merge_grid import MergeGrid

    given = {"confidences": args.confidence, "overlaps": args.overlap, "areas": args.area}
    return MergeGrid(**{name: tuple(values) for name, values in given.items() if values is not None})


def _options(args: argparse.Namespace) -> Any:
    from thingstuff.report.merge_tuning import TuningOptions

    check_draws(args)
    return TuningOptions(args.metric, usable_cores() if args.workers is None else args.workers, args.seed, args.draws)


def _present(args: argparse.Namespace, store: Any) -> tuple[Any, str]:
    from thingstuff.report.merge_tuning_data import expect_greedy, present_rule

    if not args.config_file:
        if args.opts:
            raise ConfigError("--opts change a config: give --config-file too")
        return present_rule(store)
    from thingstuff.config import load_config
    from thingstuff.engine.panoptic import rule_from_config

    return expect_greedy(rule_from_config(load_config(args.config_file, args.opts)), args.config_file), args.config_file


if __name__ == "__main__":
    sys.exit(main())
