#!/usr/bin/env python3
"""New masks for the boxes of a store, by SAM or SAM 2: `projects/SegmentAnything/refine.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sam_masks.refine_command import main

if __name__ == "__main__":
    sys.exit(main())
