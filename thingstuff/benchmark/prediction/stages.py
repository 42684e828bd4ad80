"""How a call's time divides into stages: whatever passed between two marks belongs to the stage of the second.

So the stages add up to the whole, whichever hooks a program calls. What `INJECTED` names is the benchmark's own work.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

WHOLE = "network"  # of an architecture that is not taken apart
STAGES = (
    *("decode", "resize", "backbone", "stuff head", "proposals", "boxes", "masks", WHOLE),
    *("stuff labels", "paste", "merge", "encode"),
)
INJECTED = "injected"


@dataclass(frozen=True)
class Meter:
    """Something that rises while a program runs: `read` it twice, and `between` says by how much, after `settle`."""

    read: Callable[[], Any]
    between: Callable[[Any, Any], float]
    settle: Callable[[], None] = lambda: None


@dataclass
class StageClock:
    """Marks count between `start` and `stop`, and are ignored otherwise."""

    meter: Meter
    _marks: list[tuple[str, Any]] | None = field(default=None, init=False)

    def start(self) -> None:
        self._marks = [("", self.meter.read())]

    def mark(self, stage: str) -> None:
        """What has passed since the last mark was `stage`."""
        if self._marks is not None:
            self._marks.append((stage, self.meter.read()))

    def stop(self) -> dict[str, float]:
        """Stage -> how much of it there was. `INJECTED` is left out."""
        marks, self._marks = self._marks or [], None
        self.meter.settle()
        found: dict[str, float] = {}
        for (_, earlier), (stage, later) in itertools.pairwise(marks):
            found[stage] = found.get(stage, 0.0) + self.meter.between(earlier, later)
        found.pop(INJECTED, None)
        return found


def milliseconds(device: Any) -> Meter:
    """On a GPU its own time, by events in its stream, which is waited for at the end alone."""
    if device.type == "cuda":
        return _gpu_milliseconds(device)
    return Meter(time.perf_counter, lambda earlier, later: 1000 * (later - earlier))


def flops() -> tuple[Meter, Any]:
    """Operations of convolutions and products, 2 for a multiplication with addition; within the context it gives."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    return Meter(counter.get_total_flops, lambda earlier, later: float(later - earlier)), counter


def _gpu_milliseconds(device: Any) -> Meter:
    import torch

    def read() -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(device))
        return event

    def between(earlier: Any, later: Any) -> float:
        return float(earlier.elapsed_time(later))

    return Meter(read, between, lambda: torch.cuda.synchronize(device))


def mark_around(owner: Any, name: str, clock: StageClock, before: str | None, after: str) -> None:
    """Replace a function of a module or object by one that marks what was before it, and itself."""
    function = getattr(owner, name)

    def marked(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            clock.mark(before)
        answer = function(*args, **kwargs)
        clock.mark(after)
        return answer

    setattr(owner, name, marked)


def mark_whole(network: Any, clock: StageClock) -> None:
    """The network of any architecture as one stage, with all that it does before it answers.

    An R-CNN may be called by its `inference` too, to be stopped before its masks are pasted.
    """
    from detectron2.modeling import GeneralizedRCNN

    if isinstance(network, GeneralizedRCNN):
        mark_around(network, "inference", clock, "resize", WHOLE)
    else:
        mark_module(network, clock, "resize", WHOLE)


def mark_module(module: Any, clock: StageClock, before: str | None = None, after: str | None = None) -> None:
    """The same for a module of PyTorch, by hooks."""
    if before is not None:
        module.register_forward_pre_hook(lambda *_: clock.mark(before))
    if after is not None:
        module.register_forward_hook(lambda *_: clock.mark(after))
