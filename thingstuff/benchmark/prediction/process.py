"""One program that predicts, in a process of its own, which does one call each time it is told to."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thingstuff.benchmark.own_process import OwnProcess, answer_requests

OWN = "own"  # detections that a network finds itself
_MATMUL_SIDE = {"cpu": 1024, "cuda": 8192}
_MATMUL_SECONDS = 1.0
_FEATURES = 4096  # numbers of a backbone's map that are compared


@dataclass(frozen=True)
class Job:
    """What a process measures. `sizes` are height and width of each image; `declared` files of data sets."""

    system: str
    config_file: str
    artifact: str | None
    declared: Sequence[str]
    images: Sequence[str]
    sizes: Sequence[tuple[int, int]]
    proposals: int
    threads: int
    seed: int


class PredictProcess(OwnProcess):
    """`folder` is for its files; a context manager."""

    def __init__(self, job: Job, folder: Path) -> None:
        file = folder / f"{job.system}.json"
        file.write_text(json.dumps(asdict(job)))
        super().__init__(f"the system {job.system}", __name__, [str(file)], job.threads, file.with_suffix(".stderr"))


def main(job_file: str) -> None:
    answer_requests(lambda: _Predicting(Job(**json.loads(Path(job_file).read_bytes()))).answer)


class _Predicting:
    """A request names a method in `do`; the rest are its arguments."""

    def __init__(self, job: Job) -> None:
        import torch

        from thingstuff.benchmark.prediction.inject import Injection
        from thingstuff.benchmark.prediction.programs import open_program
        from thingstuff.benchmark.prediction.stages import StageClock, milliseconds

        self._job, self._cfg = job, _config(job)
        self._device = torch.device(self._cfg.MODEL.DEVICE)
        self._injection = Injection(StageClock(milliseconds(self._device)))
        self._base_mib = _restart_memory(self._device)
        self._program = open_program(job.system, self._cfg, self._injection, job.artifact)

    def answer(self, do: str, **arguments: Any) -> Mapping[str, Any]:
        return getattr(self, f"do_{do}")(**arguments)

    def do_call(self, image: int, detections: str, batch: int = 1, with_records: bool = False) -> Mapping[str, Any]:
        """Milliseconds of each stage, and the records of the first image if they are asked for."""
        stages, records = self._call(image, detections, batch)
        return {"stages": stages, "records": self._plain(records[0]) if with_records else None}

    def do_flops(self, image: int, detections: str) -> Mapping[str, Any]:
        """Floating-point operations of each stage; none where the counter does not know the network's."""
        from thingstuff.benchmark.prediction.stages import flops

        clock = self._injection.clock
        timer = clock.meter
        clock.meter, counting = flops()
        try:
            with counting:
                return {"stages": self._call(image, detections, 1)[0]}
        except (RuntimeError, NotImplementedError, TypeError, KeyError):
            return {"stages": {}}
        finally:
            clock.meter = timer

    def do_facts(self) -> Mapping[str, Any]:
        """Parameters, and the peak of memory above the imported libraries, in MiB."""
        network = self._program.network
        parameters = None if network is None else sum(weights.numel() for weights in network.parameters())
        return {"parameters": parameters, "peak_mib": _peak_memory(self._device, self._base_mib)}

    def do_features(self, image: int) -> Mapping[str, Any]:
        """Some numbers of the backbone's first map, evenly spaced, to see that two networks compute the same.

        Nothing of a network without a `backbone`.
        """
        from thingstuff.benchmark.prediction.programs import takes_load

        kept: list[Any] = []
        backbone = getattr(self._program.network, "backbone", None)
        if backbone is None:
            return {}
        hook = backbone.register_forward_hook(lambda _m, _i, found: kept.append(_first_map(found)))
        self._call(image, "0" if takes_load(self._cfg) else OWN, 1)
        hook.remove()
        if not kept or kept[0] is None:
            return {}
        flat = kept[0].float().cpu().flatten()
        values = flat[:: max(1, len(flat) // _FEATURES)][:_FEATURES].tolist()
        precision = str(kept[0].dtype).removeprefix("torch.")
        return {"shape": list(kept[0].shape), "precision": precision, "values": values}

    def do_matmul(self) -> Mapping[str, Any]:
        """GFLOP/s of a plain product of two square matrices, the best in about a second, by precision."""
        narrow = "float16" if self._device.type == "cuda" else "bfloat16"
        return {name: _matmul_rate(name, self._device) for name in ("float32", narrow)}

    def do_dataset(self, name: str, folder: str) -> Mapping[str, Any]:
        """Predict a data set's images into a store."""
        from thingstuff.benchmark.prediction.accuracy import store_predictions

        self._injection.load = None
        return {"images": store_predictions(self._program, self._cfg, name, Path(folder))}

    def _call(self, image: int, detections: str, batch: int) -> tuple[dict[str, float], Any]:
        self._injection.load = None if detections == OWN else self._load(image, int(detections))
        paths = [Path(self._job.images[image])] * batch
        clock = self._injection.clock
        clock.start()
        records = self._program(paths)
        return clock.stop(), records

    def _load(self, image: int, detections: int) -> Any:
        from thingstuff.benchmark.prediction.load import random_load

        classes = self._cfg.MODEL.ROI_HEADS.NUM_CLASSES
        size = self._job.sizes[image]
        return self._injection.kept(random_load, *size, detections, classes, self._job.proposals, self._job.seed)

    def _plain(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """With contiguous classes, which all programs share."""
        return [{**record, "category_id": self._program.class_of[record["category_id"]]} for record in records]


def _first_map(found: Any) -> Any:
    """A tensor, or the first of what a backbone gives; None where that is something else."""
    import torch

    if isinstance(found, dict):
        found = list(found.values())
    first = found[0] if isinstance(found, list | tuple) and found else found
    return first if isinstance(first, torch.Tensor) else None


def _config(job: Job) -> Any:
    import cv2
    import torch

    from thingstuff.config import load_config
    from thingstuff.data.declared.declare import register_declared

    torch.set_num_threads(job.threads)
    cv2.setNumThreads(job.threads)
    register_declared(job.declared)
    return load_config(job.config_file)


def _restart_memory(device: Any) -> float:
    """What is there before the network; the libraries have been imported."""
    import pycocotools.mask  # noqa: F401

    import thingstuff.engine.predictor  # noqa: F401
    from thingstuff.benchmark.peak_memory import restart_peak

    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return 0.0
    return restart_peak()


def _peak_memory(device: Any, base_mib: float) -> float:
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    from thingstuff.benchmark.peak_memory import peak_mib

    return peak_mib() - base_mib


def _matmul_rate(name: str, device: Any) -> float | None:
    """None where the device cannot multiply in this precision."""
    import torch

    from thingstuff.benchmark.prediction.stages import milliseconds

    side, meter = _MATMUL_SIDE[device.type], milliseconds(device)
    a, b = (torch.randn(side, side, device=device).to(getattr(torch, name)) for _ in range(2))
    best_ms, end = float("inf"), time.perf_counter() + _MATMUL_SECONDS
    try:
        while time.perf_counter() < end:
            earlier = meter.read()
            torch.mm(a, b)
            later = meter.read()
            meter.settle()
            best_ms = min(best_ms, meter.between(earlier, later))
    except RuntimeError:
        return None
    return 2 * side**3 / best_ms / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
