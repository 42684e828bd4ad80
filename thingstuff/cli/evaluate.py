"""Evaluate stored predictions, without a model and without a GPU: box and mask AP, mean IoU, panoptic quality.

Examples:
  evaluate.py --predictions output/photos --ground-truth shapes_val --output output/scores
  evaluate.py --predictions coco_results.json --ground-truth instances_val2017.json --output output/scores
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from thingstuff.cli.common import add_dataset, add_draws, check_draws, register_datasets, run_command
from thingstuff.errors import ConfigError, DataError


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _evaluate, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--predictions", type=Path, required=True, metavar="PATH", help="a store, predict.py's output, or a COCO JSON")
    add("--ground-truth", required=True, metavar="NAME|FILE", help="a registered data set, or a COCO or LVIS JSON")
    add_dataset(parser)
    add("--output", type=Path, required=True, metavar="DIR", help="where results.json goes")
    add("--truth-folder", type=Path, metavar="DIR", help="PNGs of a panoptic truth (default: named as its JSON)")
    add("--predictions-folder", type=Path, metavar="DIR", help="PNGs of panoptic predictions (default: as their JSON)")
    add("--compare", type=Path, metavar="PATH", help="other predictions of the same images, for a verdict")
    add_draws(parser)
    add("--class-intervals", action="store_true", help="intervals of each class too, in results.json")
    add("--iou", type=float, nargs="+", default=[], metavar="T", help="AP at these IoU thresholds too")
    add("--boundary", action="store_true", help="boundary AP too; needs the extra thingstuff[boundary]")
    add("--backend", choices=("hotcoco", "pycocotools"), default="hotcoco", help="what counts AP (default hotcoco)")
    add("--lenient", action="store_true", help="leave out records that cannot count, and say how many")
    add("--csv", action="store_true", help="also write results.csv, one line a metric")
    add("--markdown", action="store_true", help="also write the tables to results.md")
    add("--curves", action="store_true", help="also write precision over recall and the reliability of scores")
    return parser


def _evaluate(args: argparse.Namespace) -> int:
    from thingstuff.console import start_console

    _check(args)
    start_console()
    register_datasets(args)
    report = _report(args)
    if args.curves and not report.scores.curves:
        raise ConfigError("--curves: only COCO's AP has curves, and these predictions have none: leave it out")
    print(f"\n{report.ground_truth}\n{report.text()}\n")
    print(f"{'results':10} {report.write(args.output / 'results.json')}")
    if args.csv:
        print(f"{'csv':10} {report.write_csv(args.output / 'results.csv')}")
    if args.markdown:
        print(f"{'markdown':10} {report.write_markdown(args.output / 'results.md')}")
    if args.curves:
        _write_curves(report.scores, args.output)
    return 0


def _check(args: argparse.Namespace) -> None:
    from thingstuff.engine.folders import make_writable

    for path in (args.predictions, args.compare):
        if path is not None and not path.exists():
            raise DataError(f"there are no predictions at {path}")
    check_draws(args)
    if args.predictions_folder and args.predictions.is_dir():
        raise ConfigError("--predictions-folder is for a panoptic JSON, and --predictions is a folder")
    wrong = [iou for iou in args.iou if not 0 < iou <= 1]
    if wrong:
        raise ConfigError(f"--iou {wrong[0]:g}: expected thresholds above 0 and at most 1")
    make_writable(args.output, "--output")


def _report(args: argparse.Namespace) -> Any:
    from dataclasses import replace

    from thingstuff.report.error_bars import class_intervals, differences, intervals
    from thingstuff.report.ground_truth import open_truth
    from thingstuff.report.score_report import ScoreReport
    from thingstuff.report.scores import ScoreOptions
    from thingstuff.report.stored_scores import score

    options = ScoreOptions(
        args.backend,
        tuple(args.iou),
        args.boundary,
        args.lenient,
        reliability=args.curves,
        panoptic_folder=args.predictions_folder,
    )
    truth = open_truth(args.ground_truth, args.truth_folder)
    scores = score(args.predictions, truth, options)
    found = intervals(scores.samples, args.draws, args.seed)
    if not scores.curves and (args.iou or args.boundary or args.backend != "hotcoco"):
        scores.notes.append("--iou, --boundary and --backend are for COCO's AP, and had no effect")
    settings = {"draws": args.draws, "seed": args.seed, "backend": args.backend, "lenient": args.lenient}
    of_classes = class_intervals(scores.class_samples if args.class_intervals else {}, args.draws, args.seed)
    report = ScoreReport(
        str(args.predictions), truth.name, scores, found, class_intervals=of_classes, settings=settings
    )
    if not args.compare:
        return report
    plain = replace(options, iou_threshs=(), boundary=False, explain=False, reliability=False, panoptic_folder=None)
    others = score(args.compare, truth, plain)
    scores.notes.extend(f"{args.compare}: {note}" for note in others.notes)
    verdicts = differences(scores.samples, others.samples, args.draws, args.seed)
    return replace(report, compared_with=str(args.compare), differences=verdicts)


def _write_curves(scores: Any, folder: Path) -> None:
    from thingstuff.report.curves import thresholds_table, write_curves
    from thingstuff.report.figures import precision_recall_figure, reliability_figure, save_figure
    from thingstuff.report.results_table import TASK_TITLES

    for task in [task for task in ("segm", "bbox", "keypoints") if task in scores.curves][:1]:
        print(f"\n{thresholds_table(task, scores.curves[task]).text()}\n")
    written = [write_curves(folder / "curves.csv", scores.curves)]
    figures = {"curves": precision_recall_figure(scores.curves)}
    figures |= {f"reliability_{t}": reliability_figure(r, TASK_TITLES[t]) for t, r in scores.reliability.items()}
    for name, figure in figures.items():
        written += [save_figure(figure, folder / f"{name}{suffix}") for suffix in (".png", ".svg")]
    for path in written:
        print(f"{'curves':10} {path}")


if __name__ == "__main__":
    sys.exit(main())
