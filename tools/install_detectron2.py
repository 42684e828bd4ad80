#!/usr/bin/env python3
"""Install a Detectron2 that works on today's PyTorch: `tools/install_detectron2.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs before the package is installed

from thingstuff.cli.install_detectron2 import main

if __name__ == "__main__":
    sys.exit(main())
