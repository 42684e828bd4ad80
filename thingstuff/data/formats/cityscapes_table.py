"""Cityscapes' labels: the table of ids, names and colours that its annotations use."""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class CityscapesLabel:
    """`isthing`: its instances are told apart. `is_ignored`: it does not count in the benchmark's evaluation."""

    id: int
    name: str
    color: Rgb
    isthing: bool = False
    is_ignored: bool = False


UNLABELLED = frozenset({0, 1, 2, 3})  # these say of a pixel that nobody looked at it

_STUFF, _THINGS = (False, False), (True, False)
_IGNORED_STUFF, _IGNORED_THINGS = (False, True), (True, True)

CITYSCAPES_LABELS = tuple(
    CityscapesLabel(own, name, color, *kind)
    for own, name, color, kind in (
        (0, "unlabeled", (0, 0, 0), _IGNORED_STUFF),
        (1, "ego vehicle", (0, 0, 0), _IGNORED_STUFF),
        (2, "rectification border", (0, 0, 0), _IGNORED_STUFF),
        (3, "out of roi", (0, 0, 0), _IGNORED_STUFF),
        (4, "static", (0, 0, 0), _IGNORED_STUFF),
        (5, "dynamic", (111, 74, 0), _IGNORED_STUFF),
        (6, "ground", (81, 0, 81), _IGNORED_STUFF),
        (7, "road", (128, 64, 128), _STUFF),
        (8, "sidewalk", (244, 35, 232), _STUFF),
        (9, "parking", (250, 170, 160), _IGNORED_STUFF),
        (10, "rail track", (230, 150, 140), _IGNORED_STUFF),
        (11, "building", (70, 70, 70), _STUFF),
        (12, "wall", (102, 102, 156), _STUFF),
        (13, "fence", (190, 153, 153), _STUFF),
        (14, "guard rail", (180, 165, 180), _IGNORED_STUFF),
        (15, "bridge", (150, 100, 100), _IGNORED_STUFF),
        (16, "tunnel", (150, 120, 90), _IGNORED_STUFF),
        (17, "pole", (153, 153, 153), _STUFF),
        (18, "polegroup", (153, 153, 153), _IGNORED_STUFF),
        (19, "traffic light", (250, 170, 30), _STUFF),
        (20, "traffic sign", (220, 220, 0), _STUFF),
        (21, "vegetation", (107, 142, 35), _STUFF),
        (22, "terrain", (152, 251, 152), _STUFF),
        (23, "sky", (70, 130, 180), _STUFF),
        (24, "person", (220, 20, 60), _THINGS),
        (25, "rider", (255, 0, 0), _THINGS),
        (26, "car", (0, 0, 142), _THINGS),
        (27, "truck", (0, 0, 70), _THINGS),
        (28, "bus", (0, 60, 100), _THINGS),
        (29, "caravan", (0, 0, 90), _IGNORED_THINGS),
        (30, "trailer", (0, 0, 110), _IGNORED_THINGS),
        (31, "train", (0, 80, 100), _THINGS),
        (32, "motorcycle", (0, 0, 230), _THINGS),
        (33, "bicycle", (119, 11, 32), _THINGS),
    )
)
