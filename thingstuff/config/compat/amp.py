"""Mixed precision warns twice a training: Detectron2's `AMPTrainer` uses `torch.cuda.amp`.

Since torch 2.4 `torch.cuda.amp.autocast` and `torch.cuda.amp.GradScaler` raise a FutureWarning when they are made. They
are older names of `torch.amp.autocast("cuda")` and `torch.amp.GradScaler("cuda")`, so writing the new names changes
nothing else, and it keeps working when the old ones are gone.
"""

from __future__ import annotations

from types import ModuleType

from thingstuff.config.compat.on_import import after_import
from thingstuff.config.compat.respell import respell


def apply() -> None:
    after_import("detectron2.engine.train_loop", _mend)


def _mend(train_loop: ModuleType) -> None:
    trainer = train_loop.AMPTrainer
    respell(
        trainer.__init__,
        {
            "from torch.cuda.amp import GradScaler": "from torch.amp import GradScaler",
            "GradScaler()": "GradScaler('cuda')",
        },
    )
    respell(
        trainer.run_step,
        {"from torch.cuda.amp import autocast": "from torch.amp import autocast", "autocast(": "autocast('cuda', "},
    )
