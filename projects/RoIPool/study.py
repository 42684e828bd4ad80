#!/usr/bin/env python3
"""Train the variants with several seeds, test them on the same fresh scenes, and say in tables what each one costs.

Runs that are done are not repeated, so that the command may be stopped and given again, with more seeds too.

Examples:
  study.py                                   six models with five seeds each, some three minutes a run on one core
  study.py --variants roipool --seeds 3      RoIPool and the baseline
  study.py --seeds 1 SOLVER.MAX_ITER 50 --output output/trial    config keys are for all runs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from thingstuff.cli.common import run_command
from thingstuff.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(build_parser(), _study, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seeds", type=int, default=5, metavar="N", help="train each variant with the seeds 0 to N - 1 (default 5)")
    names = "roipool, roipool_mask, align1, align2 (the baseline, always among them), mask14, mask28 (the same), mask56"
    add("--variants", type=_names, default=[], metavar="A,B", help=f"some of {names}; default: all")
    add("--output", type=Path, default=Path("output/roipool"), metavar="DIR", help="default: output/roipool")
    add("--scenes", type=int, default=500, metavar="N", help="to test on (default 500)")
    add("--threads", type=int, default=1, metavar="N", help="of each training (default 1)")
    add("--jobs", type=int, default=1, metavar="N", help="trainings at a time (default 1)")
    add("--limit", type=int, metavar="N", help="stop after so many trainings, and report what there is")
    add("--readme", action="store_true", help="also put the tables and the figure into this project's README")
    add(
        "opts", nargs="*", default=[], metavar="KEY VALUE", help="config options over those of all variants, at the end"
    )
    return parser


def _names(text: str) -> list[str]:
    return text.split(",")


def _study(args: argparse.Namespace) -> int:
    _check(args)
    from roipool.report import report
    from roipool.runs import Scenes, Setting
    from roipool.schedule import run_missing
    from roipool.variants import chosen

    variants = chosen(args.variants)
    setting = Setting(Scenes(val=args.scenes), tuple(args.opts), args.threads)
    done = run_missing(args.output, variants, range(args.seeds), setting, args.jobs, args.limit)
    print(report(args.output, done, variants, into_readme=args.readme))
    return 0


def _check(args: argparse.Namespace) -> None:
    for name in ("seeds", "scenes", "threads", "jobs", "limit"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name} is {value}, expected 1 or more")
    if len(args.opts) % 2:
        raise ConfigError(f"config options are pairs of KEY VALUE, got {' '.join(args.opts)}")


if __name__ == "__main__":
    sys.exit(main())
