"""The config keys that thingstuff adds to Detectron2's."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_thingstuff_config(cfg: CfgNode) -> None:
    """Add our keys with defaults under which every Detectron2 recipe means what it meant before."""
    # Modules to import before anything is built, so that a user's own registrations are known by name. A function
    # `add_..._config(cfg)` that a module exports, as Detectron2's projects do, is called to add the module's keys.
    cfg.IMPORTS = []
    # "SGD" as in Detectron2, or "ADAMW", which suits small sets and training from scratch.
    cfg.SOLVER.OPTIMIZER = "SGD"
    # With SOLVER.LR_SCHEDULER_NAME "OneCycleLR": the share of the run in which the rate rises to BASE_LR, and the
    # divisor of BASE_LR at which it begins. It ends at BASE_LR_END.
    cfg.SOLVER.ONE_CYCLE_RISE = 0.25
    cfg.SOLVER.ONE_CYCLE_START_DIVISOR = 25.0
    # How many images of the first test set are drawn beside their truth when a run ends.
    cfg.TEST.PICTURES = 8
