"""The panoptic merge: `merge` with its ledger against Detectron2's function, from masks to map and segments."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from thingstuff.benchmark.detectron2_merge import REFERENCE, RULE, Combined, combine, same_panoptic
from thingstuff.benchmark.measure import Case, Measurement
from thingstuff.benchmark.panoptic_scenes import Scene, random_scene
from thingstuff.benchmark.scene_options import add_scene_arguments, asked_scenes
from thingstuff.errors import ConfigError
from thingstuff.merge import Ledger, merge
from thingstuff.structures import Detections, MaskCrops, PanopticMap

Merged = tuple[PanopticMap, Ledger]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_scene_arguments(parser)
    parser.add_argument("--scenes", type=int, default=1, help="images a row, all merged in each turn (default 1)")


def _cases(args: argparse.Namespace) -> Iterator[Case]:
    if args.scenes < 1:
        raise ConfigError(f"--scenes must be above 0, got {args.scenes}")
    for height, width, count in asked_scenes(args):
        scenes = [random_scene(height, width, count, args.seed + number) for number in range(args.scenes)]
        yield from _cases_of(f"{height}x{width}, {count} instances", scenes)


def _cases_of(name: str, scenes: Sequence[Scene]) -> Iterator[Case]:
    """The same scenes twice: ours starts from crops, then from the N x H x W masks that Detectron2 starts from."""
    for start, ours in (("boxes known", _merge_crops), ("plain masks", _merge_bitmaps)):
        yield Case(
            name=f"{name}, {start}",
            reference=REFERENCE,
            ours=lambda ours=ours: [ours(scene) for scene in scenes],
            theirs=_reference(scenes),
            equal=lambda ours, theirs: all(map(_same, scenes, ours, theirs)),
        )


def _merge_crops(scene: Scene) -> Merged:
    return merge(scene.detections, scene.stuff_map, scene.categories, RULE)


def _merge_bitmaps(scene: Scene) -> Merged:
    given = scene.detections
    masks = MaskCrops.from_bitmaps(scene.masks)
    detections = Detections(masks, given.boxes_xyxy, given.scores, given.category_ids)
    return merge(detections, scene.stuff_map, scene.categories, RULE)


def _reference(scenes: Sequence[Scene]) -> Callable[[], list[Combined]]:
    """Detectron2's merge of the scenes, whose tensors are made beforehand."""
    inputs = [_tensors(scene) for scene in scenes]
    return lambda: [combine(*one) for one in inputs]


def _tensors(scene: Scene) -> tuple[Any, ...]:
    import torch

    found = scene.detections
    indices = scene.categories.thing_indices(found.category_ids)
    return torch.from_numpy(scene.masks), found.scores, indices, torch.from_numpy(scene.stuff_map.astype(np.int64))


def _same(scene: Scene, ours: Merged, theirs: Combined) -> bool:
    return same_panoptic(scene.categories, ours[0], theirs)


MEASUREMENT = Measurement(
    "merge", "panoptic merge with its ledger, against Detectron2's on the same masks", _add_arguments, _cases
)
