"""Panoptic quality of predictions on their truth, image by image: the numbers, the samples and the causes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from thingstuff.errors import DataError
from thingstuff.evaluation import CocoPanoptic, PanopticCounts
from thingstuff.evaluation.bootstrap import BlockMetric, panoptic_pq
from thingstuff.evaluation.coco_panoptic import comparable_images
from thingstuff.evaluation.panoptic_causes import PanopticCauses
from thingstuff.progress import watched
from thingstuff.report.scores import Sample, ScoreOptions, Scores
from thingstuff.store import PredictedImage, Store
from thingstuff.structures import Categories, PanopticMap


class Predicted(Protocol):
    """Where the panoptic predictions come from, by the truth's image id."""

    def read(self, image_id: int | str) -> PredictedImage:
        """One image with its panoptic map."""


@dataclass(frozen=True)
class FromStore:
    """A store's images, with the ledger, the detections and the stuff map that tell what the merge dropped."""

    store: Store
    keys: Mapping[int | str, str]

    def read(self, image_id: int | str) -> PredictedImage:
        return self.store.read(self.keys[image_id])


@dataclass(frozen=True)
class _FromFiles:
    """A COCO panoptic JSON and its PNGs."""

    found: CocoPanoptic

    def read(self, image_id: int | str) -> PredictedImage:
        panoptic = self.found.read(image_id)
        return PredictedImage(
            self.found.png_path(image_id).name, *panoptic.ids.shape, image_id=image_id, panoptic=panoptic
        )


def score_panoptic_file(path: Path, truth: CocoPanoptic, options: ScoreOptions, scores: Scores) -> None:
    skips = options.skips()
    found = CocoPanoptic.open(path, options.panoptic_folder, truth.categories, skips)
    score_panoptic(_FromFiles(found), comparable_images(found, truth, skips), truth, options, scores)
    scores.note_skips("PQ", skips)


def score_panoptic(
    predicted: Predicted, image_ids: Collection[int | str], truth: CocoPanoptic, options: ScoreOptions, scores: Scores
) -> None:
    """Into `scores`: PQ, SQ and RQ, their samples, and with `options.explain` the causes of what is lost."""
    counts, causes = {}, PanopticCauses.empty(truth.categories)
    for image_id in watched(image_ids, "panoptic quality"):
        image, true = predicted.read(image_id), truth.read(image_id)
        try:
            one = _explained(image, true, truth.categories) if options.explain else None
            counts[image_id] = one.counts if one else PanopticCounts.empty(truth.categories).add(_map_of(image), true)
        except DataError as error:
            raise DataError(f"predictions of {image.key!r}: {error}") from error
        causes = causes + one if one else causes
        scores.has_ledger |= image.ledger is not None
    quality = sum(counts.values(), PanopticCounts.empty(truth.categories)).scores()
    scores.results["panoptic_seg"] = quality.percent()
    scores.undefined["panoptic_seg"] = dict(quality.undefined)
    scores.panoptic_causes = causes if options.explain else None
    if counts:
        _add_samples(counts, truth.categories, scores)


def _explained(image: PredictedImage, true: PanopticMap, categories: Categories) -> PanopticCauses:
    empty = PanopticCauses.empty(categories)
    return empty.add(_map_of(image), true, image.ledger, image.detections, image.stuff_map)


def _map_of(image: PredictedImage) -> PanopticMap:
    assert image.panoptic is not None, "only images with a panoptic map are asked for"
    return image.panoptic


def _add_samples(counts: Mapping[int | str, PanopticCounts], categories: Categories, scores: Scores) -> None:
    columns = np.stack([np.stack([c.tp, c.fp, c.fn, c.iou_sum], axis=1) for c in counts.values()])
    scores.samples |= {name: Sample(tuple(counts), metric) for name, metric in pq_metrics(columns, categories).items()}
    scores.class_samples["panoptic_seg"] = {
        category.name: Sample(tuple(counts), panoptic_pq(columns[:, [row]]))
        for row, category in enumerate(categories.all)
    }


def pq_metrics(counts: npt.NDArray[np.float64], categories: Categories) -> dict[str, BlockMetric]:
    """PQ of all, things and stuff from images x C x 4 counts (tp, fp, fn, iou_sum), fractions."""
    isthing = np.array([category.isthing for category in categories.all])
    chosen = {"PQ": isthing | ~isthing, "PQ_th": isthing, "PQ_st": ~isthing}
    return {name: panoptic_pq(counts[:, columns]) for name, columns in chosen.items()}
