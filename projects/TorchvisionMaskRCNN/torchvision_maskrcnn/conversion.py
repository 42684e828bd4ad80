"""From the parameters of torchvision's Mask R-CNN to those of Detectron2's that gives the same answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from thingstuff.errors import WeightsError
from torchvision_maskrcnn.weights import CLASS_ROWS, COCO_ROWS, chosen_rows

DETECTRON2_EPS = 1e-5  # of its frozen norms, and of torchvision's but for the first published weights
_COCO_IDS = 91  # the background, and category ids up to 90
_OF_TRUNK = "backbone.bottom_up."

# Names in torchvision's files -> Detectron2's; both spellings of a layer, from before and after torchvision 0.12.
# {stage} is one more than torchvision's, {level} two more than the number of the map, {next} one more than the layer.
_RENAMED = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"backbone\.body\.conv1\.(?P<end>\w+)", _OF_TRUNK + "stem.conv1.{end}"),
        (r"backbone\.body\.bn1\.(?P<end>\w+)", _OF_TRUNK + "stem.conv1.norm.{end}"),
        (
            r"backbone\.body\.layer(?P<stage>\d)\.(?P<block>\d+)\.conv(?P<conv>\d)\.(?P<end>\w+)",
            _OF_TRUNK + "res{stage}.{block}.conv{conv}.{end}",
        ),
        (
            r"backbone\.body\.layer(?P<stage>\d)\.(?P<block>\d+)\.bn(?P<conv>\d)\.(?P<end>\w+)",
            _OF_TRUNK + "res{stage}.{block}.conv{conv}.norm.{end}",
        ),
        (
            r"backbone\.body\.layer(?P<stage>\d)\.(?P<block>\d+)\.downsample\.0\.(?P<end>\w+)",
            _OF_TRUNK + "res{stage}.{block}.shortcut.{end}",
        ),
        (
            r"backbone\.body\.layer(?P<stage>\d)\.(?P<block>\d+)\.downsample\.1\.(?P<end>\w+)",
            _OF_TRUNK + "res{stage}.{block}.shortcut.norm.{end}",
        ),
        (r"backbone\.fpn\.inner_blocks\.(?P<level>\d)(?:\.0)?\.(?P<end>[a-z]\w*)", "backbone.fpn_lateral{level}.{end}"),
        (r"backbone\.fpn\.inner_blocks\.(?P<level>\d)\.1\.(?P<end>\w+)", "backbone.fpn_lateral{level}.norm.{end}"),
        (r"backbone\.fpn\.layer_blocks\.(?P<level>\d)(?:\.0)?\.(?P<end>[a-z]\w*)", "backbone.fpn_output{level}.{end}"),
        (r"backbone\.fpn\.layer_blocks\.(?P<level>\d)\.1\.(?P<end>\w+)", "backbone.fpn_output{level}.norm.{end}"),
        (r"rpn\.head\.cls_logits\.(?P<end>\w+)", "proposal_generator.rpn_head.objectness_logits.{end}"),
        (r"rpn\.head\.bbox_pred\.(?P<end>\w+)", "proposal_generator.rpn_head.anchor_deltas.{end}"),
        (r"roi_heads\.box_head\.fc6\.(?P<end>\w+)", "roi_heads.box_head.fc1.{end}"),
        (r"roi_heads\.box_head\.fc7\.(?P<end>\w+)", "roi_heads.box_head.fc2.{end}"),
        (r"roi_heads\.box_head\.(?P<next>\d)\.0\.(?P<end>\w+)", "roi_heads.box_head.conv{next}.{end}"),
        (r"roi_heads\.box_head\.(?P<next>\d)\.1\.(?P<end>\w+)", "roi_heads.box_head.conv{next}.norm.{end}"),
        (r"roi_heads\.box_head\.5\.(?P<end>[a-z]\w*)", "roi_heads.box_head.fc1.{end}"),
        (r"(?P<same>roi_heads\.box_predictor\.(?:cls_score|bbox_pred)\.\w+)", "{same}"),
        (r"roi_heads\.mask_head\.mask_fcn(?P<conv>\d)\.(?P<end>\w+)", "roi_heads.mask_head.mask_fcn{conv}.{end}"),
        (r"roi_heads\.mask_head\.(?P<next>\d)\.0\.(?P<end>\w+)", "roi_heads.mask_head.mask_fcn{next}.{end}"),
        (r"roi_heads\.mask_head\.(?P<next>\d)\.1\.(?P<end>\w+)", "roi_heads.mask_head.mask_fcn{next}.norm.{end}"),
        (r"roi_heads\.mask_predictor\.conv5_mask\.(?P<end>\w+)", "roi_heads.mask_head.deconv.{end}"),
        (r"roi_heads\.mask_predictor\.mask_fcn_logits\.(?P<end>\w+)", "roi_heads.mask_head.predictor.{end}"),
    )
]
_RPN_CONV = re.compile(r"rpn\.head\.conv(?:\.(?P<number>\d)\.0)?\.(?P<end>[a-z]\w*)")
_ADDED = {"stage": 1, "level": 2, "next": 1}
# as this project's models name what torchvision's do not
_OURS = (("proposal_generator.rpn.", "rpn."), ("roi_heads.heads.", "roi_heads."))


@dataclass(frozen=True)
class Conversion:
    """What to know of a file: what its frozen norms add to the variance, and whether all of 91 rows are classes."""

    norm_eps: float = DETECTRON2_EPS
    keep_all_rows: bool = False


def converted(state: Mapping[str, Tensor], conversion: Conversion) -> dict[str, Tensor]:
    """The parameters of a file of torchvision's, or of a model of this project, under Detectron2's names.

    The background, which is torchvision's first class, becomes the last of the scores and is dropped elsewhere. Of the
    91 rows of COCO's category ids the 80 that are used are kept.
    """
    theirs = {_torchvision_name(name): value for name, value in state.items()}
    lacking = [name for name in CLASS_ROWS if f"roi_heads.{name}" not in theirs]
    if lacking:
        raise WeightsError(f"these are no weights of torchvision's Mask R-CNN: roi_heads.{lacking[0]} is absent")
    classes = _kept_rows(len(theirs[f"roi_heads.{CLASS_ROWS[0]}"]), conversion)
    is_deep = any(name.startswith("rpn.head.conv.1.") for name in theirs)
    made = {}
    for name, value in theirs.items():
        value = _for_detectron2(name, value, classes, conversion.norm_eps)
        made[_detectron2_name(name, is_deep)] = value
    return made


def _torchvision_name(name: str) -> str:
    for ours, theirs in _OURS:
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def _kept_rows(total: int, conversion: Conversion) -> tuple[int, ...]:
    """Of the background and the classes, the background first."""
    is_coco = total == _COCO_IDS and not conversion.keep_all_rows
    return COCO_ROWS if is_coco else tuple(range(total))


def _for_detectron2(name: str, value: Tensor, rows: tuple[int, ...], norm_eps: float) -> Tensor:
    if name.endswith("running_var"):
        return value + norm_eps - DETECTRON2_EPS if name.startswith("backbone.body.") else value
    layer = name.removeprefix("roi_heads.")
    if layer not in CLASS_ROWS:
        return value
    total = len(value) // 4 if "bbox_pred" in layer else len(value)
    background, *classes = rows
    order = (*classes, background) if "cls_score" in layer else tuple(classes)
    return chosen_rows(value, order, total)


def _detectron2_name(name: str, is_deep: bool) -> str:
    conv = _RPN_CONV.fullmatch(name)
    if conv:
        number = f"conv{conv['number']}." if is_deep else ""
        return f"proposal_generator.rpn_head.conv.{number}{conv['end']}"
    for pattern, template in _RENAMED:
        match = pattern.fullmatch(name)
        if match:
            parts = {key: int(text) + _ADDED[key] if key in _ADDED else text for key, text in match.groupdict().items()}
            return template.format(**parts)
    raise WeightsError(f"these are no weights of torchvision's Mask R-CNN: {name} is none of its parameters")
