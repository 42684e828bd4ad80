"""Files of torchvision's weights, as a model of this project takes them."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights, MaskRCNN_ResNet50_FPN_Weights

from thingstuff.engine.weights.cache import local_weights
from thingstuff.engine.weights.file import read_weights_file
from thingstuff.errors import ConfigError, WeightsError

PUBLISHED = {
    "maskrcnn_resnet50_fpn": MaskRCNN_ResNet50_FPN_Weights.DEFAULT,
    "maskrcnn_resnet50_fpn_v2": MaskRCNN_ResNet50_FPN_V2_Weights.DEFAULT,
}
_WITHOUT_EPS = Path(urlparse(MaskRCNN_ResNet50_FPN_Weights.COCO_V1.url).path).stem
# Rows 1 to 90 of COCO's weights are COCO's category ids, ten of which no object has; row 0 is the background.
_COCO_NAMES = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
COCO_ROWS = tuple(row for row, name in enumerate(_COCO_NAMES) if name != "N/A")
CLASS_ROWS = tuple(
    f"{layer}.{kind}"
    for layer in ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits")
    for kind in ("weight", "bias")
)

_RPN, _HEADS = ("rpn.", "proposal_generator.rpn."), ("roi_heads.", "roi_heads.heads.")
_OF_RESNET, _OF_CLASSIFIER = "layer1.0.conv1.weight", "fc."


def published_url(name: str) -> str:
    """The address of torchvision's weights for `MODEL.TORCHVISION.NAME`."""
    if name not in PUBLISHED:
        raise ConfigError(
            f"MODEL.TORCHVISION.WEIGHTS DEFAULT: there are none for {name}, only for {' and '.join(PUBLISHED)}"
        )
    return PUBLISHED[name].url


def fetched(url: str) -> dict[str, Tensor]:
    """Read from the cache of Detectron2's weights, fetched first if they are not there."""
    try:
        return read_weights_file(local_weights(url))["model"]
    except WeightsError as error:
        raise WeightsError(f"MODEL.TORCHVISION.WEIGHTS DEFAULT: {error}") from error


def wants_no_eps(source: str) -> bool:
    """Whether these are the published weights whose frozen norms add 0 to the variance, told by the file's name.

    torchvision sets that of its own when it loads them, as they are older than its norms' epsilon.
    """
    return Path(urlparse(source).path).name.startswith(_WITHOUT_EPS)


def rename(state: MutableMapping[str, Tensor], prefix: str) -> None:
    """In place: torchvision's names become those of this model below `prefix`, those of a ResNet alone among them."""
    is_resnet = prefix + _OF_RESNET in state
    for name in [name for name in state if name.startswith(prefix)]:
        bare = name.removeprefix(prefix)
        new = _name_of_resnet(bare) if is_resnet else _name_of_detector(bare)
        if new != bare:
            value = state.pop(name)
            if new:
                state[prefix + new] = value


def _name_of_resnet(name: str) -> str:
    """The classifier, for which there is no place, gets no name."""
    return "" if name.startswith(_OF_CLASSIFIER) else f"backbone.body.{name}"


def _name_of_detector(name: str) -> str:
    for theirs, ours in (_RPN, _HEADS):
        if name.startswith(theirs) and not name.startswith(ours):
            return ours + name.removeprefix(theirs)
    return name


def fit_classes(state: MutableMapping[str, Tensor], prefix: str, num_classes: int, reinit: bool) -> None:
    """In place: rows of `num_classes` and the background, from as many, or from COCO's 90 ids for its 80 classes.

    Rows of any other number are left out with `reinit`, and refused without.
    """
    names = [f"{prefix}{_HEADS[1]}{name}" for name in CLASS_ROWS if f"{prefix}{_HEADS[1]}{name}" in state]
    if not names:
        return
    found = len(state[names[0]])
    if found == num_classes + 1:
        return
    if found == len(_COCO_NAMES) and num_classes + 1 == len(COCO_ROWS):
        state.update({name: chosen_rows(state[name], COCO_ROWS, found) for name in names})
    elif reinit:
        for name in names:
            del state[name]
    else:
        raise WeightsError(
            f"MODEL.WEIGHTS are for {found - 1} classes, this model has {num_classes} (the background not counted): "
            "pass MODEL.REINIT_HEADS True to train their heads anew, or the config that they were trained with"
        )


def chosen_rows(value: Tensor, rows: tuple[int, ...], total: int) -> Tensor:
    """The rows of some classes of `total`; offsets of boxes have four a class."""
    of_classes = value.reshape(total, -1, *value.shape[1:])
    return of_classes[torch.tensor(rows)].flatten(0, 1)
