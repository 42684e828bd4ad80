#!/usr/bin/env python3
"""Work with data sets: `tools/dataset.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thingstuff.cli.dataset import main

if __name__ == "__main__":
    sys.exit(main())
