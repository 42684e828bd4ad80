"""The running mean of weights, against its formula written out."""

import torch
from torch import nn

from thingstuff.engine.training.averaged import AveragedWeights


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


def change(net, by):
    with torch.no_grad():
        for value in net.state_dict().values():
            value.add_(by)


def test_it_is_the_formula():
    net = model()
    averaged = AveragedWeights(net, 0.9)
    expected = net.state_dict()["0.weight"].clone()
    for step in range(1, 121):
        change(net, step)
        averaged.update()
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * net.state_dict()["0.weight"]
    assert torch.allclose(averaged.other["0.weight"], expected, rtol=1e-5)
    assert averaged.other["1.num_batches_tracked"] == net.state_dict()["1.num_batches_tracked"]


def test_the_model_has_it_for_a_block_alone():
    net = model()
    averaged = AveragedWeights(net, 0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    change(net, 2)
    own = {name: value.clone() for name, value in net.state_dict().items()}
    with averaged.in_model():
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert all(torch.equal(value, own[name]) for name, value in averaged.other.items())
    assert all(torch.equal(value, own[name]) for name, value in net.state_dict().items())


def test_it_goes_on_from_its_state():
    net, twin = model(), model()
    one, other = AveragedWeights(net, 0.9), AveragedWeights(twin, 0.9)
    for step in range(3):
        change(net, step), one.update()
    other.load_state_dict(one.state_dict())
    twin.load_state_dict(net.state_dict())
    for step in range(3):
        change(net, step), one.update()
        change(twin, step), other.update()
    assert all(torch.equal(one.other[name], other.other[name]) for name in one.other)
