"""COCO panoptic truth in the two other forms that panopticapi knows, and back: two channels, and detections.

`FORMS`: name -> a function of the JSON, the folder of its PNGs (None: the JSON's path without suffix) and the new
folder, which gives the path of what it wrote.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from thingstuff.data.panoptic.detections import convert_from_detection, convert_to_detection
from thingstuff.data.panoptic.two_channels import convert_from_2ch, convert_to_2ch

FORMS: Mapping[str, Callable[[Path, Path | None, Path], Path]] = {
    "panoptic_2ch": convert_to_2ch,
    "panoptic_detection": convert_to_detection,
}

__all__ = ["FORMS", "convert_from_2ch", "convert_from_detection", "convert_to_2ch", "convert_to_detection"]
