"""Small networks with random weights that find something, and pictures for them."""

from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from detectron2.modeling import build_model

from thingstuff.config import load_config
from thingstuff.config.projects import import_project

import_project("TorchvisionMaskRCNN")  # so that its package can be imported

from torchvision_maskrcnn.network import build_network  # noqa: E402
from torchvision_maskrcnn.settings import Structure, torchvision_arguments  # noqa: E402

PROJECT = Path(__file__).parents[1]
CONFIGS = PROJECT / "configs"
CLASSES = 7
RESNET18 = "shapes"  # the config with the smallest trunk
SHORT_PX = 96
DETECTIONS = 21

# narrow layers and few proposals, under keys that Detectron2's R-CNN knows too
SMALL = {
    "MODEL.DEVICE": "cpu",
    "MODEL.FPN.OUT_CHANNELS": 32,
    "MODEL.ANCHOR_GENERATOR.SIZES": "[[15], [27], [40], [65], [90]]",
    "MODEL.RPN.POST_NMS_TOPK_TEST": 60,
    "MODEL.ROI_HEADS.NUM_CLASSES": CLASSES,
    "MODEL.ROI_BOX_HEAD.CONV_DIM": 32,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 64,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 32,
    "TEST.DETECTIONS_PER_IMAGE": DETECTIONS,
    "DATASETS.TRAIN": (),
    "DATASETS.TEST": (),
    "INPUT.MIN_SIZE_TEST": SHORT_PX,
}


def small_cfg(name, **overrides):
    """A config of the project made small; `MODEL__WEIGHTS` stands for MODEL.WEIGHTS."""
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    pairs = SMALL | {"MODEL.WEIGHTS": ""} | given
    return load_config(CONFIGS / f"{name}.yaml", [str(part) for pair in pairs.items() for part in pair])


def pictures(count, seed=0):
    """RGB uint8 tensors, 3 x H x W, of patches and noise; the shorter side is SHORT_PX."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        longer = SHORT_PX + int(rng.integers(0, 120))
        size = (SHORT_PX, longer) if number % 2 else (longer, SHORT_PX)
        coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 14, 14)).astype(np.float32))
        fine = torch.nn.functional.interpolate(coarse, size=size, mode="nearest")
        made.append((fine[0] + torch.from_numpy(rng.normal(0, 12, (3, *size)))).clamp(0, 255).to(torch.uint8))
    return made


def sharpen(network, seed=0):
    """Random weights, in place, under which a network of torchvision's has opinions; its norms are as if trained."""
    generator = torch.Generator().manual_seed(seed)
    images = [picture / 255 for picture in pictures(2, seed=99)]
    with torch.no_grad():
        for name, module in network.named_modules():
            if "Norm2d" in type(module).__name__:
                ends_branch = name.endswith(("bn3", "downsample.1"))  # small ones keep a deep network well conditioned
                low, high = (0.1, 0.4) if ends_branch else (0.6, 1.4)
                module.weight.data.uniform_(low, high, generator=generator)
                module.bias.data.uniform_(-0.2, 0.2, generator=generator)
        norms = [module for module in network.modules() if "Norm2d" in type(module).__name__]
        with hooked(dict.fromkeys(norms, settle), before=True):
            network.eval()(images)
        done = set()  # a layer for several levels is set by the finest
        with hooked({layer: partial(spread, deviation, done) for layer, deviation in last_layers(network).items()}):
            network(images)
    return network


def last_layers(network):
    """And the deviation of their answers over places and regions with which neither all nor none is found."""
    heads = network.roi_heads
    return {
        network.rpn.head.cls_logits: 2.0,
        network.rpn.head.bbox_pred: 0.2,
        heads.box_predictor.cls_score: 1.5,
        heads.box_predictor.bbox_pred: 0.5,
        heads.mask_predictor.mask_fcn_logits: 2.0,
    }


@contextmanager
def hooked(modules, before=False):
    register = "register_forward_pre_hook" if before else "register_forward_hook"
    hooks = [getattr(module, register)(hook) for module, hook in modules.items()]
    yield
    for hook in hooks:
        hook.remove()


def settle(norm, inputs):
    """Statistics become those of what reaches the norm, but a channel that hardly varies is not blown up."""
    norm.running_mean.copy_(inputs[0].mean((0, 2, 3)) / 2)
    norm.running_var.copy_(inputs[0].square().mean((0, 2, 3)))


def spread(deviation, done, layer, inputs, output):
    """A layer's answer, with channels in its second place, gets the mean 0 and a deviation."""
    if layer in done:
        return None
    done.add(layer)
    others = [0, *range(2, output.dim())]
    factor = deviation / output.std(others).mean()
    layer.weight.mul_(factor)
    layer.bias.copy_((layer.bias - output.mean(others)) * factor)
    return layer.forward(inputs[0])


def torchvision_network(cfg, seed=1):
    """torchvision's own `MaskRCNN` of a config, sharpened; it leaves pictures of SHORT_PX in their size.

    With seed 1 no proposal is so near an IoU of 0.5 that bf16 moves it over, and another one is learnt from.
    """
    given = torchvision_arguments(cfg) | {"_skip_resize": False, "min_size": SHORT_PX, "max_size": 10 * SHORT_PX}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return sharpen(build_network(Structure.from_config(cfg), given))


def with_weights(network, **overrides):
    """A model of the project with the weights of torchvision's network."""
    built = build_model(small_cfg(RESNET18, **overrides)).eval()
    built.load_state_dict(network.state_dict())
    return built


def raw(model, picture):
    """What a model finds, before masks are pasted."""
    with torch.inference_mode():
        return model.inference([{"image": picture}], do_postprocess=False)[0]
