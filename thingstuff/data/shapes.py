"""The embedded data set `shapes`: 600 + 200 synthetic scenes with instance, semantic and panoptic truth as in COCO.

It needs no download, is the same on every machine, and is hard enough that longer training pays. Written once
under `$DETECTRON2_DATASETS/shapes` (`datasets/shapes` without it); known to Detectron2 as `shapes_train`, `shapes_val`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from thingstuff.data.shapes_scene import (
    LARGE_FROM_PX,
    SIDE_PX,
    SMALL_BELOW_PX,
    STUFF_NAMES,
    THING_NAMES,
    Scene,
    Thing,
    draw_scene,
)
from thingstuff.errors import ConfigError, DataError
from thingstuff.structures import Categories, Category, PanopticMap, Segment, rle

SPLITS = {"train": 600, "val": 200}
SEED = 20260
FORMAT = 1  # raised whenever the generator draws something else, so that an older copy is replaced

_COLORS = (
    *((230, 80, 70), (90, 160, 235), (245, 190, 60), (170, 110, 220), (80, 200, 170), (240, 120, 180)),
    *((165, 205, 235), (90, 150, 80), (60, 100, 160), (220, 195, 140)),
)
CATEGORIES = Categories(
    tuple(
        Category(id=number + 1, name=name, isthing=name in THING_NAMES, color=_COLORS[number])
        for number, name in enumerate((*THING_NAMES, *STUFF_NAMES))
    )
)


@dataclass(frozen=True)
class ShapesStatistics:
    """What the scenes of one split hold, counted from the visible masks."""

    images: int
    instances: int
    small: float
    medium: float
    large: float
    occluded: float  # share of the instances that something hides in part
    crowd: float  # share of all annotations that are crowd groups
    stuff: dict[str, float]  # share of all pixels
    classes: dict[str, int]

    def lines(self) -> list[str]:
        sizes = (
            f"small {self.small:.0%}, medium {self.medium:.0%}, large {self.large:.0%} (COCO's bounds 32² and 96² px)"
        )
        stuff = ", ".join(f"{name} {share:.0%}" for name, share in self.stuff.items())
        classes = ", ".join(f"{name} {count}" for name, count in self.classes.items())
        return [
            f"{self.images} images of {SIDE_PX} x {SIDE_PX} px, {self.instances} instances: {sizes}",
            f"partly hidden {self.occluded:.0%} of the instances; crowd groups {self.crowd:.1%} of the annotations",
            f"things: {classes}",
            f"stuff by pixels: {stuff}",
        ]


def shapes_root() -> Path:
    """Where the data set lies or will lie."""
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets")) / "shapes"


def ensure_shapes(root: Path | None = None) -> Path:
    """The folder with the whole data set, written first if it is absent, incomplete or of an older format."""
    root = root or shapes_root()
    if _is_current(root):
        return root
    _refuse_foreign(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".shapes-") as folder:
        fresh = Path(folder) / "shapes"
        write_shapes(fresh, SPLITS, SEED)
        if not _is_current(root):  # another process may have been faster
            shutil.rmtree(root, ignore_errors=True)
            fresh.rename(root)
    return root


def draw_shapes(root: Path | None, train: int | None, val: int | None, seed: int | None) -> Path:
    """Another draw of the scenes, with the data set's own counts and seed for what is None, in a new folder.

    Below another `$DETECTRON2_DATASETS` it takes the data set's place there.
    """
    if root is None:
        raise ConfigError("another draw of shapes needs --output: the data set's own folder is for its own scenes")
    if root.exists():
        raise DataError(f"{root} is there already: give another --output, or remove it")
    asked = {"train": train, "val": val}
    counts = {split: SPLITS[split] if count is None else count for split, count in asked.items()}
    seed = SEED if seed is None else seed
    if min(counts.values()) < 1 or seed < 0:
        found = f"--train {counts['train']} --val {counts['val']} --seed {seed}"
        raise ConfigError(
            f"another draw of shapes needs 1 image or more in each split and a seed from 0 on, got {found}"
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".shapes-") as folder:
        fresh = Path(folder) / "shapes"
        write_shapes(fresh, counts, seed)
        fresh.rename(root)
    return root


def _refuse_foreign(root: Path) -> None:
    """A folder that was not written by `write_shapes` is never replaced."""
    if root.exists() and not (root / "shapes.json").is_file() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(f"{root} holds something else than the data set shapes: choose another place, or move it away")


def _is_current(root: Path) -> bool:
    try:
        return json.loads((root / "shapes.json").read_text())["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_shapes(root: Path, splits: dict[str, int], seed: int) -> dict[str, ShapesStatistics]:
    """Draw and write every split. `shapes.json`, with the statistics, comes last and marks the set as complete."""
    statistics = {}
    for number, (split, count) in enumerate(splits.items()):
        scenes = [draw_scene(np.random.default_rng([seed, number, index])) for index in range(count)]
        _write_split(root, split, scenes)
        statistics[split] = measure(scenes)
    summary = {"format": FORMAT, "seed": seed, "splits": {s: asdict(v) for s, v in statistics.items()}}
    (root / "shapes.json").write_text(json.dumps(summary, indent=1))
    return statistics


def read_statistics(root: Path) -> dict[str, ShapesStatistics]:
    splits = json.loads((root / "shapes.json").read_text())["splits"]
    return {split: ShapesStatistics(**values) for split, values in splits.items()}


def measure(scenes: Iterable[Scene]) -> ShapesStatistics:
    scenes = list(scenes)
    things = [thing for scene in scenes for thing in scene.things]
    instances = [thing for thing in things if not thing.iscrowd]
    areas = np.array([thing.area_px for thing in instances])
    pixels = np.bincount(np.concatenate([s.stuff_map.ravel() for s in scenes]), minlength=len(STUFF_NAMES) + 1)
    return ShapesStatistics(
        images=len(scenes),
        instances=len(instances),
        small=float((areas < SMALL_BELOW_PX).mean()),
        medium=float(((areas >= SMALL_BELOW_PX) & (areas < LARGE_FROM_PX)).mean()),
        large=float((areas >= LARGE_FROM_PX).mean()),
        occluded=float(np.mean([thing.area_px < thing.full_area_px for thing in instances])),
        crowd=1 - len(instances) / len(things),
        stuff={name: float(pixels[i + 1] / pixels.sum()) for i, name in enumerate(STUFF_NAMES)},
        classes=dict(sorted(Counter(thing.name for thing in instances).items())),
    )


# ---- files -------------------------------------------------------------------------------------------------------


def _write_split(root: Path, split: str, scenes: list[Scene]) -> None:
    for folder in (split, f"stuff_{split}", f"panoptic_{split}", "annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    images = [
        {"id": i + 1, "file_name": f"{i + 1:06d}.png", "height": SIDE_PX, "width": SIDE_PX} for i in range(len(scenes))
    ]
    annotations: list[dict[str, Any]] = []
    panoptic: list[dict[str, Any]] = []
    for image, scene in zip(images, scenes, strict=True):
        annotations += _annotations(scene, image["id"], len(annotations) + 1)
        panoptic.append(_write_images(root, split, image, scene))
    things = [c for c in CATEGORIES.to_coco() if c["isthing"]]
    instances = {"images": images, "annotations": annotations, "categories": things}
    _write_json(root / "annotations" / f"instances_{split}.json", instances)
    whole = {"images": images, "annotations": panoptic, "categories": CATEGORIES.to_coco()}
    _write_json(root / "annotations" / f"panoptic_{split}.json", whole)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    info = {"description": "thingstuff shapes: synthetic scenes, generated", "version": str(FORMAT)}
    path.write_text(json.dumps({"info": info, **content}))


def _annotations(scene: Scene, image_id: int, first_id: int) -> Iterator[dict[str, Any]]:
    for number, thing in enumerate(scene.things):
        segmentation = rle.encode(thing.mask)
        yield {
            "id": first_id + number,
            "image_id": image_id,
            "category_id": _category_id(thing.name),
            "segmentation": segmentation,
            "area": thing.area_px,
            "bbox": [int(v) for v in rle.bbox_xywh(segmentation)],
            "iscrowd": int(thing.iscrowd),
        }


def _category_id(name: str) -> int:
    return CATEGORIES.by_name(name).id


def _write_images(root: Path, split: str, image: dict[str, Any], scene: Scene) -> dict[str, Any]:
    name = image["file_name"]
    cv2.imwrite(str(root / split / name), scene.image_bgr)
    cv2.imwrite(str(root / f"stuff_{split}" / name), scene.stuff_map.astype(np.uint8))
    segments = panoptic_truth(scene).write_coco(root / f"panoptic_{split}" / name)
    return {"image_id": image["id"], "file_name": name, "segments_info": segments}


def panoptic_truth(scene: Scene) -> PanopticMap:
    """The scene as one map: things in order from 1, then each kind of stuff as one segment."""
    ids = np.zeros((SIDE_PX, SIDE_PX), np.uint32)
    parts = [(thing.mask, _category_id(thing.name), thing) for thing in scene.things]
    stuff = [(scene.stuff_map == i + 1, _category_id(name), None) for i, name in enumerate(STUFF_NAMES)]
    segments = []
    for mask, category_id, thing in [*parts, *((m, c, t) for m, c, t in stuff if m.any())]:
        ids[mask] = len(segments) + 1
        segments.append(_segment(len(segments) + 1, category_id, mask, thing))
    return PanopticMap(ids, tuple(segments))


def _segment(number: int, category_id: int, mask: np.ndarray, thing: Thing | None) -> Segment:
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return Segment(
        id=number,
        category_id=category_id,
        isthing=thing is not None,
        area=int(mask.sum()),
        bbox=(x, y, width, height),
        iscrowd=thing is not None and thing.iscrowd,
    )
