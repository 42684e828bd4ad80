"""Small models of the project with random weights that find something, pictures, and what ultralytics says of them."""

import copy
import functools
from pathlib import Path

import numpy as np
import torch
from detectron2.modeling import build_model
from yoloseg_package import needs_ultralytics

from thingstuff.config import load_config

needs_ultralytics()

PROJECT = Path(__file__).parents[1]
CONFIGS = PROJECT / "configs"
CLASSES = 6
NAMES = ("yolov8n-seg.yaml", "yolo11n-seg.yaml")
THRESHOLDS = {"conf": 0.25, "iou": 0.7, "max_det": 300}  # those of configs/base.yaml in ultralytics' words


def small_cfg(config="shapes", **overrides):
    """A config of the project without data sets, with base.yaml's thresholds; `MODEL__WEIGHTS` is MODEL.WEIGHTS."""
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    pairs = {
        "MODEL.DEVICE": "cpu",
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.25,
        "TEST.DETECTIONS_PER_IMAGE": 300,
        "DATASETS.TRAIN": (),
        "DATASETS.TEST": (),
    }
    pairs |= {"MODEL.ROI_HEADS.NUM_CLASSES": CLASSES} | given
    return load_config(CONFIGS / f"{config}.yaml", [str(part) for pair in pairs.items() for part in pair])


def picture(height, width, seed=0):
    """RGB uint8, 3 x H x W, of patches and noise."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 9, 9)).astype(np.float32))
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="nearest")[0]
    return (fine + torch.from_numpy(rng.normal(0, 12, (3, height, width)))).clamp(0, 255).to(torch.uint8)


@functools.cache
def sharp_state(name):
    """Weights of the network `name` under which it finds several objects in a `picture`."""
    torch.manual_seed(0)
    network = build_model(small_cfg(MODEL__YOLOSEG__NAME=name)).network
    images = torch.stack([picture(160, 160, seed) for seed in range(90, 94)]) / 255
    with torch.no_grad():
        _settle_norms(network, images)
        hooks = [layer.register_forward_hook(_spread(*wanted)) for layer, wanted in _last_layers(network.model[-1])]
        network(images)
    for hook in hooks:
        hook.remove()
    return network.state_dict()


def _settle_norms(network, images):
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    network.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def _last_layers(head):
    """Each with the mean and the deviation of its answers under which neither all nor nothing is found."""
    for branch, wanted in ((head.cv2, (0.0, 1.0)), (head.cv3, (-4.0, 1.2)), (head.cv4, (0.0, 1.0))):
        yield from ((levels[-1], wanted) for levels in branch)


def _spread(mean, deviation):
    def hook(layer, inputs, output):
        factor = deviation / output.std((0, 2, 3)).mean()
        layer.weight.mul_(factor)
        layer.bias.copy_((layer.bias - output.mean((0, 2, 3))) * factor + mean)
        return layer.forward(inputs[0])

    return hook


def sharp_model(name=NAMES[0], **overrides):
    """A model of the project that finds something, in evaluation."""
    model = build_model(small_cfg(MODEL__YOLOSEG__NAME=name, **overrides))
    model.network.load_state_dict(sharp_state(name))
    return model.eval()


def found_by(model, image, **one):
    with torch.inference_mode():
        return model([{"image": image, **one}])[0]["instances"]


def ultralytics_results(model, source, tmp_path, **settings):
    """What ultralytics' own predictor says with a copy of the model's network, an entry for each image."""
    from ultralytics.models.yolo.segment import SegmentationPredictor

    quiet = {
        "verbose": False,
        "save": False,
        "device": "cpu",
        "rect": True,
        "channels_last": False,
        "project": str(tmp_path),
        "mode": "predict",
    }
    predictor = SegmentationPredictor(overrides=quiet | THRESHOLDS | settings)
    network = copy.deepcopy(model.network)
    network.fuse = lambda *args, **kwargs: network  # folded norms round in another way, and random weights blow it up
    predictor.setup_model(network, verbose=False)
    return predictor(source)


def saved(path, network, **others):
    """A file as ultralytics' trainer writes it: the model in half precision among plain values."""
    from ultralytics.utils import IterableSimpleNamespace

    kept = copy.deepcopy(network).half()
    kept.args = IterableSimpleNamespace(imgsz=160, overlap_mask=True)
    parts = {"model": None, "ema": kept} if others.pop("as_ema", False) else {"model": kept, "ema": None}
    content = {"epoch": -1, "best_fitness": None, **parts}
    torch.save(content | {"train_args": {"imgsz": 160}, "version": "8.4.0"} | others, path)
    return path
