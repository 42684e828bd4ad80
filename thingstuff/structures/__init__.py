"""Plain data, numpy only: categories, masks, detections, stuff maps and panoptic maps."""

from thingstuff.structures.categories import Categories, Category
from thingstuff.structures.detections import Detections
from thingstuff.structures.mask_crops import MaskCrops
from thingstuff.structures.panoptic_map import PanopticMap, Segment, ids_to_rgb, rgb_to_ids
from thingstuff.structures.png import read_png, write_png
from thingstuff.structures.stuff_map import NOT_STUFF, VOID, check_stuff_map, stuff_map_from_labels

__all__ = [
    "NOT_STUFF",
    "VOID",
    "Categories",
    "Category",
    "Detections",
    "MaskCrops",
    "PanopticMap",
    "Segment",
    "check_stuff_map",
    "ids_to_rgb",
    "read_png",
    "rgb_to_ids",
    "stuff_map_from_labels",
    "write_png",
]
