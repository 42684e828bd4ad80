"""Which tensors of a model depend on the number of classes, and how many classes their shapes tell of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Shape = tuple[int, ...]

# The last layers of Detectron2's heads, of torchvision's and of DETR's kin.
# PointRend's point head takes the coarse classes as inputs.
_HEAD = re.compile(
    r"""(?P<head>(?:.*\.)?(?:
      box_predictor (?=(?:\.\d+)?\.(?:cls_score|bbox_pred)\.)
    | mask_predictor (?=\.mask_fcn_logits\.)
    | mask_head\.(?:predictor|coarse_head\.prediction|parameter_head\.prediction)
    | point_head (?=\.(?:fc\d+|predictor)\.)
    | keypoint_head\.score_lowres
    | sem_seg_head\.(?:coarse_sem_seg_head\.)?predictor (?=\.(?:weight|bias)$)
    | (?:(?<=\.)|^)head\.cls_score
    | class_embed
    | criterion (?=\.empty_weight$)
    ))(?:\.[\w]+)*""",
    re.VERBOSE,
)
_BOX_SIDES = 4


def head_of(name: str, in_file: Shape, in_model: Shape) -> str | None:
    """The head that the tensor belongs to, if its two shapes differ in nothing but a number of classes."""
    match = _HEAD.fullmatch(name)
    lengths = zip(in_file, in_model, strict=False)
    if match is None or len(in_file) != len(in_model) or sum(a != b for a, b in lengths) != 1:
        return None
    return match["head"]


def head_words(names: Iterable[str], in_file: Mapping[str, Shape], in_model: Mapping[str, Shape]) -> str:
    """`80 classes in the file, 3 in this model`, of the tensors of one head; their shapes where no number is told."""
    names = list(names)
    for name in names:
        theirs, ours = _count(name, in_file), _count(name, in_model)
        if theirs is not None and ours is not None:
            what = "keypoints" if "keypoint_head" in name else "classes"
            return f"{theirs} {what} in the file, {ours} in this model"
    first = names[0]
    return f"{'.'.join(first.split('.')[-2:])} {in_file[first]} in the file, {in_model[first]} in this model"


def _count(name: str, shapes: Mapping[str, Shape]) -> int | None:
    shape = shapes[name]
    if "box_predictor" in name:
        return shape[0] - 1 if "cls_score" in name else None  # the last one is the background
    if "mask_fcn_logits" in name:
        return shape[0] - 1  # the first one is the background
    if "class_embed" in name or name.endswith("empty_weight"):
        return shape[0] - 1  # the last one is "no object"
    if "keypoint_head" in name:
        return shape[0] if name.endswith("bias") else shape[1]
    if name.endswith(("head.cls_score.weight", "head.cls_score.bias")):
        return _of_each_anchor(name, shapes)
    return shape[0] if ".predictor." in name else None


def _of_each_anchor(name: str, shapes: Mapping[str, Shape]) -> int | None:
    """A dense head scores every class for every anchor; its box layer tells how many anchors there are."""
    boxes = shapes.get(name.replace("cls_score", "bbox_pred"))
    anchors = boxes[0] // _BOX_SIDES if boxes else 0
    return shapes[name][0] // anchors if anchors else None
