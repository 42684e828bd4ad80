#!/usr/bin/env python3
"""List, build or try the configs of Detectron2's model zoo: `tools/zoo.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thingstuff.cli.zoo import main

if __name__ == "__main__":
    sys.exit(main())
