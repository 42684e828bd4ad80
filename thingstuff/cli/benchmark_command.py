"""Measure our speed against the program that we replace, on this machine, and check that the answers are equal."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from thingstuff.benchmark.machine import describe_machine
from thingstuff.benchmark.measure import measure
from thingstuff.benchmark.registry import MEASUREMENTS
from thingstuff.benchmark.results import EXIT_UNEQUAL, RUNS, write_results
from thingstuff.cli.benchmark_projects import PROJECTS, add_projects, run_projects
from thingstuff.errors import ConfigError
from thingstuff.files import write_json
from thingstuff.report.table import text_table

HEADERS = ("case", "reference", "ours {unit}", "reference {unit}", "ratio", "equal")
RESULTS = "results"
AnyRows = Sequence[Any]  # dataclasses with a field `equal`
_TIME_NOTE = "median of {args.repeats} alternating turns; ratio = reference / ours: above 1, ours is faster"
_MEMORY_NOTE = (
    "peak above the loaded records, each in a process of its own; ratio = reference / ours: above 1, ours is smaller"
)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__)
    names = parser.add_subparsers(dest="measurement", metavar="MEASUREMENT", required=True)
    for name, measurement in MEASUREMENTS.items():
        one = names.add_parser(name, help=measurement.summary, description=measurement.summary)
        _add_common_arguments(one, has_memory=measurement.memory is not None)
        measurement.add_arguments(one)
    _add_results(names)
    add_projects(names)
    return parser


def _add_results(names: argparse._SubParsersAction) -> None:
    summary = "run what the README quotes, and write it as one page"
    page = names.add_parser(RESULTS, help=summary, description=summary)
    page.add_argument("--output", type=Path, required=True, metavar="FILE", help="the page, in Markdown")
    page.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help=f"some of {', '.join(r.name for r in RUNS)}"
    )
    page.add_argument("--small", action="store_true", help="a trial at small sizes, whose numbers mean nothing")


def _add_common_arguments(parser: argparse.ArgumentParser, has_memory: bool) -> None:
    parser.add_argument("--repeats", type=int, default=5, help="measured turns of each case (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the machine and the rows to this file")
    if has_memory:
        parser.add_argument("--memory", action="store_true", help="measure peak memory instead of time")


def run_benchmark(args: argparse.Namespace) -> int:
    if args.measurement == RESULTS:
        return _write_results(args)
    if args.measurement == PROJECTS:
        return run_projects(args, EXIT_UNEQUAL)
    if args.repeats < 1:
        raise ConfigError(f"--repeats must be 1 or more, got {args.repeats}")
    rows = _rows(args)
    machine = describe_machine()
    if args.json:
        write_json(args.json, {"machine": machine, "rows": [asdict(row) for row in rows]})
    print(_table(rows, args, machine))
    _show_more(rows, args)
    return 0 if all(row.equal for row in rows) else EXIT_UNEQUAL


def _write_results(args: argparse.Namespace) -> int:
    if args.output.suffix != ".md":
        raise ConfigError(f"--output: the page is Markdown, so that its name ends in .md, got {args.output}")
    done = write_results(args.output, describe_machine, names=args.only, small=args.small)
    print(f"results {args.output}")
    return 0 if all(one.equal for one in done) else EXIT_UNEQUAL


def _rows(args: argparse.Namespace) -> AnyRows:
    measurement = MEASUREMENTS[args.measurement]
    if measurement.own is not None:
        return list(measurement.own.rows(args))
    if measurement.memory and args.memory:
        return list(measurement.memory(args))
    return [measure(case, args.repeats) for case in measurement.cases(args)]


def _table(rows: AnyRows, args: argparse.Namespace, machine: dict[str, str | int | None]) -> str:
    own = MEASUREMENTS[args.measurement].own
    if own is not None:
        parts = own.table(rows, args)
        return text_table(**parts | {"footnotes": [*parts["footnotes"], *_machine_notes(args, machine)]})
    of_memory = getattr(args, "memory", False)
    headers = [header.format(unit="MiB" if of_memory else "ms") for header in HEADERS]
    return text_table(
        [list(asdict(row).values()) for row in rows],
        headers,
        align="llrrrl",
        digits=2,
        footnotes=(_MEMORY_NOTE if of_memory else _TIME_NOTE.format(args=args), *_machine_notes(args, machine)),
    )


def _show_more(rows: AnyRows, args: argparse.Namespace) -> None:
    own = MEASUREMENTS[args.measurement].own
    for table in own.more(rows, args) if own is not None and own.more else ():
        print(f"\n{text_table(**table)}")
    if own is not None and own.finish:
        own.finish(rows, args)


def _machine_notes(args: argparse.Namespace, machine: dict[str, str | int | None]) -> list[str]:
    threads = [f"threads that a library may use: {args.threads}"] if "threads" in args else []
    gpu = f"{machine['gpu']}, " if machine["gpu"] else ""
    return [*threads, f"on {gpu}{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}"]
