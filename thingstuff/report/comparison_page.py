"""The page of a comparison: its tables, and the images with most disagreement, each with its truth and all views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thingstuff.data.images import read_image_bgr
from thingstuff.progress import watched
from thingstuff.report.comparison import Compared, Comparison, picture_path
from thingstuff.report.comparison_layers import map_layer, store_layers
from thingstuff.report.comparison_report import all_notes, tables, verdict
from thingstuff.report.image_ranks import PQ, SHOWN_SCORE, Ranks, ordered
from thingstuff.report.overlay import draw_overlay
from thingstuff.report.page import LegendEntry, Page, PageImage, PageTable
from thingstuff.report.views import Layers
from thingstuff.store import PredictedImage

_TITLE = "What going panoptic costs and gives"


@dataclass(frozen=True)
class _Source:
    """One image of a comparison: its key, the truth's id, and what each store says."""

    key: str
    image_id: int | str
    found: Mapping[str, PredictedImage]


def comparison_page(comparison: Comparison, ranks: Mapping[str, Ranks], most_images: int) -> Page:
    """At most `most_images` images, those with most disagreement; with none of them the page is its tables."""
    keys = ordered(ranks)[:most_images]
    categories = comparison.stores[0].store.meta.categories
    legend = [
        LegendEntry(c.name, color, c.isthing) for c, color in zip(categories.all, categories.colors(), strict=True)
    ]
    shown = [PageTable(t, o.headers, o.rows, o.align, o.footnotes, o.digits) for t, o in tables(comparison)]
    notes = [*all_notes(comparison), *_shown_share(comparison, keys)]
    opened = 2 + len(comparison.differences)  # all numbers, the differences, and what the first merge costs
    return Page(
        _TITLE,
        [*verdict(comparison), *notes],
        shown,
        _images(comparison, {key: ranks[key] for key in keys}),
        legend,
        _first_views(comparison),
        opened,
        low_first=(PQ,),
    )


def _shown_share(comparison: Comparison, keys: Sequence[str]) -> list[str]:
    whole = len(comparison.stores[0].ids)
    if not keys or len(keys) == whole:
        return []
    return [
        f"Below are {len(keys)} of the {whole} images, those with most disagreement; all of them count in the numbers."
    ]


def _first_views(comparison: Comparison) -> tuple[str, str] | None:
    """Instances against the map of one store, or the maps of the first two."""
    names = [store.name for store in comparison.stores if store.merge]
    if len(names) > 1:
        return f"{names[0]}: panoptic", f"{names[1]}: panoptic"
    return (f"{names[0]}: instance", f"{names[0]}: panoptic") if names else None


# ---- pictures ----------------------------------------------------------------------------------------------------


def _images(comparison: Comparison, ranks: Mapping[str, Mapping[str, float]]) -> Iterator[PageImage]:
    for key in watched(list(ranks), "drawing images"):
        found_by = {store.name: store.store.read(key) for store in comparison.stores}
        source = _Source(key, comparison.stores[0].ids[key], found_by)
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
            lost = () if store.merge is None else store.merge.lost.get(source.image_id, ())
            explained = store_layers(found, store.store.meta.categories, SHOWN_SCORE, lost)
            layers |= {f"{store.name}: {view}": layer for view, layer in explained.items()}
        yield PageImage(key, first.width, first.height, pictures, layers, dict(ranks[key]))


def _image_bgr(comparison: Comparison, key: str, image: PredictedImage) -> np.ndarray:
    """The picture itself, or grey where it is no longer there."""
    path = picture_path(comparison.stores[0].store, key)
    if not path.is_file():
        return np.full((image.height, image.width, 3), 128, np.uint8)
    return read_image_bgr(path)


def _truth_layers(comparison: Comparison, source: _Source, image_bgr: np.ndarray) -> Layers | None:
    truth = comparison.truth.panoptic
    if truth is None or source.image_id not in truth.records:
        return None
    return Layers(image_bgr, truth.categories, panoptic=truth.read(source.image_id), show_scores=False)


def _views(store: Compared, image: PredictedImage, image_bgr: np.ndarray) -> dict[str, np.ndarray]:
    found = None if image.detections is None else image.detections.above(SHOWN_SCORE)
    layers = Layers(image_bgr, store.store.meta.categories, found, image.stuff_map, image.panoptic)
    has = {
        "box": found is not None,
        "semantic": image.stuff_map is not None,
        "instance": found is not None and found.masks is not None,
        "panoptic": image.panoptic is not None,
    }
    return {f"{store.name}: {view}": draw_overlay(layers, view) for view, there in has.items() if there}
