#!/usr/bin/env python3
"""Prove that a resumed training is exact: `tools/verify_resume.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thingstuff.cli.verify_resume import main

if __name__ == "__main__":
    sys.exit(main())
