"""Images, annotations and weights with the load of COCO, made on the spot, so that a training can be timed anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.benchmark.coco_scenes import HEIGHT, WIDTH, random_coco
from thingstuff.files import write_json

IMAGES = 32
INSTANCES_AN_IMAGE = 7.3  # COCO's mean
TRUTH = "truth.json"
_PATCH_PX = 16  # of the images' texture: smooth like photographs, so that JPEG decodes about as fast
_CELL_PX = 32  # of a backbone's coarsest features
_BRANCH_SCALE = 0.2  # of what a residual block adds, about as in trained networks


def write_images(folder: Path, seed: int) -> None:
    """JPEG files and their COCO annotations, `truth.json`."""
    import cv2

    truth, _ = random_coco(IMAGES, INSTANCES_AN_IMAGE, seed)
    rng = np.random.default_rng(seed)
    for image in truth["images"]:
        image["file_name"] = f"{image['id']}.jpg"
        patches = rng.integers(0, 256, (HEIGHT // _PATCH_PX, WIDTH // _PATCH_PX, 3), dtype=np.uint8)
        pixels = cv2.resize(patches, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / image["file_name"]), pixels)
    write_json(folder / TRUTH, truth)


def write_weights(cfg: Any, file: Path, seed: int, image_file: Path | None = None) -> None:
    """Random weights whose frozen norms are set to what they see of an image, as in a trained network.

    Left at the identity they would let activations grow from block to block until boxes and losses overflow.
    """
    import cv2
    import torch
    from detectron2.modeling import build_model

    torch.manual_seed(seed)
    model = build_model(cfg).train()
    if _frozen_norms(model):
        pixels = _in_whole_cells(cv2.imread(str(image_file or file.parent / "1.jpg")))
        image = (pixels - np.array(cfg.MODEL.PIXEL_MEAN)) / np.array(cfg.MODEL.PIXEL_STD)
        settle_norms(model, torch.from_numpy(image).float().permute(2, 0, 1)[None].to(cfg.MODEL.DEVICE))
    torch.save({"model": model.state_dict()}, file)


def _in_whole_cells(pixels: np.ndarray) -> np.ndarray:
    """Without the last rows and columns that a backbone would ask to be padded."""
    height, width = (max(side // _CELL_PX, 1) * _CELL_PX for side in pixels.shape[:2])
    return pixels[:height, :width]


def _frozen_norms(model: Any) -> dict[str, Any]:
    """Those of a backbone, by name; none where there is no backbone."""
    backbone = getattr(model, "backbone", None)
    named = () if backbone is None else backbone.named_modules()
    return {name: module for name, module in named if type(module).__name__ == "FrozenBatchNorm2d"}


def settle_norms(model: Any, images: Any) -> None:
    """Set the statistics of the frozen norms of a backbone, Detectron2's or torchvision's, to what reaches them."""
    import torch

    def settle(norm: Any, arguments: tuple[Any, ...]) -> None:
        norm.running_mean.copy_(arguments[0].mean((0, 2, 3)))
        norm.running_var.copy_(arguments[0].var((0, 2, 3)))

    named = _frozen_norms(model)
    hooks = [norm.register_forward_pre_hook(settle) for norm in named.values()]
    for name, norm in named.items():
        if name.endswith(("conv3.norm", "bn3")):
            norm.weight.fill_(_BRANCH_SCALE)
    with torch.no_grad():
        model.backbone(images)
    for hook in hooks:
        hook.remove()
