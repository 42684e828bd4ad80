"""The checks of a data set, one subject a file. `run_checks` gives what they find, counted, with a few examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thingstuff.data.checks.boxes import BOXES
from thingstuff.data.checks.check import Check, Checked, Code, Finding
from thingstuff.data.checks.class_counts import CLASS_COUNTS
from thingstuff.data.checks.duplicate_images import DUPLICATE_IMAGES
from thingstuff.data.checks.ids import IDS
from thingstuff.data.checks.image_files import IMAGE_FILES
from thingstuff.data.checks.image_names import IMAGE_NAMES
from thingstuff.data.checks.keypoints import KEYPOINTS
from thingstuff.data.checks.masks import MASKS
from thingstuff.data.checks.overlaps import OVERLAPS
from thingstuff.data.checks.panoptic import PANOPTIC
from thingstuff.data.checks.polygons import POLYGONS
from thingstuff.data.checks.splits import SPLITS
from thingstuff.data.checks.stuff import STUFF
from thingstuff.progress import watched

# those that others build on come first
CHECKS: tuple[Check, ...] = (
    *(IDS, IMAGE_NAMES, IMAGE_FILES, POLYGONS, MASKS, BOXES, KEYPOINTS),
    *(OVERLAPS, STUFF, PANOPTIC, CLASS_COUNTS, SPLITS, DUPLICATE_IMAGES),
)
_EXAMPLES = 5


@dataclass
class Found:
    """All findings of one code in one split: how many, and the first of them."""

    code: Code
    split: str
    count: int
    examples: list[Finding]


def run_checks(data: Checked) -> list[Found]:
    """Errors first, then warnings, then the rest."""
    found: dict[tuple[str, str], Found] = {}
    for check in watched([c for c in CHECKS if c.is_quick or not data.is_quick], "checks"):
        for finding in check.run(data):
            key = (finding.code.name, finding.split)
            one = found.setdefault(key, Found(finding.code, finding.split, 0, []))
            one.count += 1
            if one.count <= _EXAMPLES:
                one.examples.append(finding)
    order = ("error", "warning", "info")
    return sorted(found.values(), key=lambda one: order.index(one.code.severity))


def codes() -> Iterator[Code]:
    """Every code that there is."""
    for check in CHECKS:
        yield from check.codes


__all__ = ["CHECKS", "Check", "Checked", "Code", "Finding", "Found", "codes", "run_checks"]
