#!/usr/bin/env python3
"""Find better merge thresholds for stored predictions: `tools/tune_merge.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thingstuff.cli.tune_merge import main

if __name__ == "__main__":
    sys.exit(main())
