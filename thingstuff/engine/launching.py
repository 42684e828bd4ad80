"""Several processes that train together: started here, a GPU each, or by torchrun, which is recognised."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from detectron2.utils import comm
from torch.distributed.rendezvous import rendezvous

from thingstuff.engine.meeting import meet
from thingstuff.errors import ConfigError, SetupError

_NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
_PATIENCE = timedelta(minutes=5)  # until all have imported what they need


@dataclass(frozen=True)
class Torchrun:
    """What torchrun told this process. `restarts`: how often its agent has started it anew after a failure."""

    rank: int
    processes: int
    local_rank: int
    local_processes: int
    restarts: int

    @classmethod
    def detect(cls) -> Torchrun | None:
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return None
        lacking = [name for name in _NEEDED if name not in os.environ]
        if lacking:
            raise ConfigError(f"torchrun's variable {lacking[0]} is not set: start the command by torchrun itself")
        rank, processes, local_rank, local_processes = (int(os.environ[name]) for name in _NEEDED[:4])
        restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        return cls(rank, processes, local_rank, local_processes, restarts)

    def join(self, device: str) -> bool:
        """Meet the other processes, with NCCL on GPUs and gloo on CPUs. Whether this run has been begun before."""
        on_gpu = device.startswith("cuda")
        if on_gpu:
            if self.local_rank >= torch.cuda.device_count():
                raise SetupError(
                    f"torchrun started {self.local_processes} processes here, and PyTorch sees "
                    f"{torch.cuda.device_count()} GPUs: lower --nproc-per-node, or set MODEL.DEVICE cpu"
                )
            torch.cuda.set_device(self.local_rank)
        _end_with_parent()
        store, rank, processes = next(rendezvous("env://"))
        meeting = meet(store, rank, processes, self.restarts, _PATIENCE)
        store = dist.PrefixStore(meeting.name, store)  # in which ended processes have left where they were
        backend = "nccl" if on_gpu else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=processes)
        comm.create_local_process_group(self.local_processes)
        comm.synchronize()
        return meeting.again

    def leave(self) -> None:
        if dist.is_initialized():
            dist.destroy_process_group()


def _end_with_parent() -> None:
    """Where the system can: an agent that is killed takes this process along, as its machine's end would.

    Else the group would train on without an agent, and those that replace it would wait for the end in vain.
    """
    if not sys.platform.startswith("linux"):
        return
    agent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != agent:  # it was killed before it could be asked for
        os.kill(os.getpid(), signal.SIGKILL)
