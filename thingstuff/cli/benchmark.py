"""`tools/benchmark.py`, whose measurements want packages that a Python without our environment does not have."""

from __future__ import annotations

import sys

from thingstuff.cli.common import report_missing, run_command


def main(argv: list[str] | None = None) -> int:
    try:
        from thingstuff.cli.benchmark_command import build_parser, run_benchmark
    except ModuleNotFoundError as error:
        return report_missing("benchmark", error)
    return run_command(build_parser(), run_benchmark, argv)


if __name__ == "__main__":
    sys.exit(main())
