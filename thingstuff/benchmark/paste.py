"""Pasting masks into an image: to COCO RLE, and to a panoptic map, against Detectron2 with pycocotools."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import numpy as np

from thingstuff.benchmark.detectron2_merge import RULE, Combined, combine, same_panoptic
from thingstuff.benchmark.measure import Case, Measurement
from thingstuff.benchmark.paste_scenes import PasteScene, random_paste_scene
from thingstuff.benchmark.scene_options import add_scene_arguments, asked_scenes


def _cases(args: argparse.Namespace) -> Iterator[Case]:
    for height, width, instances in asked_scenes(args):
        scene = random_paste_scene(height, width, instances, args.seed)
        name = f"{height}x{width}, {instances} instances"
        yield _to_rle(f"{name}, paste to RLE", scene)
        yield _to_panoptic(f"{name}, paste + merge", scene)


def _to_rle(name: str, scene: PasteScene) -> Case:
    from thingstuff.modeling.paste import paste_masks

    found = scene.instances
    return Case(
        name=name,
        reference=f"Detectron2 0.6 paste_masks_in_image, pycocotools {metadata.version('pycocotools')}",
        ours=lambda: paste_masks(found.probs, found.boxes_xyxy, scene.height, scene.width).to_rles(),
        theirs=lambda: _encode(_paste(scene)),
        equal=lambda ours, theirs: ours == theirs,
    )


def _to_panoptic(name: str, scene: PasteScene) -> Case:
    from thingstuff.modeling.postprocess import paste_and_merge

    return Case(
        name=name,
        reference="Detectron2 0.6 paste_masks_in_image, combine_semantic_and_instance_outputs",
        ours=lambda: paste_and_merge(scene.instances, scene.stuff_map, scene.categories, RULE),
        theirs=lambda: _combine(scene),
        equal=lambda ours, theirs: same_panoptic(scene.categories, ours[1], theirs),
    )


def _paste(scene: PasteScene) -> Any:
    """N x H x W bool tensor."""
    import torch
    from detectron2.layers.mask_ops import paste_masks_in_image

    probs, boxes = torch.from_numpy(scene.instances.probs), torch.from_numpy(scene.instances.boxes_xyxy)
    return paste_masks_in_image(probs, boxes, (scene.height, scene.width), threshold=0.5)


def _encode(masks: Any) -> list[dict[str, Any]]:
    """As `instances_to_coco_json` does it."""
    from pycocotools import mask as mask_utils

    rles = [mask_utils.encode(np.array(mask[:, :, None], order="F", dtype="uint8"))[0] for mask in masks.numpy()]
    return [{**rle, "counts": rle["counts"].decode("utf-8")} for rle in rles]


def _combine(scene: PasteScene) -> Combined:
    import torch

    semantic = torch.from_numpy(scene.semantic_labels)
    return combine(_paste(scene), scene.instances.scores, scene.thing_indices, semantic)


MEASUREMENT = Measurement(
    "paste", "masks pasted to RLE and to a panoptic map, against Detectron2", add_scene_arguments, _cases
)
