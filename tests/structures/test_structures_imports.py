"""The package serves on a laptop: it loads neither torch nor Detectron2, and OpenCV only for files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
import thingstuff.structures as structures
print([name for name in ("torch", "detectron2", "pycocotools", "cv2", "PIL") if name in sys.modules])
print([name for name in structures.__all__ if not hasattr(structures, name)])
"""


def test_nothing_heavy_is_imported_and_every_name_is_there():
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.split("\n")[:2] == ["[]", "[]"]
