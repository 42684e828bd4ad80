#!/usr/bin/env python3
"""Measure our speed against the programs that we replace: `tools/benchmark.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thingstuff.cli.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
