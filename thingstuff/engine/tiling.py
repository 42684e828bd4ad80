"""Prediction of large images tile by tile: called like a predictor, it answers in the pixels of the whole image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from detectron2.config import CfgNode
from numpy.typing import NDArray
from torch import nn

from thingstuff.engine.blend_stuff import StuffBlender
from thingstuff.engine.join_instances import InstanceJoiner
from thingstuff.engine.out_of_memory import is_out_of_memory
from thingstuff.engine.predictor import Predictor
from thingstuff.engine.stream import Outcome, one_by_one
from thingstuff.engine.tile_grid import TileGrid, Tiling
from thingstuff.errors import ConfigError, SetupError
from thingstuff.merge import Greedy, Rule, merge
from thingstuff.modeling.parts import Parts
from thingstuff.modeling.prediction import Prediction
from thingstuff.modeling.stuff_sources import FileSource
from thingstuff.modeling.things_and_stuff import ThingsAndStuff
from thingstuff.progress import watched
from thingstuff.structures import Categories, Detections

# a map that a model predicted itself is put together again, and nothing of it is dropped
_KEEP_ALL = Greedy(overlap_thresh=1, stuff_area_limit=0, instances_confidence_thresh=0)

SMALLEST_PX = 32  # of a tile; below, a network would see specks, and thousands of them

Name = str | Path | None
StuffReader = Callable[[Name, int, int], NDArray[np.uint16]]  # image file, height, width -> stuff map


class ImagePredictor(Protocol):
    """What can be tiled: a `Predictor`, or anything that is called in the same way.

    A method `parts`, called likewise, may give the scores of stuff as well; without it, labels are all there is.
    """

    @property
    def categories(self) -> Categories: ...

    def __call__(self, image_bgr: NDArray[np.uint8], file_name: Name = None) -> Prediction: ...


class TiledPredictor:
    """Asks `predictor` about overlapping tiles and joins the answers, instances by their masks and stuff by its scores.

    The network sees a tile as it sees an image: resized to the size of its config. Tiles of that size keep their pixels
    one to one. An image that is not larger than a tile is given to `predictor` as it is. What limits the detections of
    an image (TEST.DETECTIONS_PER_IMAGE) limits those of a tile. Things and stuff are merged once, by `rule`, on the
    whole image.

    Beside the image and the answer the memory holds what one tile needs, the crops of all masks, and the scores of
    stuff in one band of tiles' overlap (`StuffBlender`).
    """

    def __init__(
        self,
        predictor: ImagePredictor,
        tiling: Tiling,
        *,
        join_iou: float = 0.5,
        rule: Rule | None = None,
        whole_stuff: StuffReader | None = None,
    ) -> None:
        """`whole_stuff` reads the stuff of a whole image, where it is not predicted."""
        if not 0 < join_iou <= 1:
            raise ConfigError(f"masks are joined from an IoU of {join_iou}, expected a number above 0, up to 1")
        self._predictor, self._tiling = predictor, tiling
        self._join_iou, self._rule, self._whole_stuff = join_iou, rule, whole_stuff

    @property
    def categories(self) -> Categories:
        return self._predictor.categories

    @property
    def model(self) -> nn.Module:
        """The Detectron2 module, where the predictor has one."""
        return self._predictor.model  # type: ignore[attr-defined]

    def __call__(self, image_bgr: NDArray[np.uint8], file_name: Name = None) -> Prediction:
        """H x W x 3 uint8 BGR -> what the model finds, in the pixels of that image."""
        grid = TileGrid(*image_bgr.shape[:2], self._tiling)
        if len(grid) == 1:
            return self._predictor(image_bgr, file_name)
        joiner, blender = InstanceJoiner(grid, self._join_iou), StuffBlender(grid, self.categories)
        part = Parts()
        for tile in watched(grid, "tiles"):
            part = self._parts(tile.cut(image_bgr), file_name)
            if part.detections is not None:
                joiner.add(tile, part.detections)
            if part.stuff is not None:
                blender.add(tile, part.stuff)
        with _room_for_whole(grid):
            detections = None if part.detections is None else joiner.joined()
            return self._answer(part, detections, blender, file_name)

    def stream(self, items: Iterable[Any], read: Callable[[Any], Any], batch: int = 1) -> Iterator[Outcome[Any]]:
        """As of a `Predictor`. Tiles go through the network one by one, whatever `batch` is."""
        return one_by_one(self, items, read)

    def _parts(self, image_bgr: NDArray[np.uint8], file_name: Name) -> Parts:
        parts = getattr(self._predictor, "parts", None)
        if parts is None:
            return Parts.of(self._predictor(image_bgr, file_name), self.categories)
        found: Parts = parts(image_bgr, file_name)
        return found

    def _answer(self, last: Parts, detections: Detections | None, blender: StuffBlender, file_name: Name) -> Prediction:
        """`last` says what kinds of answers the model gives."""
        stuff_map = None if last.stuff is None else blender.stuff_map
        if self._whole_stuff is not None:
            stuff_map = self._whole_stuff(file_name, *blender.stuff_map.shape)
        if not last.is_merged or detections is None or stuff_map is None:
            return Prediction(detections, stuff_map)
        panoptic, ledger = merge(detections, stuff_map, self.categories, self._rule or _KEEP_ALL)
        return Prediction(detections, stuff_map, panoptic, ledger if self._rule else None)


@contextmanager
def _room_for_whole(grid: TileGrid) -> Iterator[None]:
    """Says what the size of the answer means, which no tile size changes."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        size = f"{grid.width} x {grid.height}"
        raise SetupError(f"out of memory while joining the tiles of {size} pixels: cut the image in parts") from error


# ---- from a config -----------------------------------------------------------------------------------------------


def settle_tiles(cfg: CfgNode, tile_px: int | None, overlap: float | None) -> None:
    """Write what a user gave beside the config into TEST.TILES, and refuse what cannot be."""
    node = cfg.TEST.TILES
    if overlap is not None and not (tile_px or node.SIZE):
        raise ConfigError("an overlap of tiles is given and no tile size: give --tile (in Python tile=) too")
    node.SIZE = node.SIZE if tile_px is None else tile_px
    node.OVERLAP = node.OVERLAP if overlap is None else float(overlap)
    if node.SIZE:
        if 0 < node.SIZE < SMALLEST_PX:
            raise ConfigError(f"the tile size is {node.SIZE}, expected {SMALLEST_PX} pixels or more (or 0: no tiles)")
        Tiling.with_overlap(node.SIZE, node.OVERLAP)


def max_pixels(cfg: CfgNode) -> int | None:
    """How large an image file may be; None is the usual limit."""
    return cfg.TEST.TILES.MAX_PIXELS if cfg.TEST.TILES.SIZE else None


def build_predictor(cfg: CfgNode) -> Predictor | TiledPredictor:
    """What a config predicts with, tile by tile where TEST.TILES says so."""
    return tiled(cfg, Predictor(cfg))


def tiled(cfg: CfgNode, predictor: Predictor) -> Predictor | TiledPredictor:
    """`predictor`, with the tiles of TEST.TILES around it unless its SIZE is 0."""
    node = cfg.TEST.TILES
    if node.SIZE == 0:
        return predictor
    tiling = Tiling.with_overlap(node.SIZE, node.OVERLAP)
    model = predictor.model
    rule = model.rule if isinstance(model, ThingsAndStuff) else None
    files = (
        model.stuff.files.read if isinstance(model, ThingsAndStuff) and isinstance(model.stuff, FileSource) else None
    )
    return TiledPredictor(predictor, tiling, join_iou=node.JOIN_IOU, rule=rule, whole_stuff=files)
