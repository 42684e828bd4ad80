"""An exported file as a predictor: what `Predictor` gives, without the model's code and config."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from numpy.typing import NDArray
from torch.nn import functional as F

from thingstuff.engine.exported.canvas import OnCanvas, put_on_canvas
from thingstuff.engine.exported.card import Card
from thingstuff.engine.exported.onnx_file import OnnxNetwork
from thingstuff.engine.exported.torch_file import TorchNetwork
from thingstuff.engine.stream import Outcome, one_by_one
from thingstuff.errors import ConfigError, DataError
from thingstuff.modeling.postprocess import paste_and_merge, read_instances
from thingstuff.modeling.prediction import Prediction
from thingstuff.modeling.stuff_labels import stuff_labels
from thingstuff.structures import Categories

_KINDS = {".onnx": OnnxNetwork, ".pt2": TorchNetwork}

logger = logging.getLogger(__name__)


class ExportedNetwork(Protocol):
    """A file that is ready to run."""

    card: Card

    def __call__(self, image: NDArray[np.float32], image_size: NDArray[np.float32]) -> dict[str, NDArray[Any]]: ...


def is_exported(name: str | Path) -> bool:
    """Whether a name is that of an exported model, and not of a config."""
    return Path(name).suffix in _KINDS


class ExportedPredictor:
    """Called with a BGR image as `Predictor` is.

    An image that the canvas of the file does not hold in its config's size is predicted as large as the canvas holds
    it, with one remark.
    """

    def __init__(self, path: Path, network: ExportedNetwork, score_thresh: float | None = None) -> None:
        self.path = path
        self.network = network
        self.card = network.card
        self._score_thresh = _possible(score_thresh, self.card)
        self._rule = self.card.rule()
        self._remarked = False

    @classmethod
    def open(
        cls, path: str | Path, *, score_thresh: float | None = None, device: str | None = None
    ) -> ExportedPredictor:
        """A `.onnx` or `.pt2` of `tools/export.py`. Without `device` a GPU is used where there is one."""
        path = Path(path)
        if not path.is_file():
            raise DataError(f"no exported model at {path}")
        return cls(path, _KINDS[path.suffix](path, device), score_thresh)

    @property
    def categories(self) -> Categories:
        return self.card.categories

    @property
    def merges(self) -> bool:
        """Whether it gives panoptic maps."""
        return self.card.has_instances and self._rule is not None

    def __call__(self, image_bgr: np.ndarray, file_name: str | Path | None = None) -> Prediction:
        """H x W x 3 uint8 BGR -> what the model finds, in the pixels of that image. `file_name` changes nothing."""
        placed = put_on_canvas(image_bgr, self.card)
        if placed.shrunk and not self._remarked:
            self._remarked = True
            logger.warning("%s", _shrunk_remark(image_bgr, placed))
        outputs = self.network(placed.canvas(), np.array(placed.size, np.float32))
        return self._read(outputs, placed, *image_bgr.shape[:2])

    def stream(self, items: Iterable[Any], read: Callable[[Any], Any], batch: int = 1) -> Iterator[Outcome[Any]]:
        """As of a `Predictor`; a file predicts one image at a time, whatever `batch` is."""
        return one_by_one(self, items, read)

    def _read(self, outputs: dict[str, NDArray[Any]], placed: OnCanvas, height: int, width: int) -> Prediction:
        stuff_map = self._stuff_map(outputs["logits"], placed, height, width) if self.card.has_logits else None
        if not self.card.has_instances:
            return Prediction(stuff_map=stuff_map)
        found = read_instances(self._instances(outputs, placed.size), height, width, self.categories)
        if stuff_map is None or self._rule is None:
            return Prediction(found.paste(height, width, self.card.mask_threshold), stuff_map)
        detections, panoptic, ledger = paste_and_merge(found, stuff_map, self.categories, self._rule)
        return Prediction(detections, stuff_map, panoptic, ledger)

    def _instances(self, outputs: dict[str, NDArray[Any]], size: tuple[int, int]) -> Instances:
        kept = np.flatnonzero(outputs["scores"] > self._score_thresh)
        instances = Instances(size)
        instances.pred_boxes = Boxes(torch.from_numpy(outputs["boxes"][kept]))
        instances.scores = torch.from_numpy(outputs["scores"][kept])
        instances.pred_classes = torch.from_numpy(outputs["classes"][kept])
        if "masks" in outputs:
            instances.pred_masks = torch.from_numpy(outputs["masks"][kept])
        return instances

    def _stuff_map(self, logits: NDArray[np.float32], placed: OnCanvas, height: int, width: int) -> NDArray[np.uint16]:
        """The head's last step, which its file leaves out, and then what is done with any model's logits."""
        scores = torch.from_numpy(logits)
        if self.card.logits_stride != 1:
            stride = float(self.card.logits_stride or 1)
            scores = F.interpolate(scores[None], scale_factor=stride, mode="bilinear", align_corners=False)[0]
        return self.card.labels().stuff_map(stuff_labels(scores, placed.size, height, width), self.categories)


def _possible(score_thresh: float | None, card: Card) -> float:
    """What the file leaves out, nobody brings back."""
    if score_thresh is None or not card.has_instances:
        return card.score_thresh
    if not card.score_thresh <= score_thresh <= 1:
        raise ConfigError(
            f"score_thresh is {score_thresh}, and this file was exported with {card.score_thresh}: give a number from "
            "there to 1, or export again with another MODEL.ROI_HEADS.SCORE_THRESH_TEST"
        )
    return score_thresh


def _shrunk_remark(image_bgr: np.ndarray, placed: OnCanvas) -> str:
    (height, width), (rows, columns) = image_bgr.shape[:2], placed.canvas_size
    return (
        f"an image of {height} x {width} is predicted at {placed.size[0]} x {placed.size[1]}, smaller than its config "
        f"says, since the model was exported for {rows} x {columns}: export another --size, or with --dynamic"
    )
