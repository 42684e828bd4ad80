"""YOLOv8 and YOLO11 segmentation of ultralytics behind Detectron2's interfaces; ultralytics itself is imported late."""

from yoloseg.config import add_yoloseg_config
from yoloseg.model import YOLOSeg
from yoloseg.pt_file import read_pt

__all__ = ["YOLOSeg", "add_yoloseg_config", "read_pt"]
