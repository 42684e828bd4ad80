"""One update of the weights, against Detectron2's own step and against the gradients of its parts."""

import copy

import pytest
import torch
from detectron2.engine import SimpleTrainer
from detectron2.modeling import build_model
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import EventStorage
from torch import nn

from thingstuff.data.catalog import require_datasets
from thingstuff.engine.training.precision import Precision
from thingstuff.engine.training.solver import build_optimizer
from thingstuff.engine.training.trainer import Trainer
from thingstuff.engine.training.update import Update

FP32 = Precision(None, "cpu")


@pytest.fixture
def parts(tiny_cfg):
    """A Mask R-CNN, its config, and two batches."""
    cfg = tiny_cfg("shapes/mask_rcnn.yaml", "SOLVER.IMS_PER_BATCH", "2")
    torch.manual_seed(0)
    model = build_model(cfg).train()
    require_datasets(cfg.DATASETS.TRAIN)
    stream = iter(Trainer.build_train_loader(cfg))
    return cfg, model, [next(stream), next(stream)]


class Linear(nn.Module):
    """A model with batch norm, whose loss is what it is told."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(2, 2), nn.BatchNorm1d(2)

    def forward(self, batch):
        values = torch.stack([sample["x"] for sample in batch])
        return {"loss": self.norm(self.layer(values)).square().sum() * batch[0]["factor"]}


def samples(factor):
    return [{"x": torch.tensor([1.0, n]), "factor": factor} for n in range(3)]


def test_it_is_detectron2s_step_to_the_bit(parts):
    cfg, model, batches = parts
    twin = copy.deepcopy(model)
    theirs = SimpleTrainer(twin, batches, build_optimizer(cfg, twin))
    ours = Update(model, build_optimizer(cfg, model), 1, FP32)
    for step in range(2):
        seed_all_rng(step)
        with EventStorage():
            outcome = ours(iter(batches[step:]))
        seed_all_rng(step)
        with EventStorage() as theirs.storage:
            theirs.run_step()
            total = theirs.storage.latest()["total_loss"][0]
        assert sum(outcome.losses.values()) == pytest.approx(total, rel=1e-6)
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in model.state_dict().items())


def test_gradients_of_parts_are_averaged(parts):
    """With the same random numbers each part samples the same proposals."""
    _, model, batches = parts
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)
    seed_all_rng(5)
    with EventStorage():
        outcome = Update(model, frozen, 2, FP32)(iter(batches))
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    seed_all_rng(5)
    gradients = []
    for batch in batches:
        model.zero_grad()
        with EventStorage():
            sum(model(batch).values()).backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert ours.keys() == gradients[0].keys()
    for name, gradient in ours.items():
        expected = (gradients[0][name] + gradients[1][name]) / 2
        assert torch.allclose(gradient, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    norm = torch.sqrt(sum(g.double().square().sum() for g in ours.values()))
    assert outcome.grad_norm == pytest.approx(float(norm), rel=1e-5)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1e38])
def test_a_bad_batch_changes_nothing(factor):
    torch.manual_seed(1)
    model = Linear()
    update = Update(model, torch.optim.AdamW(model.parameters()), 2, FP32)
    before = copy.deepcopy(model.state_dict())
    outcome = update(iter([samples(1.0), samples(factor)]))
    assert outcome.is_bad
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not update.optimizer.state
    good = update(iter([samples(1.0), samples(2.0)]))
    assert not good.is_bad
    assert not torch.equal(model.layer.weight, before["layer.weight"])


def test_what_detectron2_notices_before_there_is_a_loss_is_a_bad_batch():
    model = Linear()
    before = copy.deepcopy(model.state_dict())

    def diverged(batch):
        model.norm(torch.rand(3, 2))
        raise FloatingPointError("Predicted boxes or scores contain Inf/NaN. Training has diverged.")

    model.forward = diverged
    outcome = Update(model, torch.optim.SGD(model.parameters(), 0.1), 1, FP32)(iter([samples(1.0)]))
    assert outcome.is_bad
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_part_without_a_loss_counts_as_nothing():
    model = Linear()
    model.forward = lambda batch: {name: model.layer.weight.sum() * 0 + value for name, value in batch[0].items()}
    outcome = Update(model, torch.optim.SGD(model.parameters(), 0.1), 2, FP32)(
        iter([[{"a": 2.0}], [{"a": 4.0, "b": 1.0}]])
    )
    assert outcome.losses == {"a": 3.0, "b": 0.5}
