"""The panoptic merge: `merge` with its ledger against Detectron2's function, from masks to map and segments."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from thingstuff.benchmark.measure import Case, Measurement
from thingstuff.benchmark.panoptic_scenes import Scene, random_scene
from thingstuff.errors import ConfigError
from thingstuff.merge import Greedy, Ledger, merge
from thingstuff.structures import Detections, MaskCrops, PanopticMap

SIZES = "480x640,800x1333,1024x2048"
INSTANCES = "20,50,100,300"
RULE = Greedy()
REFERENCE = "Detectron2 0.6 combine_semantic_and_instance_outputs"

Merged = tuple[PanopticMap, Ledger]
Combined = tuple[Any, list[dict[str, Any]]]  # H x W tensor, segments_info


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", default=SIZES, help=f"heights x widths, separated by commas (default {SIZES})")
    parser.add_argument("--instances", default=INSTANCES, help=f"instances an image (default {INSTANCES})")
    parser.add_argument("--scenes", type=int, default=1, help="images a row, all merged in each turn (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random scenes (default 0)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch and of OpenCV (default 1)")


def _cases(args: argparse.Namespace) -> Iterator[Case]:
    if args.scenes < 1 or args.threads < 1:
        raise ConfigError(f"--scenes and --threads must be above 0, got {args.scenes} and {args.threads}")
    sizes = [_numbers(size, "x", 2, "--sizes") for size in args.sizes.split(",")]
    counts = _numbers(args.instances, ",", None, "--instances")
    _use_threads(args.threads)
    for height, width in sizes:
        for count in counts:
            scenes = [random_scene(height, width, count, args.seed + number) for number in range(args.scenes)]
            yield from _cases_of(f"{height}x{width}, {count} instances", scenes)


def _numbers(text: str, separator: str, length: int | None, option: str) -> list[int]:
    parts = text.split(separator)
    numbers = [int(part) for part in parts if part.strip().isdecimal() and int(part) > 0]
    if len(numbers) != len(parts) or length not in (None, len(parts)):
        shape = "HEIGHTxWIDTH" if separator == "x" else "numbers above 0"
        raise ConfigError(f"{option}: expected {shape}, separated by commas, got {text!r}")
    return numbers


def _use_threads(threads: int) -> None:
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


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
    import_module("thingstuff.config")  # mends Detectron2 before it is imported
    combine = import_module("detectron2.modeling.meta_arch.panoptic_fpn").combine_semantic_and_instance_outputs
    inputs = [_tensors(scene) for scene in scenes]
    thresholds = (RULE.overlap_thresh, RULE.stuff_area_limit, RULE.instances_confidence_thresh)
    return lambda: [combine(instances, semantic, *thresholds) for instances, semantic in inputs]


def _tensors(scene: Scene) -> tuple[Any, Any]:
    import torch

    instances = import_module("detectron2.structures").Instances((scene.height, scene.width))
    instances.scores = torch.from_numpy(scene.detections.scores)
    instances.pred_classes = torch.from_numpy(scene.categories.thing_indices(scene.detections.category_ids))
    instances.pred_masks = torch.from_numpy(scene.masks)
    return instances, torch.from_numpy(scene.stuff_map.astype(np.int64))


def _same(scene: Scene, ours: Merged, theirs: Combined) -> bool:
    """Every pixel, and every segment's id, category, kind, score and (which Detectron2 gives for stuff alone) area."""
    panoptic, _ = ours
    ids, segments_info = theirs
    stated = [(s.id, s.category_id, s.isthing, s.score, None if s.isthing else s.area) for s in panoptic.segments]
    return stated == [_stated(scene, info) for info in segments_info] and np.array_equal(panoptic.ids, ids.numpy())


def _stated(scene: Scene, info: dict[str, Any]) -> tuple[Any, ...]:
    if info["isthing"]:
        category_id = scene.categories.things[info["category_id"]].id
    else:
        category_id = scene.categories.stuff[info["category_id"] - 1].id
    return info["id"], category_id, info["isthing"], info.get("score"), info.get("area")


MEASUREMENT = Measurement(
    "merge", "panoptic merge with its ledger, against Detectron2's on the same masks", _add_arguments, _cases
)
