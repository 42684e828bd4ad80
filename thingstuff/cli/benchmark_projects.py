"""`benchmark.py projects`: train every project for the same time, measure it, and write the table of them."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import Any

from thingstuff.benchmark.machine import describe_machine
from thingstuff.benchmark.projects.settings import SCENES, SECONDS, Settings
from thingstuff.files import write_json

PROJECTS = "projects"
_WORK = Path("output/benchmark/projects")


def add_projects(names: Any) -> None:
    summary = "train every project on the embedded data set for the same time, and write the table of what they reach"
    one = names.add_parser(PROJECTS, help=summary, description=summary)
    add = one.add_argument
    add("--only", nargs="+", default=[], metavar="NAME", help="projects or rows; others keep what an earlier run left")
    add("--list", action="store_true", help="say what there is to measure, and measure nothing")
    add("--seconds", type=float, default=SECONDS, metavar="S", help=f"training of each (default {SECONDS:g})")
    add("--threads", type=int, default=1, metavar="N", help="of training and evaluation; latency has 1 (default 1)")
    add("--scenes", type=int, default=SCENES, metavar="N", help=f"fresh ones, to evaluate on (default {SCENES})")
    add("--seed", type=int, default=0, metavar="N", help="of trainings and intervals (default 0)")
    add("--work", type=Path, default=_WORK, metavar="DIR", help=f"trainings, logs and results (default {_WORK})")
    add("--output", type=Path, metavar="FILE", help="a page in Markdown, between whose marks the table goes")
    add("--small", action="store_true", help="a trial of two steps and a few scenes, whose numbers mean nothing")
    add("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config options, at the end")


def run_projects(args: argparse.Namespace, exit_failed: int) -> int:
    """`exit_failed` unless every project that was asked for could be measured."""
    from thingstuff.benchmark.projects.entries import chosen, find_entries

    settings = _settings(args)
    if args.output is not None:
        from thingstuff.benchmark.projects.table import MARKS

        MARKS.require(args.output, "--output")  # now, not after hours
    from thingstuff.config.projects import project_folders

    entries = find_entries(project_folders())
    wanted = chosen(entries, args.only)
    if args.list:
        print("\n".join(f"{entry.name:24} {entry.config_file}" for entry in wanted))
        return 0
    return _measure(entries, wanted, settings, args, exit_failed)


def _settings(args: argparse.Namespace) -> Settings:
    options = tuple(args.opts)
    if args.small:
        return Settings.trial(args.threads, args.seed, options)
    return Settings(args.seconds, args.threads, args.scenes, args.seed, options)


def _measure(entries: Any, wanted: Any, settings: Settings, args: argparse.Namespace, exit_failed: int) -> int:
    from thingstuff.benchmark.projects.run import measure_projects
    from thingstuff.benchmark.projects.table import MARKS, project_table
    from thingstuff.engine.folders import make_writable

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a training does not outlive this command
    work = args.work / "trial" if settings.small else args.work
    make_writable(work, "--work")
    report = measure_projects(entries, wanted, settings, work, lambda line: print(line, flush=True))
    machine = describe_machine()
    table = project_table(report.rows, settings, machine)
    record = work / "results.json"
    rows = [row.record() for row in report.rows]
    write_json(record, {"command": settings.command(), "machine": machine, "rows": rows})
    print(f"\n{table.text()}\n")
    if report.unmeasured:
        print(f"not measured with these settings, and so without a row: {', '.join(report.unmeasured)}")
    print(f"results {record}")
    if args.output is not None:
        MARKS.write(args.output, table.markdown())
        print(f"table {args.output}")
    return 0 if report.is_whole else exit_failed
