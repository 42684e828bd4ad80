"""The size of masks alone: what is added or taken away, and that all else begins alike."""

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from roipool.mask_size import doublings
from roipool.variants import VARIANTS

from thingstuff.config import load_config
from thingstuff.errors import ConfigError


def model(name, *overrides):
    torch.manual_seed(5)
    return build_model(load_config(VARIANTS[name].config, ["MODEL.DEVICE", "cpu", *overrides]))


@pytest.mark.parametrize(("name", "side"), [("mask14", 14), ("align2", 28), ("mask56", 56)])
def test_fourteen_by_fourteen_features_become_masks_of_the_size(name, side):
    head = model(name).roi_heads.mask_head
    assert head.layers(torch.rand(3, 64, 14, 14)).shape == (3, 6, side, side)


def test_28_is_detectron2s_own_head_weight_by_weight():
    own = model("align2", "MODEL.ROI_MASK_HEAD.NAME", "MaskRCNNConvUpsampleHead").state_dict()
    ours = model("align2").state_dict()
    assert list(ours) == list(own)
    assert all(torch.equal(ours[key], own[key]) for key in own)


@pytest.mark.parametrize("name", ["roipool", "align1", "mask14", "mask56"])
def test_all_weights_but_those_of_the_enlargement_begin_as_the_baselines(name):
    base, other = model("align2").state_dict(), model(name).state_dict()
    after = torch.rand(1)
    shared = [key for key in base if "mask_head.deconv" not in key]
    assert all(torch.equal(base[key], other[key]) for key in shared)
    model("align2")
    assert torch.equal(after, torch.rand(1)), "a training would draw other regions"


def test_the_enlargements_come_before_the_predictor():
    names = [name for name, _ in model("mask56").roi_heads.mask_head.named_children()]
    assert names[-5:] == ["deconv", "deconv_relu", "deconv2", "deconv2_relu", "predictor"]


@pytest.mark.parametrize(("side", "pooled", "count"), [(14, 14, 0), (28, 14, 1), (56, 14, 2), (28, 7, 2)])
def test_a_size_is_a_number_of_doublings(side, pooled, count):
    assert doublings(side, pooled) == count


@pytest.mark.parametrize(("side", "pooled"), [(7, 14), (27, 14), (42, 14), (0, 14), (-14, 14)])
def test_other_sizes_are_refused(side, pooled):
    with pytest.raises(ConfigError, match=f"OUTPUT_SIZE is {side}, expected POOLER_RESOLUTION {pooled} times"):
        doublings(side, pooled)


@pytest.mark.parametrize("name", ["mask14", "mask56", "roipool"])
def test_a_step_in_bf16_gives_every_layer_of_the_mask_head_a_gradient(name):
    trained = model(name)
    with EventStorage(), torch.autocast("cpu", torch.bfloat16):
        losses = trained([an_image(), an_image()])
    sum(losses.values()).backward()
    assert torch.isfinite(losses["loss_mask"])
    assert all(each.grad.abs().sum() > 0 for each in trained.roi_heads.mask_head.parameters())


def an_image():
    truth = Instances((64, 64))
    truth.gt_boxes = Boxes(torch.tensor([[8.0, 8, 40, 40], [20, 4, 60, 30]]))
    truth.gt_classes = torch.tensor([0, 5])
    truth.gt_masks = BitMasks(torch.rand(2, 64, 64) > 0.5)
    return {"image": torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8), "instances": truth}
