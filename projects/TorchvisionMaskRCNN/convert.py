#!/usr/bin/env python3
"""torchvision's weights for Detectron2's own Mask R-CNN: `projects/TorchvisionMaskRCNN/convert.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from torchvision_maskrcnn.command import main

if __name__ == "__main__":
    sys.exit(main())
