"""Whether a training can be gone on with: the config that its folder holds against the one that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode

from thingstuff.config.safe_yaml import read_yaml
from thingstuff.engine.training.for_data import AS_MEMORY_ALLOWS
from thingstuff.errors import ConfigError

# what may differ: where and how it runs, what is measured beside it, and how long it goes on
_FREE = (
    *("OUTPUT_DIR", "VIS_PERIOD", "CUDNN_BENCHMARK", "SEED", "MODEL.DEVICE", "MODEL.WEIGHTS", "MODEL.REINIT_HEADS"),
    *("DATALOADER.NUM_WORKERS", "DATASETS.TEST", "DATASETS.CHECK", "DATASETS.DECLARE", "TEST", "PANOPTIC"),
    *("SOLVER.REFERENCE_BATCH", "SOLVER.RATE_SCALING", "INPUT.MAX_PIXELS"),
    *("SOLVER.MAX_ITER", "SOLVER.EPOCHS", "SOLVER.STEPS", "SOLVER.WARMUP_ITERS", "SOLVER.CHECKPOINT_PERIOD"),
    *("SOLVER.CHECKPOINTS_KEPT", "SOLVER.SAFETENSORS", "SOLVER.ON_BAD_LOSS", "SOLVER.BAD_LOSS_LIMIT"),
    *(
        "SOLVER.DETERMINISTIC",
        "SOLVER.BASE_LR",
        "SOLVER.BASE_LR_END",
        "SOLVER.CLIP_GRADIENTS",
        "INPUT.MIN_SIZE_TEST",
        "INPUT.MAX_SIZE_TEST",
    ),
)
_SHOWN = 3


def settled_before(cfg: CfgNode, folder: Path) -> None:
    """Take over, in place, from the training in `folder` what depended on the memory that was free then."""
    path = folder / "config.yaml"
    if cfg.INPUT.MAX_PIXELS == AS_MEMORY_ALLOWS and path.is_file():
        cfg.INPUT.MAX_PIXELS = read_yaml(path).get("INPUT", {}).get("MAX_PIXELS", AS_MEMORY_ALLOWS)


def refuse_other_recipe(cfg: CfgNode, folder: Path) -> list[str]:
    """ConfigError if the training in `folder` was another; what differs and may do so, as lines for the log."""
    path = folder / "config.yaml"
    if not path.is_file():
        return []
    found = list(_differences(read_yaml(path), _as_read(cfg), ""))
    refused = [f"{key} is {then} there and {now} here" for key, then, now in found if not _is_free(key)]
    if refused:
        more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        raise ConfigError(
            f"{folder} holds a training by another config: {'; '.join(refused[:_SHOWN])}{more}. Go on with the same "
            "config, or begin anew without --resume"
        )
    told = ("SOLVER.MAX_ITER", "SOLVER.STEPS", "SOLVER.BASE_LR", "SEED")
    return [f"going on with {key} {now}, which was {then}" for key, then, now in found if key in told]


def _as_read(cfg: CfgNode) -> dict[str, Any]:
    """As YAML gives it back."""
    return yaml.safe_load(cfg.dump())


def _differences(then: dict[str, Any], now: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """Of keys that both know; a version that adds keys can go on with the trainings of an older one."""
    for key in sorted(now.keys() & then.keys()):
        name = f"{prefix}{key}"
        if isinstance(now[key], dict) and isinstance(then[key], dict):
            yield from _differences(then[key], now[key], f"{name}.")
        elif now[key] != then[key]:
            yield name, then[key], now[key]


def _is_free(key: str) -> bool:
    return any(key == free or key.startswith(f"{free}.") for free in _FREE)
