"""The state of a training in a checkpoint, its optimiser's and schedule's, put into one that is like it only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import OutOfMemoryError, Tensor, nn
from torch.optim import Optimizer

from thingstuff.errors import UserError, WeightsError

_OF_EACH_PARAMETER = ("momentum_buffer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")
_REMEDY = "go on with the config that it was trained with, or start anew in another OUTPUT_DIR"


def refuse_other_state(file: str, owner: Any, saved: Any, model: nn.Module) -> None:
    """WeightsError if the optimiser or schedule in `saved` is not that of `owner`, a trainer or an optimiser."""
    optimizer = owner if isinstance(owner, Optimizer) else getattr(owner, "optimizer", None)
    if not isinstance(optimizer, Optimizer):
        return
    with _about(file, "optimiser"):
        difference = _difference(optimizer, saved, {id(p): name for name, p in model.named_parameters()})
    if difference:
        raise WeightsError(f"{file} cannot be resumed: {difference}: {_REMEDY}")


def load_state(file: str, key: str, owner: Any, saved: Any) -> None:
    """`owner.load_state_dict(saved)`, whose errors are about the file."""
    with _about(file, key):
        owner.load_state_dict(saved)


@contextmanager
def _about(file: str, key: str) -> Iterator[None]:
    try:
        yield
    except (UserError, OutOfMemoryError):
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        words = " ".join(str(error).split())
        what = f"it lacks {words}" if isinstance(error, KeyError) else words
        raise WeightsError(
            f"{file} cannot be resumed: the state of its {key} does not fit ({what}): {_REMEDY}"
        ) from error


def _difference(optimizer: Optimizer, saved: Any, names: Mapping[int, str]) -> str:
    """What differs first, in words; "" if nothing does."""
    optimizers = [found for found in _below(saved) if {"param_groups", "state"} <= found.keys()]
    schedules = [found["base_lrs"] for found in _below(saved) if "base_lrs" in found]
    differences = [_other_optimizer(optimizer, found, names) for found in optimizers[:1]]
    differences += [_other_schedule(optimizer, rates) for rates in schedules[:1]]
    return next(filter(None, differences), "")


def _below(saved: Any) -> Iterator[Mapping[str, Any]]:
    """`saved` and the dictionaries in it, outer ones first."""
    if isinstance(saved, Mapping):
        yield saved
        for value in saved.values():
            yield from _below(value)


def _other_optimizer(optimizer: Optimizer, saved: Mapping[str, Any], names: Mapping[int, str]) -> str:
    theirs, ours = saved["param_groups"], optimizer.param_groups
    sizes = [[len(group["params"]) for group in groups] for groups in (theirs, ours)]
    if sum(sizes[0]) != sum(sizes[1]):
        return f"it trained {sum(sizes[0])} parameters, this config trains {sum(sizes[1])}"
    if _kind(theirs[0]) != _kind(ours[0]):
        return f"its optimiser is {_kind(theirs[0])}, that of this config {_kind(ours[0])} (SOLVER.OPTIMIZER)"
    if sizes[0] != sizes[1]:
        return (
            f"its optimiser has {len(sizes[0])} groups of parameters, that of this config {len(sizes[1])}"
            " of other sizes (SOLVER's keys of weight decay and bias)"
        )
    return _other_shape(optimizer, saved, names)


def _kind(group: Mapping[str, Any]) -> str:
    if "betas" not in group:
        return "SGD" if "momentum" in group else "another"
    return "ADAMW" if group.get("decoupled_weight_decay") else "ADAM"


def _other_shape(optimizer: Optimizer, saved: Mapping[str, Any], names: Mapping[int, str]) -> str:
    indices = [index for group in saved["param_groups"] for index in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, parameter in zip(indices, parameters, strict=True):
        state = saved["state"].get(index, {})
        for kind in _OF_EACH_PARAMETER:
            value = state.get(kind)
            if isinstance(value, Tensor) and value.shape != parameter.shape:
                name = names.get(id(parameter), f"parameter {index}")
                return f"its {kind} of {name} is {tuple(value.shape)}, the parameter {tuple(parameter.shape)}"
    return ""


def _other_schedule(optimizer: Optimizer, rates: list[float]) -> str:
    groups = len(optimizer.param_groups)
    return "" if len(rates) == groups else f"its schedule has {len(rates)} learning rates, that of this config {groups}"
