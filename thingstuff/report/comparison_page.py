"""The page of a comparison: its tables, and the images with most disagreement, each with its truth and all views."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thingstuff.data.images import read_image_bgr
from thingstuff.evaluation import PanopticCounts
from thingstuff.progress import watched
from thingstuff.report.comparison import Compared, Comparison
from thingstuff.report.comparison_layers import map_layer, store_layers
from thingstuff.report.comparison_report import tables, verdict
from thingstuff.report.overlay import draw_overlay
from thingstuff.report.page import LegendEntry, Page, PageImage, PageTable
from thingstuff.report.views import Layers
from thingstuff.store import PredictedImage
from thingstuff.structures import Categories, PanopticMap
from thingstuff.structures.runs import positions_of

_TITLE = "What going panoptic costs and gives"
_SHOWN_SCORE = 0.5  # of boxes and instances in pictures, as predict.py draws them
_DISAGREEMENT, _LOST, _PQ = "disagreement", "instances lost", "PQ"


@dataclass(frozen=True)
class _Source:
    """One image of a comparison: its key, the truth's id, and what each store says."""

    key: str
    image_id: int | str
    found: Mapping[str, PredictedImage]


def comparison_page(comparison: Comparison, most_images: int) -> Page:
    """At most `most_images` images, those with most disagreement; with none of them the page is its tables."""
    keys = _most_telling(comparison, most_images)
    categories = comparison.stores[0].store.meta.categories
    legend = [
        LegendEntry(c.name, color, c.isthing) for c, color in zip(categories.all, categories.colors(), strict=True)
    ]
    shown = [PageTable(t, o.headers, o.rows, o.align, o.footnotes, o.digits) for t, o in tables(comparison)]
    notes = [f"{store.name}: {note}" for store in comparison.stores for note in store.scores.notes]
    notes += _without_pictures(comparison, keys)
    opened = 2 + len(comparison.differences)  # all numbers, the differences, and what the first merge costs
    return Page(
        _TITLE,
        [*verdict(comparison), *notes],
        shown,
        _images(comparison, keys),
        legend,
        _first_views(comparison),
        opened,
    )


def _first_views(comparison: Comparison) -> tuple[str, str] | None:
    """Instances against the map of one store, or the maps of the first two."""
    names = [store.name for store in comparison.stores if store.merge]
    if len(names) > 1:
        return f"{names[0]}: panoptic", f"{names[1]}: panoptic"
    return (f"{names[0]}: instance", f"{names[0]}: panoptic") if names else None


# ---- which images ------------------------------------------------------------------------------------------------


def _most_telling(comparison: Comparison, most: int) -> dict[str, dict[str, float]]:
    """Key -> ranks, those with most disagreement first. All images are looked at, and `most` of them kept."""
    keys = list(comparison.stores[0].ids)
    if most < 1:
        return {}
    ranks = {key: _ranks(_source(comparison, key), comparison) for key in watched(keys, "ranking images")}
    order = sorted(keys, key=lambda key: (-ranks[key][_DISAGREEMENT], key))
    return {key: ranks[key] for key in order[:most]}


def _source(comparison: Comparison, key: str) -> _Source:
    found = {store.name: store.store.read(key) for store in comparison.stores}
    return _Source(key, comparison.stores[0].ids[key], found)


def _ranks(source: _Source, comparison: Comparison) -> dict[str, float]:
    images = list(source.found.values())
    ranks = {_DISAGREEMENT: _disagreement(images, comparison.stores[0].store.meta.categories)}
    first = images[0]
    if first.ledger is not None:
        ranks[_LOST] = float(sum(_is_loss(record) for record in first.ledger))
    if first.panoptic is not None and comparison.truth.panoptic is not None:
        truth = comparison.truth.panoptic
        counts = PanopticCounts.empty(truth.categories).add(first.panoptic, truth.read_runs(source.image_id))
        ranks[_PQ] = 100 * counts.scores().numbers["PQ"]
    return ranks


def _is_loss(record: Mapping[str, object]) -> bool:
    """An instance that a viewer would have been shown, and that the map lacks."""
    score = record.get("score", 0)
    dropped = record["kind"] == "instance" and record["outcome"] == "dropped"
    return dropped and isinstance(score, float) and score >= _SHOWN_SCORE


