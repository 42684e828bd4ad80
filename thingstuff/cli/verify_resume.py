"""Prove that a training can be killed at any moment and gone on with: its weights are those of one that was not.

Examples:
  verify_resume.py --kills 5
  verify_resume.py --config-file my_recipe.yaml --steps 200 --checkpoint-every 20 SOLVER.AMP.ENABLED True
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from thingstuff.cli.common import run_command
from thingstuff.errors import ConfigError

EXIT_DIFFERENT = 1
_SHOWN = 3


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _verify_resume, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verify_resume", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config-file", default="thingstuff://shapes/mask_rcnn.yaml", metavar="FILE", help="default: the demo's")
    add("--kills", type=int, default=5, metavar="N", help="how often it is killed (default 5)")
    add("--steps", type=int, default=60, metavar="N", help="how long each training is (default 60)")
    add("--checkpoint-every", type=int, default=7, metavar="N", help="steps (default 7)")
    add("--seed", type=int, default=0, metavar="N", help="of the moments of the kills (default 0)")
    add("--output", type=Path, default=Path("output/verify_resume"), metavar="DIR", help="default: %(default)s")
    add("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="config options over the file's, at the end")
    return parser


def _verify_resume(args: argparse.Namespace) -> int:
    for option in ("kills", "steps", "checkpoint_every"):
        if getattr(args, option) < 1:
            raise ConfigError(f"--{option.replace('_', '-')} must be 1 or more, got {getattr(args, option)}")
    from thingstuff.console import start_console
    from thingstuff.engine.folders import make_writable, set_aside
    from thingstuff.engine.training.resume_check import ResumeJob, check_resume

    start_console()
    if args.output.exists():
        set_aside(args.output)
    make_writable(args.output, "--output")
    job = ResumeJob(args.config_file, args.opts, args.steps, args.checkpoint_every, args.output)
    print(f"training {args.steps} steps twice, the second time killed {args.kills} times: logs in {args.output}")
    found = check_resume(job, args.kills, args.seed)
    at = f"{len(found.kills)} kills (at steps {', '.join(map(str, found.kills))})"
    if not found.different:
        print(f"identical: all {found.tensors} tensors of weights and optimiser after {args.steps} steps and {at}")
        return 0
    names = ", ".join(found.different[:_SHOWN])
    print(
        f"different: {len(found.different)} of {found.tensors} tensors after {args.steps} steps and {at}, by up to "
        f"{found.largest:.3g}: {names}"
    )
    return EXIT_DIFFERENT


if __name__ == "__main__":
    sys.exit(main())
