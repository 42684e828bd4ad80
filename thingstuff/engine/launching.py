"""Several processes that train together: started here, a GPU each, or by torchrun, which is recognised."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from detectron2.utils import comm
from torch.distributed.rendezvous import rendezvous

from thingstuff.errors import ConfigError, SetupError

_NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Torchrun:
    """What torchrun told this process. `restarts`: how often it has started the group anew after a failure."""

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

    def join(self, device: str) -> None:
        """Meet the other processes, with NCCL on GPUs and gloo on CPUs."""
        on_gpu = device.startswith("cuda")
        if on_gpu:
            if self.local_rank >= torch.cuda.device_count():
                raise SetupError(
                    f"torchrun started {self.local_processes} processes here, and PyTorch sees "
                    f"{torch.cuda.device_count()} GPUs: lower --nproc-per-node, or set MODEL.DEVICE cpu"
                )
            torch.cuda.set_device(self.local_rank)
        store, rank, processes = next(rendezvous("env://"))
        # a group that is started anew finds the same store, and in it where the ended processes were
        store = dist.PrefixStore(f"start_{self.restarts}", store)
        backend = "nccl" if on_gpu else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=processes)
        comm.create_local_process_group(self.local_processes)
        comm.synchronize()

    def leave(self) -> None:
        if dist.is_initialized():
            dist.destroy_process_group()
