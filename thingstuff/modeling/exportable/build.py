"""Which of Detectron2's models can be exported, and the plain module made of one."""

from __future__ import annotations

from detectron2.layers import ROIAlign
from detectron2.modeling import PanopticFPN, SemanticSegmentor
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.meta_arch import GeneralizedRCNN
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import FastRCNNOutputLayers, StandardROIHeads
from detectron2.modeling.roi_heads.mask_head import BaseMaskRCNNHead
from torch import nn

from thingstuff.errors import ConfigError
from thingstuff.modeling.exportable.detector import Detector
from thingstuff.modeling.exportable.network import Network
from thingstuff.modeling.exportable.semantic import SemanticLogits

SUPPORTED = (
    "GeneralizedRCNN with StandardROIHeads (Faster and Mask R-CNN with FPN), PanopticFPN with the same, "
    "SemanticSegmentor"
)


def exportable(model: nn.Module) -> Network:
    """The network of a built Detectron2 model, sharing its weights. ConfigError says what cannot be exported.

    The modules of the model are called where Detectron2 calls them; what it does between them with lists of
    Instances is done with tensors. See `Network` for inputs and outputs.
    """
    if type(model).forward is SemanticSegmentor.forward:
        return Network(model, None, SemanticLogits(model.sem_seg_head))
    if type(model) is PanopticFPN:
        return Network(model, _detector(model), SemanticLogits(model.sem_seg_head))
    if type(model) is GeneralizedRCNN:
        return Network(model, _detector(model), None)
    raise _refusal(type(model).__name__)


def _detector(model: GeneralizedRCNN) -> Detector:
    _refuse_other_proposals(model.proposal_generator)
    _refuse_other_heads(model.roi_heads)
    return Detector(model.proposal_generator, model.roi_heads)


def _refuse_other_proposals(generator: nn.Module | None) -> None:
    if type(generator) is not RPN:
        raise _refusal("no proposal generator" if generator is None else type(generator).__name__)
    _expect(generator.anchor_generator, DefaultAnchorGenerator)
    _expect(generator.box2box_transform, Box2BoxTransform)


def _refuse_other_heads(heads: nn.Module) -> None:
    if type(heads) is not StandardROIHeads:
        raise _refusal(type(heads).__name__)
    if heads.keypoint_on:
        raise _refusal("a keypoint head")
    _expect(heads.box_predictor, FastRCNNOutputLayers)
    _expect(heads.box_predictor.box2box_transform, Box2BoxTransform)
    _refuse_other_pooling(heads.box_pooler)
    if heads.mask_on:
        _refuse_other_pooling(heads.mask_pooler)
        if type(heads.mask_head).forward is not BaseMaskRCNNHead.forward:
            raise _refusal(type(heads.mask_head).__name__)


def _refuse_other_pooling(pooler: nn.Module | None) -> None:
    if type(pooler) is not ROIPooler:
        raise _refusal("masks pooled in another way")
    for level in pooler.level_poolers:
        _expect(level, ROIAlign)


def _expect(part: object, kind: type) -> None:
    if type(part) is not kind:
        raise _refusal(type(part).__name__)


def _refusal(what: str) -> ConfigError:
    return ConfigError(f"a model with {what} cannot be exported, only: {SUPPORTED}")
