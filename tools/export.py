#!/usr/bin/env python3
"""Export a model to ONNX or torch.export: `tools/export.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thingstuff.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
