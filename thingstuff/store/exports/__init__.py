"""Exports of a store: the formats that other programs read, one a file, by name."""

from collections.abc import Callable
from pathlib import Path

from thingstuff.store.exports.coco import export_coco
from thingstuff.store.exports.coco_panoptic import export_coco_panoptic
from thingstuff.store.exports.cvat import export_cvat
from thingstuff.store.exports.fiftyone import export_fiftyone
from thingstuff.store.exports.labelme import export_labelme
from thingstuff.store.exports.options import ExportOptions
from thingstuff.store.reader import Store

FOR_LABELLING = ("labelme", "cvat", "fiftyone")  # what goes to people, who want no doubtful ones

EXPORTS: dict[str, Callable[[Store, Path, ExportOptions], Path]] = {
    "coco": export_coco,
    "coco_panoptic": export_coco_panoptic,
    "cvat": export_cvat,
    "fiftyone": export_fiftyone,
    "labelme": export_labelme,
}

__all__ = [
    "EXPORTS",
    "FOR_LABELLING",
    "ExportOptions",
    "export_coco",
    "export_coco_panoptic",
    "export_cvat",
    "export_fiftyone",
    "export_labelme",
]
