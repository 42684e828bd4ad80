"""Ray, on this machine alone or on a cluster: found or refused in one line, and given back at the end."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thingstuff.cores import usable_cores
from thingstuff.errors import ConfigError, SetupError

_ANSWER_WITHIN_S, _HEALTHY_WITHIN_S = 5, 45
_GUARDED = "AuthenticationError"  # what Ray says where a token is wanted
_CORES_A_WORKER = 4  # of a CPU, where nobody says how many workers there are to be
_MOST_READERS = 8  # a worker's GPU
_TASK_CPUS = 0.5  # reading and writing wait for disks much of their time
_GIB = 1 << 30


@dataclass(frozen=True)
class ClusterOptions:
    """`workers` hold a model each; None: one a GPU, or one for every four cores. `worker_gib` is reserved for each."""

    address: str | None = None
    workers: int | None = None
    worker_gib: float | None = None


@dataclass(frozen=True)
class Crew:
    """How many work at what: `workers` predict, with `threads` each, and `helpers` read and as many write.

    With no helpers the workers also read and write.
    """

    workers: int
    helpers: int
    threads: int
    on_gpu: bool
    worker_gib: float | None

    @property
    def logical_cpus(self) -> int:
        """More than this machine has: who predicts is busy, who reads and writes mostly waits."""
        return self.workers + max(1, round(2 * _TASK_CPUS * self.helpers)) + 1

    def for_shards(self, count: int) -> Crew:
        """No more than find work in as many shards."""
        return replace(self, workers=min(self.workers, count), helpers=min(self.helpers, count))

    @property
    def helper_resources(self) -> dict[str, Any]:
        return {"num_cpus": _TASK_CPUS}

    @property
    def worker_resources(self) -> dict[str, Any]:
        memory = {} if self.worker_gib is None else {"memory": self.worker_gib * _GIB}
        return {"num_cpus": 1, **({"num_gpus": 1} if self.on_gpu else {}), **memory}


def require_ray() -> Any:
    """The module, which reports nothing to its makers and is silent."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray.data
    except ModuleNotFoundError as error:
        raise SetupError("--engine ray needs Ray, which is not installed: pip install 'thingstuff[ray]'") from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ray


@dataclass(frozen=True)
class Cluster:
    """Ray, started or joined."""

    options: ClusterOptions

    def crew(self, device: str) -> Crew:
        """Who works, for a model on this device."""
        on_gpu = device.startswith("cuda")
        if self.options.address is None:
            return _local_crew(self.options, _gpus_here() if on_gpu else None)
        return _cluster_crew(require_ray(), self.options, on_gpu)


@contextmanager
def ray_here(options: ClusterOptions, meanwhile: Callable[[], None]) -> Iterator[Cluster]:
    """Ray, ready to be used. A cluster stays; what was started here ends with the block.

    Ray takes seconds to start, most of which it waits. In them `meanwhile` is called, in a thread of its own.
    """
    ray = require_ray()
    if options.address is None:
        if options.worker_gib is not None:
            _refuse_memory(options.worker_gib, [_memory_here()])
        begin = _start
    else:
        _refuse_silent(options.address)
        begin = _join
    beside = threading.Thread(target=meanwhile)
    beside.start()
    try:
        begin(ray, options)
        beside.join()
        yield Cluster(options)
    finally:
        beside.join()
        ray.shutdown()


# ---- this machine ------------------------------------------------------------------------------------------------


