"""One update of the weights: the parts of a batch forwards and backwards, a look at the numbers, the optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.utils import comm
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from thingstuff.engine.training.precision import Precision

Batch = list[dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """`losses` are means over the parts of the batch and over all processes. `is_bad`: the weights were left alone."""

    losses: dict[str, float]
    grad_norm: float
    is_bad: bool


class Update:
    """The gradient of a batch is the mean of those of its `micro_batches` parts, and of those of all processes.

    A batch whose losses or gradients are not finite, in any process, changes nothing: neither the weights nor the
    statistics of batch norm. Where a GradScaler is at work, gradients that overflow are its own matter.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, micro_batches: int, precision: Precision
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.micro_batches = micro_batches
        self.precision = precision
        self.scaler = precision.scaler()
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._statistics = [b for b in model.buffers() if b.is_floating_point() or b.dtype == torch.long]

    def __call__(self, batches: Iterator[Batch], after_backward: Callable[[], None] = lambda: None) -> Outcome:
        kept = [buffer.clone() for buffer in self._statistics]
        self.optimizer.zero_grad()
        try:
            parts = self._all_parts(batches)
        except FloatingPointError:  # Detectron2 notices it before there is a loss
            if comm.get_world_size() > 1:
                raise  # the others wait for gradients
            return self._undone(kept, Outcome({"total_loss": math.nan}, math.nan, is_bad=True))
        after_backward()
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        losses = _mean(parts)
        norm = self._gradient_norm()
        outcome = _judged(losses, norm, has_scaler=self.scaler is not None)
        if outcome.is_bad:
            return self._undone(kept, outcome)
        self._step()
        return outcome

    def _all_parts(self, batches: Iterator[Batch]) -> list[dict[str, Tensor]]:
        parts = []
        for number in range(self.micro_batches):
            with self._without_exchange(number):
                parts.append(self._backward(next(batches)))
        return parts

    def _undone(self, statistics: list[Tensor], outcome: Outcome) -> Outcome:
        for buffer, before in zip(self._statistics, statistics, strict=True):
            buffer.copy_(before)
        self.optimizer.zero_grad()
        return outcome

    def _without_exchange(self, number: int) -> AbstractContextManager[Any]:
        """Processes exchange gradients once, with those of the last part."""
        is_last = number == self.micro_batches - 1
        if isinstance(self.model, DistributedDataParallel) and not is_last:
            return self.model.no_sync()
        return nullcontext()

    def _backward(self, batch: Batch) -> dict[str, Tensor]:
        with self.precision.autocast():
            losses = self.model(batch)
        if isinstance(losses, Tensor):
            losses = {"total_loss": losses}
        total = torch.stack([loss.float() for loss in losses.values()]).sum() / self.micro_batches
        (total if self.scaler is None else self.scaler.scale(total)).backward()
        return {name: loss.detach().float() for name, loss in losses.items()}

    def _gradient_norm(self) -> Tensor:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def _step(self) -> None:
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        state = {"optimizer": self.optimizer.state_dict()}
        return state if self.scaler is None else {**state, "grad_scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None and "grad_scaler" in state:
            self.scaler.load_state_dict(state["grad_scaler"])


def _mean(parts: list[dict[str, Tensor]]) -> dict[str, float]:
    """Over parts and processes. Every process has the same losses; one that a part lacks counts as 0 there."""
    names = sorted({name for part in parts for name in part})
    zero = next(iter(parts[0].values())).new_zeros(())
    sums = torch.stack([sum((part.get(name, zero) for part in parts), zero) for name in names])
    if comm.get_world_size() > 1:
        torch.distributed.all_reduce(sums)
    means = sums / (len(parts) * comm.get_world_size())
    return dict(zip(names, means.tolist(), strict=True))


def _judged(losses: dict[str, float], norm: Tensor, has_scaler: bool) -> Outcome:
    """Gradients are the same in all processes once they were exchanged, and so are these losses."""
    finite = bool(torch.isfinite(torch.tensor(sum(losses.values()))))
    grad_norm = float(norm)
    return Outcome(losses, grad_norm, not finite or not (has_scaler or torch.isfinite(norm).item()))
