#!/usr/bin/env python3
"""Import, merge and export stored predictions: `tools/store.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thingstuff.cli.store import main

if __name__ == "__main__":
    sys.exit(main())
