"""Programs that predict, in turns: each in its own process, all on the same images with the same load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thingstuff.benchmark.prediction.process import OWN, Job, PredictProcess
from thingstuff.progress import Progress

STOCK, ARTIFACT, TORCHVISION = "stock", "artifact", "torchvision"
COUNTED = (STOCK, "exact", TORCHVISION, "torchvision-mixed")  # whose operations are PyTorch's own, and can be counted
Stages = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """What is measured. `cases` are numbers of injected detections, as text, or `OWN`; `job` is every system's."""

    systems: Sequence[str]
    cases: Sequence[str]
    repeats: int
    batches: Sequence[int]
    dataset: str | None
    job: Job


@dataclass
class Measured:
    """Of one system. `calls[case][turn][image]` are milliseconds by stage, `records[case][image]` what it found,
    `flop[case]` are floating-point operations by stage, `batch_ms[batch]` milliseconds of whole calls.
    """

    first_ms: float = 0.0
    calls: dict[str, list[list[Stages]]] = field(default_factory=dict)
    records: dict[str, list[Any]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] | None = None
    flop: dict[str, Stages] = field(default_factory=dict)
    batch_ms: dict[int, list[float]] = field(default_factory=dict)
    matmul: Mapping[str, float | None] = field(default_factory=dict)
    store: Path | None = None


def cases_of(system: str, cases: Sequence[str]) -> list[str]:
    """Nothing is injected into an artifact; torchvision, whose weights are random, is not left to itself."""
    if system == ARTIFACT:
        return [case for case in cases if case == OWN]
    return [case for case in cases if case != OWN or not system.startswith(TORCHVISION)]


def measure(plan: Plan, folder: Path) -> dict[str, Measured]:
    """Warm-up, turns over cases and systems, memory, throughput, arithmetic, accuracy: in this order for all."""
    measured = {system: Measured() for system in plan.systems}
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(_count_calls(plan), "measuring"))
        processes = {
            system: _Watched(stack.enter_context(PredictProcess(replace(plan.job, system=system), folder)), progress)
            for system in plan.systems
        }
        for system, process in processes.items():
            _warm_up(process, cases_of(system, plan.cases), len(plan.job.images), measured[system])
        for turn in range(plan.repeats):
            _take_turn(plan, processes, measured, backwards=turn % 2 == 1)
        for system, process in processes.items():
            measured[system].facts = process.ask(do="facts")
        _measure_batches(plan, processes, measured)
        first = plan.systems[0]  # one process is enough to tell what the machine can do
        measured[first].matmul = processes[first].ask(do="matmul")
        for system, process in processes.items():
            _measure_arithmetic(process, system, cases_of(system, plan.cases), measured[system])
        if plan.dataset:
            _predict_dataset(plan, processes, measured, folder)
    return measured


@dataclass(frozen=True)
class _Watched:
    """A process whose calls are counted."""

    process: PredictProcess
    progress: Progress

    def ask(self, **what: Any) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.process.ask(**what)
        if what["do"] == "call":
            self.progress.step()
        return answer


def _count_calls(plan: Plan) -> int:
    """Of all systems: the warm-up and every turn, image by image, and the batches."""
    turns = plan.repeats + 1
    cases = [len(cases_of(system, plan.cases)) for system in plan.systems]
    return turns * (sum(cases) * len(plan.job.images) + sum(map(bool, cases)) * len(plan.batches))


def _warm_up(process: _Watched, cases: Sequence[str], images: int, measured: Measured) -> None:
    """Each image once in each case; what is found there is what is compared."""
    for case in cases:
        answers = [process.ask(do="call", image=n, detections=case, with_records=True) for n in range(images)]
        measured.first_ms = measured.first_ms or sum(answers[0]["stages"].values())
        measured.records[case] = [answer["records"] for answer in answers]


def _take_turn(
    plan: Plan, processes: Mapping[str, _Watched], measured: Mapping[str, Measured], backwards: bool
) -> None:
    """Image by image, so that what disturbs the machine for a while disturbs all alike."""
    order = sorted(processes, key=plan.systems.index, reverse=backwards)
    for case in plan.cases:
        taking = [system for system in order if case in cases_of(system, plan.cases)]
        for system in taking:
            measured[system].calls.setdefault(case, []).append([])
        for image in range(len(plan.job.images)):
            for system in taking:
                answer = processes[system].ask(do="call", image=image, detections=case)
                measured[system].calls[case][-1].append(answer["stages"])


def _measure_batches(plan: Plan, processes: Mapping[str, _Watched], measured: Mapping[str, Measured]) -> None:
    """So many copies of the first image in one call, once unmeasured, then in turns."""
    for batch in plan.batches:
        for turn in range(plan.repeats + 1):
            order = sorted(processes, key=plan.systems.index, reverse=turn % 2 == 1)
            for system in order:
                cases = cases_of(system, plan.cases)
                if not cases:
                    continue
                answer = processes[system].ask(do="call", image=0, detections=cases[-1], batch=batch)
                times = measured[system].batch_ms.setdefault(batch, [])
                if turn:
                    times.append(sum(answer["stages"].values()))


def _measure_arithmetic(process: _Watched, system: str, cases: Sequence[str], measured: Measured) -> None:
    """Operations by stage, and features, whose precision is that of the backbone."""
    if system == ARTIFACT:
        return
    for case in cases if system in COUNTED else ():
        measured.flop[case] = process.ask(do="flops", image=0, detections=case)["stages"]
    measured.features = process.ask(do="features", image=0) or None


def _predict_dataset(
    plan: Plan, processes: Mapping[str, _Watched], measured: Mapping[str, Measured], folder: Path
) -> None:
    for system, process in processes.items():
        if system == STOCK or system.startswith(TORCHVISION):
            continue
        measured[system].store = folder / "stores" / system
        process.ask(do="dataset", name=plan.dataset, folder=str(measured[system].store))