def _local_crew(options: ClusterOptions, gpus: int | None) -> Crew:
    """`gpus`: how many there are, for a model on a GPU."""
    cores = usable_cores()
    if gpus is None:
        workers = options.workers or max(1, cores // _CORES_A_WORKER)
        if workers > cores:
            raise ConfigError(f"--workers {workers} on {cores} cores: each worker wants one of its own")
        helpers = max(1, workers // 2) if workers < cores else 0  # who would only wait for the workers' cores
        return Crew(workers, helpers, _threads(cores, workers), False, options.worker_gib)
    workers = options.workers or gpus
    if workers > gpus:
        raise ConfigError(f"--workers {workers} on {gpus} GPUs: each worker has one of its own")
    return Crew(workers, min(cores, _MOST_READERS * workers), _threads(cores, workers), True, options.worker_gib)


def _gpus_here() -> int:
    import torch

    return torch.cuda.device_count()


def _threads(cores: int, workers: int) -> int:
    """Of each worker: as many as the user says, or its share of the cores."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() and int(said) > 0 else max(1, cores // workers)


def _start(ray: Any, options: ClusterOptions) -> None:
    """With as many logical CPUs as any crew needs: where the model will compute is not known yet."""
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    crews = [_local_crew(options, None), *([_local_crew(options, max(gpus, options.workers or 0))] if gpus else [])]
    with _without_chatter():
        ray.init(
            address="local",
            num_cpus=max(crew.logical_cpus for crew in crews),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Ray's compiled part greets on the standard error of the process; what goes wrong it raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _memory_here() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB


# ---- a cluster ---------------------------------------------------------------------------------------------------


def _join(ray: Any, options: ClusterOptions) -> None:
    address = options.address
    try:
        with _without_chatter():
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except ray.exceptions.AuthenticationError as error:
        raise SetupError(
            f"--address {address}: the cluster wants its token: set RAY_AUTH_MODE=token and its head's RAY_AUTH_TOKEN"
        ) from error
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise SetupError(f"--address {address}: cannot join the cluster ({_words(error)})") from error


def _refuse_silent(address: str) -> None:
    """Ray itself would wait for minutes, and then end the process."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if "://" in address or not host or not port.isdecimal():
        raise ConfigError(f"--address is {address!r}, expected HOST:PORT of the cluster's head, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise SetupError(
            f"--address {address} does not answer ({_words(error)}): start its head there (ray start --head), or leave "
            "--address out to predict on this machine alone"
        ) from error
    _refuse_other_servers(address)


def _refuse_other_servers(address: str) -> None:
    """Joining what is no Ray would end this process after minutes; Ray's own `status` does so in one of its own."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_HEALTHY_WITHIN_S, check=False)
    except subprocess.TimeoutExpired:
        answer = None
    # who asks for a token is a head; whether there is one shows when it is joined
    if answer is None or (answer.returncode != 0 and _GUARDED not in answer.stderr):
        raise SetupError(
            f"--address {address}: what answers there is not the head of a Ray cluster: give the HOST:PORT that "
            "ray start --head prints"
        )


def _cluster_crew(ray: Any, options: ClusterOptions, on_gpu: bool) -> Crew:
    resources = ray.cluster_resources()
    cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    most = gpus if on_gpu else cpus - 1  # one is left for reading and writing
    workers = options.workers or (gpus if on_gpu else max(1, cpus // _CORES_A_WORKER))
    if workers > most or most < 1 or cpus < 2:
        what = f"{gpus} GPUs" if on_gpu else f"{cpus} CPUs, one of which reads and writes"
        raise SetupError(f"--workers {workers} do not fit the cluster, which has {what}: give fewer, or add machines")
    if options.worker_gib is not None:
        _refuse_memory(options.worker_gib, [node["Resources"].get("memory", 0) / _GIB for node in ray.nodes()])
    helpers = max(
        1, min(cpus - (0 if on_gpu else workers), _MOST_READERS * workers if on_gpu else max(1, workers // 2))
    )
    return Crew(workers, helpers, _threads(cpus, workers), on_gpu, options.worker_gib)


def _refuse_memory(wanted_gib: float, machines_gib: list[float]) -> None:
    if wanted_gib > max(machines_gib, default=0):
        raise SetupError(
            f"--worker-memory {wanted_gib:g}: the model does not fit any worker, since no machine has more than "
            f"{max(machines_gib, default=0):.1f} GiB"
        )


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
