"""Measure our speed against the program that we replace, on this machine, and check that the answers are equal."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from thingstuff.benchmark.machine import describe_machine
from thingstuff.benchmark.measure import Row, measure
from thingstuff.benchmark.registry import MEASUREMENTS
from thingstuff.cli.common import run_command
from thingstuff.errors import ConfigError
from thingstuff.files import write_json
from thingstuff.report.table import text_table

HEADERS = ("case", "reference", "ours ms", "reference ms", "ratio", "equal")
EXIT_UNEQUAL = 1


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _benchmark, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__)
    names = parser.add_subparsers(dest="measurement", metavar="MEASUREMENT", required=True)
    for name, measurement in MEASUREMENTS.items():
        one = names.add_parser(name, help=measurement.summary, description=measurement.summary)
        measurement.add_arguments(one)
        one.add_argument("--repeats", type=int, default=5, help="measured turns of each case (default 5)")
        one.add_argument("--json", type=Path, metavar="FILE", help="also write the machine and the rows to this file")
    return parser


def _benchmark(args: argparse.Namespace) -> int:
    if args.repeats < 1:
        raise ConfigError(f"--repeats must be 1 or more, got {args.repeats}")
    rows = [measure(case, args.repeats) for case in MEASUREMENTS[args.measurement].cases(args)]
    machine = describe_machine()
    if args.json:
        write_json(args.json, {"machine": machine, "rows": [asdict(row) for row in rows]})
    print(_table(rows, machine, args.repeats))
    return 0 if all(row.equal for row in rows) else EXIT_UNEQUAL


def _table(rows: list[Row], machine: dict[str, str | int | None], repeats: int) -> str:
    notes = (
        f"median of {repeats} alternating turns; ratio = reference / ours: above 1, ours is faster",
        f"on {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}",
    )
    cells = [(r.case, r.reference, r.ours_ms, r.reference_ms, r.ratio, r.equal) for r in rows]
    return text_table(cells, HEADERS, align="llrrrl", digits=2, footnotes=notes)


if __name__ == "__main__":
    sys.exit(main())
