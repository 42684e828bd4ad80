"""A model that was made fast for training predicts, where it is asked to, what any other with its weights predicts."""

import copy

import torch
from detectron2.modeling import build_model

from thingstuff.modeling.training_speed import plain_layout, prepare_model


def test_a_prepared_model_predicts_the_same_to_the_bit(tiny_cfg):
    torch.manual_seed(0)
    model = build_model(tiny_cfg("shapes/panoptic_fpn.yaml")).eval()
    prepared = copy.deepcopy(model)
    prepare_model(prepared, channels_last=True, compile_backbone=False)
    images = torch.rand(1, 3, 96, 128)
    expected = model.backbone(images)
    with torch.no_grad(), plain_layout(prepared):
        found = prepared.backbone(images)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert prepared.backbone.fpn_output2.weight.is_contiguous(memory_format=torch.channels_last)


def test_an_unprepared_one_is_left_alone(tiny_cfg):
    model = build_model(tiny_cfg("shapes/mask_rcnn.yaml"))
    before = [parameter.data_ptr() for parameter in model.parameters()]
    with plain_layout(model):
        assert [parameter.data_ptr() for parameter in model.parameters()] == before


def test_output_layers_stay_in_float32(tiny_cfg):
    """All the rest of the heads computes in bf16; without autocast the numbers are the same to the bit."""
    torch.manual_seed(0)
    model = build_model(tiny_cfg("shapes/panoptic_fpn.yaml"))
    plain = copy.deepcopy(model)
    prepare_model(model, channels_last=False, compile_backbone=False)
    features = torch.rand(5, 64, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.proposal_generator.rpn_head.conv(features).dtype == torch.bfloat16
        for layer in (model.proposal_generator.rpn_head.objectness_logits, model.roi_heads.mask_head.predictor):
            assert layer(features.bfloat16()).dtype == torch.float32
        assert all(x.dtype == torch.float32 for x in model.roi_heads.box_predictor(torch.rand(5, 256).bfloat16()))
        assert model.sem_seg_head.predictor(features).dtype == torch.float32
    assert torch.equal(model.sem_seg_head.predictor(features), plain.sem_seg_head.predictor(features))
    assert model.state_dict().keys() == plain.state_dict().keys()
