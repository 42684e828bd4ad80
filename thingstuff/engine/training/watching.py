"""What of TEST and SOLVER watches a training, refused before its first step where it could never do so."""

from __future__ import annotations

from detectron2.config import CfgNode

from thingstuff.errors import ConfigError

_SMALLEST_PX = 32 * 32
_NOT_NEGATIVE = {
    "TEST": ("EVAL_PERIOD", "LOSS_PERIOD", "PATIENCE"),
    "SOLVER": ("CHECKPOINT_PERIOD", "CHECKPOINTS_KEPT", "BAD_LOSS_LIMIT"),
}


def check_watching(cfg: CfgNode) -> None:
    """ConfigError where a number cannot be meant, or a key waits for what nothing gives."""
    for node, keys in _NOT_NEGATIVE.items():
        for key in keys:
            if cfg[node][key] < 0:
                raise ConfigError(f"{node}.{key} is {cfg[node][key]}, expected 0 or more")
    pixels = cfg.INPUT.MAX_PIXELS
    if pixels < -1 or 0 < pixels < _SMALLEST_PX:
        raise ConfigError(f"INPUT.MAX_PIXELS is {pixels}, expected {_SMALLEST_PX} or more, 0 for no limit, or -1")
    _check_metric(cfg.TEST, has_tests=bool(cfg.DATASETS.TEST))


def _check_metric(test: CfgNode, has_tests: bool) -> None:
    if test.LOSS_PERIOD and not has_tests:
        raise ConfigError("TEST.LOSS_PERIOD needs a test set: DATASETS.TEST is empty")
    if test.LOSS_PERIOD and test.LOSS_IMAGES < 1:
        raise ConfigError(f"TEST.LOSS_IMAGES is {test.LOSS_IMAGES}, expected 1 or more")
    if test.PATIENCE and not test.BEST_METRIC:
        raise ConfigError("TEST.PATIENCE needs a number to watch: set TEST.BEST_METRIC, such as segm/AP")
    if not test.BEST_METRIC:
        return
    if not has_tests:
        raise ConfigError("TEST.BEST_METRIC needs a test set: DATASETS.TEST is empty")
    if test.BEST_METRIC.startswith("validation") and not test.LOSS_PERIOD:
        raise ConfigError(f"TEST.BEST_METRIC {test.BEST_METRIC} needs TEST.LOSS_PERIOD: set it to a number of steps")
