"""Small models of the project and inputs for them."""

import functools
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from detectron2.modeling import META_ARCH_REGISTRY, build_model
from detectron2.structures import BitMasks, Boxes, Instances
from helpers import TINY

from thingstuff.config import load_config

CONFIGS = Path(__file__).parents[1] / "configs"
RCNNS = ("shapes_vitdet", "shapes_mvitv2", "shapes_swin")
SHAPES = (*RCNNS, "shapes_fcos")
# what makes the shapes' recipes quick
QUICK = {
    "shapes_vitdet": ("MODEL.VIT.EMBED_DIM", "32", "MODEL.VIT.DEPTH", "2", "MODEL.VIT.GLOBAL_BLOCKS", "[1]"),
    "shapes_mvitv2": (
        *("MODEL.MVIT.EMBED_DIM", "8", "MODEL.MVIT.DEPTH", "5", "MODEL.MVIT.LAST_BLOCKS", "[0, 1, 2, 4]"),
    ),
    "shapes_swin": ("MODEL.SWIN.EMBED_DIM", "8"),
    "shapes_fcos": (),
}


def config_of(name, *overrides):
    return load_config(CONFIGS / f"{name}.yaml", [*TINY, *QUICK.get(name, ()), *overrides])


def model_of(name, *overrides):
    """Random weights with positions that are not all zero, so that they matter."""
    torch.manual_seed(0)
    model = build_model(config_of(name, *overrides))
    for key, value in model.named_parameters():
        if "rel_pos" in key or "position_bias" in key:
            torch.nn.init.normal_(value, std=0.5)
    return model


def shapes_on_meta(cfg):
    """The whole model's tensors by name, as their shapes, without memory for them."""
    with without_memory():
        model = META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)
    return shapes_of(model)


@contextmanager
def without_memory():
    """Modules that are built here have shapes alone. The chances of stochastic depth are read from real numbers."""
    real = functools.partial(torch.linspace, device="cpu")
    with mock.patch("torch.linspace", real), torch.device("meta"):
        yield


def shapes_of(module):
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def image_of(height, width, seed=1):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)) * 255


def scene(boxes, classes, size=(160, 160), seed=1):
    """Bright rectangles on noise, each class of a colour of its own, with their truth."""
    image = image_of(*size, seed) / 4
    masks = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for mask, (x0, y0, x1, y1), kind in zip(masks, boxes, classes, strict=True):
        mask[y0:y1, x0:x1] = True
        image[kind % 3, mask] += 180
    truth = Instances(size, gt_boxes=Boxes(torch.tensor(boxes).float()), gt_classes=torch.tensor(classes))
    truth.gt_masks = BitMasks(masks)
    return {"image": image, "instances": truth, "height": size[0], "width": size[1]}
