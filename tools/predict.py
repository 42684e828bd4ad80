#!/usr/bin/env python3
"""Predict images, folders, videos or a data set: `tools/predict.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thingstuff.cli.predict import main

if __name__ == "__main__":
    sys.exit(main())