def _disagreement(images: Sequence[PredictedImage], categories: Categories) -> float:
    """The share of pixels whose class differs: between two maps, or between the instances and the map of one."""
    maps = [_classes(image.panoptic, categories) for image in images[:2] if image.panoptic is not None]
    if len(maps) == 2 and maps[0].shape == maps[1].shape:
        return float(np.mean(maps[0] != maps[1]))
    first = images[0]
    if len(maps) != 1 or first.detections is None or first.detections.masks is None:
        return 0.0
    return float(np.mean(_painted(first, categories, maps[0]) != maps[0]))


def _classes(panoptic: PanopticMap, categories: Categories) -> np.ndarray:
    """H x W category ids + 1, 0 is void."""
    ids = np.array([segment.id for segment in panoptic.segments], np.int64)
    labels = np.array([0, *(segment.category_id + 1 for segment in panoptic.segments)])
    return labels[positions_of(panoptic.ids, ids) + 1]


def _painted(image: PredictedImage, categories: Categories, below: np.ndarray) -> np.ndarray:
    """The classes with all shown instances painted over, the best last."""
    painted = below.copy()
    found = image.detections.above(_SHOWN_SCORE).by_score()
    for row in reversed(range(len(found))):
        x0, y0, x1, y1 = found.masks.boxes_xyxy[row].tolist()
        painted[y0:y1, x0:x1][found.masks.crops[row] > 0] = int(found.category_ids[row]) + 1
    return painted


# ---- pictures ----------------------------------------------------------------------------------------------------


def _images(comparison: Comparison, ranks: Mapping[str, Mapping[str, float]]) -> Iterator[PageImage]:
    for key in watched(list(ranks), "drawing images"):
        source = _source(comparison, key)
        first = next(iter(source.found.values()))
        image_bgr = _image_bgr(comparison, key, first)
        pictures, layers = {"input": image_bgr}, {}
        truth = _truth_layers(comparison, source, image_bgr)
        if truth is not None:
            pictures["ground truth"] = draw_overlay(truth, "panoptic")
            layers["ground truth"] = map_layer(truth.panoptic, truth.categories)
        for store in comparison.stores:
            found = source.found[store.name]
            pictures |= _views(store, found, image_bgr)
            explained = store_layers(found, store.store.meta.categories, _SHOWN_SCORE)
            layers |= {f"{store.name}: {view}": layer for view, layer in explained.items()}
        yield PageImage(key, first.width, first.height, pictures, layers, dict(ranks[key]))


def _picture_path(comparison: Comparison, key: str) -> Path:
    return Path(comparison.stores[0].store.meta.image_root or ".", key)


def _without_pictures(comparison: Comparison, keys: Iterable[str]) -> list[str]:
    missing = [key for key in keys if not _picture_path(comparison, key).is_file()]
    if not missing:
        return []
    path = _picture_path(comparison, missing[0])
    return [f"{len(missing)} of the pictures are no longer where they were, as {path}: they are shown grey"]


def _image_bgr(comparison: Comparison, key: str, image: PredictedImage) -> np.ndarray:
    """The picture itself, or grey where it is no longer there."""
    path = _picture_path(comparison, key)
    if not path.is_file():
        return np.full((image.height, image.width, 3), 128, np.uint8)
    return read_image_bgr(path)


def _truth_layers(comparison: Comparison, source: _Source, image_bgr: np.ndarray) -> Layers | None:
    truth = comparison.truth.panoptic
    if truth is None or source.image_id not in truth.records:
        return None
    return Layers(image_bgr, truth.categories, panoptic=truth.read(source.image_id), show_scores=False)


def _views(store: Compared, image: PredictedImage, image_bgr: np.ndarray) -> dict[str, np.ndarray]:
    found = None if image.detections is None else image.detections.above(_SHOWN_SCORE)
    layers = Layers(image_bgr, store.store.meta.categories, found, image.stuff_map, image.panoptic)
    has = {
        "box": found is not None,
        "semantic": image.stuff_map is not None,
        "instance": found is not None and found.masks is not None,
        "panoptic": image.panoptic is not None,
    }
    return {f"{store.name}: {view}": draw_overlay(layers, view) for view, there in has.items() if there}
