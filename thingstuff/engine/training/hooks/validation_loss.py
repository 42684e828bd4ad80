"""The losses on images that are not trained on: the first sign that a model learns its training set by heart."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetMapper, build_detection_test_loader
from detectron2.data import transforms as T
from detectron2.utils import comm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from thingstuff.data.naming_mapper import NamingMapper
from thingstuff.data.records import load_records
from thingstuff.engine.training.precision import Precision

TOTAL = "validation_loss"
_MODES = (_BatchNorm, nn.modules.dropout._DropoutNd)

logger = logging.getLogger(__name__)


class ValidationLoss:
    """Called, it gives `validation_loss` and `validation/NAME` of each loss, as means over the images.

    Images are scaled as for a test and not augmented. What the heads sample of their proposals is seeded, so that two
    numbers differ by the weights alone. Batch norm and dropout are as in a test.
    """

    def __init__(self, model: nn.Module, loader: Any, precision: Precision, seed: int) -> None:
        self._model, self._loader, self._precision, self._seed = model, loader, precision, seed

    @classmethod
    def from_config(cls, cfg: CfgNode, model: nn.Module, seed: int) -> ValidationLoss:
        records = load_records(cfg.DATASETS.TEST[0])[: cfg.TEST.LOSS_IMAGES]
        return cls(model, _loader(cfg, records), Precision.from_config(cfg), seed)

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        torch.manual_seed(self._seed)
        sums: dict[str, float] = defaultdict(float)
        images = 0
        with _as_in_a_test(self._model):
            for batch in self._loader:
                with self._precision.autocast():
                    losses = self._model(batch)
                images += 1
                for name, loss in losses.items():
                    sums[name] += float(loss)
        return _means(sums, images)


def _loader(cfg: CfgNode, records: Sequence[dict[str, Any]]) -> Any:
    sizes = (cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
    augmentations = [T.ResizeShortestEdge([sizes[0], sizes[0]], sizes[1], "choice")] if sizes[0] else []
    options = DatasetMapper.from_config(cfg, True) | {"augmentations": augmentations, "recompute_boxes": False}
    mapper = NamingMapper(DatasetMapper(**options))
    return build_detection_test_loader(list(records), mapper=mapper, num_workers=cfg.DATALOADER.NUM_WORKERS)


@contextmanager
def _as_in_a_test(model: nn.Module) -> Iterator[None]:
    """The model computes losses, which it does in training alone, with layers that do not learn from the images."""
    learning = [module for module in model.modules() if isinstance(module, _MODES) and module.training]
    was_training = model.training
    model.training = True
    for module in learning:
        module.eval()
    try:
        yield
    finally:
        model.training = was_training
        for module in learning:
            module.train()


def _means(sums: dict[str, float], images: int) -> dict[str, float]:
    parts = comm.all_gather((dict(sums), images))
    count = sum(number for _, number in parts)
    if not count:
        return {}
    names = sorted({name for own, _ in parts for name in own})
    means = {f"validation/{name}": sum(own.get(name, 0.0) for own, _ in parts) / count for name in names}
    total = sum(means.values())
    logger.info("validation loss %.4f on %d images", total, count)
    return {TOTAL: total, **means}
