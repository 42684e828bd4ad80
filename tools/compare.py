#!/usr/bin/env python3
"""Compare instances and panoptic maps: `tools/compare.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thingstuff.cli.compare import main

if __name__ == "__main__":
    sys.exit(main())
