"""The Python surface: a model that is called with an image, and a result that knows its boxes, masks and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.config import load_config
from thingstuff.data.declared.declare import declare
from thingstuff.data.images import Channels, as_bgr
from thingstuff.engine.device import settle_device
from thingstuff.engine.predictor import Predictor
from thingstuff.engine.tiling import TiledPredictor, build_predictor, max_pixels, settle_tiles
from thingstuff.errors import ConfigError, UserError
from thingstuff.merge import Ledger
from thingstuff.modeling.prediction import Prediction
from thingstuff.report.overlay import OverlayStyle, draw_overlay
from thingstuff.report.views import Layers
from thingstuff.structures import Categories, Detections, MaskCrops, PanopticMap


def load(
    config: str | Path,
    weights: str | Path | None = None,
    *,
    score_thresh: float | None = None,
    device: str | None = None,
    mode: str | None = None,
    overrides: Sequence[str] = (),
    tile: int | None = None,
    tile_overlap: float | None = None,
    tta: bool | None = None,
) -> Model:
    """A trained model, ready to be called. `overrides` are `KEY VALUE` pairs as on the command line.

    `mode` is "exact" (every number Detectron2's), "fp32" (faster, equal but for rounding) or "fast" (in bf16 or fp16).
    `tile` is the size in pixels of the tiles that large images are predicted in (TEST.TILES), `tile_overlap` what they
    share, in pixels or below 1 as a share; `tta` turns test-time augmentation (TEST.AUG) on or off.

    Without `weights` the config's own are taken, without `score_thresh` its thresholds, without `mode` its TEST.MODE,
    which is "exact" by default, without `device` a GPU where there is one.
    """
    cfg = load_config(config, overrides)
    if cfg.DATASETS.DECLARE:
        declare(cfg, overrides=overrides)
    if weights is not None:
        cfg.MODEL.WEIGHTS = str(weights)
    if score_thresh is not None:
        _set_score_thresh(cfg, score_thresh)
    if device is not None:
        cfg.MODEL.DEVICE = device
    if mode is not None:
        cfg.TEST.MODE = mode
    settle_tiles(cfg, tile, tile_overlap)
    cfg.TEST.AUG.ENABLED = cfg.TEST.AUG.ENABLED if tta is None else tta
    settle_device(cfg)
    return Model(build_predictor(cfg), max_pixels(cfg))


def _set_score_thresh(cfg: Any, score_thresh: float) -> None:
    if not 0 <= score_thresh <= 1:
        raise ConfigError(f"score_thresh is {score_thresh}, expected a number from 0 to 1")
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = score_thresh
    cfg.MODEL.RETINANET.SCORE_THRESH_TEST = score_thresh


@dataclass(frozen=True)
class Model:
    """Called with an image it gives a Result. `model.predictor.model` is the Detectron2 module itself."""

    predictor: Predictor | TiledPredictor
    max_pixels: int | None = None  # of an image file; None: what Pillow trusts

    @property
    def categories(self) -> Categories:
        return self.predictor.categories

    def __call__(self, image: Any, channels: Channels = "BGR") -> Result:
        """`image`: a path, a PIL image, or an H x W x 3 uint8 array whose order `channels` says."""
        image_bgr = as_bgr(image, channels, self.max_pixels)
        file_name = image if isinstance(image, str | Path) else None
        return Result(image_bgr, self.categories, self.predictor(image_bgr, file_name))


@dataclass(frozen=True, repr=False)
class Result:
    """What was found in one image: N instances in order of score, and a stuff map where the model predicts one."""

    image_bgr: np.ndarray
    categories: Categories
    prediction: Prediction

    def __len__(self) -> int:
        return len(self.detections)

    def __repr__(self) -> str:
        height, width = self.image_bgr.shape[:2]
        found = (
            [] if self.prediction.detections is None else [f"{n} {name}" for name, n in Counter(self.labels).items()]
        )
        stuff = [] if self.prediction.stuff_map is None else ["a stuff map"]
        merged = [] if self.prediction.panoptic is None else [f"{len(self.prediction.panoptic.segments)} segments"]
        return f"<Result {width} x {height}: {', '.join([*found, *stuff, *merged]) or 'nothing found'}>"

    @property
    def detections(self) -> Detections:
        if self.prediction.detections is None:
            raise UserError("this model predicts no instances: see result.stuff_map")
        return self.prediction.detections

    @property
    def boxes(self) -> np.ndarray:
        """N x 4 float32: x0, y0, x1, y1 in pixels."""
        return self.detections.boxes_xyxy

    @property
    def scores(self) -> np.ndarray:
        """N float32."""
        return self.detections.scores

    @property
    def labels(self) -> list[str]:
        """N class names."""
        return [self.categories.by_id(i).name for i in self.detections.category_ids.tolist()]

    @property
    def masks(self) -> MaskCrops:
        """N masks as crops: `result.masks.bitmap(i)` is one H x W mask, `result.masks.to_bitmaps()` all of them."""
        if self.detections.masks is None:
            raise UserError("this model predicts boxes without masks: see result.boxes")
        return self.detections.masks

    @property
    def stuff_map(self) -> np.ndarray:
        """H x W uint16: 0 = not stuff, 1... = stuff index + 1 in the order of `categories.stuff`."""
        if self.prediction.stuff_map is None:
            raise UserError("this model predicts no stuff: see result.boxes, result.masks")
        return self.prediction.stuff_map

    @property
    def panoptic(self) -> tuple[PanopticMap, Ledger | None]:
        """Things and stuff merged, and the ledger of the merge (None for a model that predicts the map itself)."""
        if self.prediction.panoptic is None:
            raise UserError("this model predicts things or stuff alone: turn on PANOPTIC in its config")
        return self.prediction.panoptic, self.prediction.ledger

    def overlay(self, view: str | None = None, style: OverlayStyle | None = None) -> np.ndarray:
        """H x W x 3 uint8 BGR picture of a view: `box`, `semantic`, `instance`, `panoptic`; by default the richest."""
        found = self.prediction
        layers = Layers(self.image_bgr, self.categories, found.detections, found.stuff_map, found.panoptic)
        return draw_overlay(layers, view or self._richest_view(), style)

    def _richest_view(self) -> str:
        if self.prediction.panoptic is not None:
            return "panoptic"
        if self.prediction.detections is None:
            return "semantic"
        return "box" if self.prediction.detections.masks is None else "instance"
