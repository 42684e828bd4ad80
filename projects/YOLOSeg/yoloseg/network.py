"""ultralytics' segmentation network, built from the file of its architecture."""

from __future__ import annotations

import re
from types import SimpleNamespace

import yaml
from torch import nn

from thingstuff.errors import ConfigError, SetupError
from yoloseg.package import load_package

_NAME = re.compile(r"(?P<family>yolov8|yolo11)(?P<size>[nsmlx])-seg(\.yaml)?")
_FOLDERS = {"yolov8": "v8", "yolo11": "11"}


def parse_name(name: str) -> tuple[str, str]:
    """`yolo11n-seg.yaml`, or without its end -> `yolo11` and `n`; ConfigError for what is no such architecture."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ConfigError(
            f"MODEL.YOLOSEG.NAME is {name!r}, expected yolov8n-seg.yaml or yolo11n-seg.yaml, or s, m, l or x in place "
            "of the n"
        )
    return match["family"], match["size"]


def build_network(name: str, num_classes: int, *, box_weight: float, cls_weight: float, dfl_weight: float) -> nn.Module:
    """A `SegmentationModel` with random weights; the factors are those of its losses.

    Unlike ultralytics, which searches the working folder and the network for the file, only its own is read.
    """
    family, size = parse_name(name)
    package = load_package()
    file = package.models / "models" / _FOLDERS[family] / f"{family}-seg.yaml"
    if not file.is_file():
        raise SetupError(f"ultralytics {package.version} has no {family}-seg.yaml: pip install -U 'thingstuff[yolo]'")
    structure = yaml.safe_load(file.read_text(encoding="utf-8")) | {"scale": size, "nc": num_classes}
    network = package.model_class(structure, ch=3, nc=num_classes, verbose=False)
    network.args = SimpleNamespace(box=box_weight, cls=cls_weight, dfl=dfl_weight, overlap_mask=False)
    return network
