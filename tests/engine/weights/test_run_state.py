"""An optimiser's and a schedule's state goes into a training like it, or into none: a line says what differs."""

import pytest
import torch
from torch import nn

from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.errors import WeightsError


class Training:
    """What a checkpoint holds of a trainer: the iteration, its optimiser, and the schedule as a hook's state."""

    def __init__(self, model, optimizer, more=()):
        self.model, self.optimizer, self.iteration, self.more = model, optimizer, 0, dict(more)
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]

    def step(self):
        self.model(torch.ones(1, 3)).sum().backward()
        self.optimizer.step()
        self.iteration += 1

    def state_dict(self):
        hooks = {"LRScheduler": {"base_lrs": self.base_lrs, "last_epoch": self.iteration}}
        return {"iteration": self.iteration, "hooks": hooks, "optimizer": self.optimizer.state_dict(), **self.more}

    def load_state_dict(self, state):
        for key in self.more:
            self.more[key] = state[key]
        self.optimizer.load_state_dict(state["optimizer"])
        self.iteration = state["iteration"]


def sgd(model, groups=None, momentum=0.9):
    return torch.optim.SGD(groups or model.parameters(), 0.1, momentum=momentum)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def save(folder, build=sgd, **more):
    model = network()
    training = Training(model, build(model), more)
    training.step()
    Checkpointer(model, str(folder), trainer=training).save("model_0000000")
    return training


def resume(folder, build=sgd, **more):
    model = network()
    training = Training(model, build(model), more)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        Checkpointer(model, str(folder), trainer=training).resume_or_load("", resume=True)
    except WeightsError as error:
        return str(error), all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return training


def test_the_same_training_goes_on(tmp_path):
    saved, resumed = save(tmp_path), resume(tmp_path)
    assert resumed.iteration == 1
    for theirs, ours in zip(saved.model.parameters(), resumed.model.parameters(), strict=True):
        momenta = [t.optimizer.state[p]["momentum_buffer"] for t, p in ((saved, theirs), (resumed, ours))]
        assert torch.equal(*momenta)
        assert torch.equal(theirs, ours)


def frozen(model):
    return sgd(model, list(model[1].parameters()))


def grouped(model):
    return sgd(model, [{"params": list(part.parameters())} for part in model])


def regrouped(model):
    return sgd(model, [{"params": [model[0].weight]}, {"params": [model[0].bias, *model[1].parameters()]}])


def turned(model):
    return sgd(model, [{"params": list(reversed(list(model.parameters())))}])


def adam(model):
    return torch.optim.Adam(model.parameters(), 0.1)


def adamw(model):
    return torch.optim.AdamW(model.parameters(), 0.1)


DIFFERENCES = [
    (frozen, sgd, "it trained 2 parameters, this config trains 4"),
    (sgd, frozen, "it trained 4 parameters, this config trains 2"),
    (adamw, sgd, "its optimiser is ADAMW, that of this config SGD (SOLVER.OPTIMIZER)"),
    (sgd, adam, "its optimiser is SGD, that of this config ADAM (SOLVER.OPTIMIZER)"),
    (adam, adamw, "its optimiser is ADAM, that of this config ADAMW (SOLVER.OPTIMIZER)"),
    (grouped, sgd, "its optimiser has 2 groups of parameters, that of this config 1"),
    (grouped, regrouped, "its optimiser has 2 groups of parameters, that of this config 2 of other sizes"),
    (sgd, turned, "its momentum_buffer of 1.bias is (4, 3), the parameter (2,)"),
]


@pytest.mark.parametrize(("before", "now", "said"), DIFFERENCES)
def test_differences_are_named_and_nothing_is_loaded(tmp_path, before, now, said):
    save(tmp_path, before)
    text, untouched = resume(tmp_path, now)
    assert said in text
    assert f"{tmp_path / 'model_0000000.pth'} cannot be resumed" in text
    assert text.isprintable()
    assert untouched


def test_a_schedule_of_other_groups_is_named(tmp_path):
    save(tmp_path)
    path = tmp_path / "model_0000000.pth"
    content = torch.load(path)
    content["trainer"]["hooks"]["LRScheduler"]["base_lrs"] = [0.1, 0.2]
    torch.save(content, path)
    (tmp_path / "model_0000000.pth.sha256").unlink()
    text, untouched = resume(tmp_path)
    assert "its schedule has 2 learning rates, that of this config 1" in text
    assert untouched


def test_a_state_that_is_not_there_is_named(tmp_path):
    save(tmp_path)
    text, _ = resume(tmp_path, grad_scaler={})
    assert "the state of its trainer does not fit (it lacks 'grad_scaler')" in text


@pytest.mark.parametrize(
    "state",
    [3, {}, {"optimizer": 3}, {"optimizer": {"param_groups": 3, "state": {}}, "iteration": 0}],
)
def test_any_other_state_is_one_line(tmp_path, state):
    model = network()
    Checkpointer(model, str(tmp_path)).save("model_0000000", trainer=state)
    text, _ = resume(tmp_path)
    assert "does not fit" in text
    assert text.isprintable()


def test_a_bare_optimiser_is_known_too(tmp_path):
    model = network()
    Checkpointer(model, str(tmp_path), optimizer=adam(model)).save("model_0000000")
    other = network()
    with pytest.raises(WeightsError, match="its optimiser is ADAM, that of this config SGD"):
        Checkpointer(other, str(tmp_path), optimizer=sgd(other)).resume_or_load("")


def test_without_resume_the_state_does_not_matter(tmp_path):
    save(tmp_path, adamw)
    model = network()
    training = Training(model, sgd(model))
    checkpointer = Checkpointer(model, str(tmp_path / "other"), trainer=training)
    checkpointer.resume_or_load(str(tmp_path / "model_0000000.pth"))
    assert training.iteration == 0
