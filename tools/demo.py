#!/usr/bin/env python3
"""The tour: train, evaluate and draw on the embedded data set: `tools/demo.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thingstuff.cli.demo import main

if __name__ == "__main__":
    sys.exit(main())
