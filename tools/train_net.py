#!/usr/bin/env python3
"""Train or evaluate a model from a config: `tools/train_net.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thingstuff.cli.train_net import main

if __name__ == "__main__":
    sys.exit(main())
