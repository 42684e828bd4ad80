"""Panoptic quality: in memory with the truth kept, and from files, against the PNG round trip of Detectron2."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from thingstuff.benchmark.measure import Case
from thingstuff.benchmark.panoptic_pairs import PanopticPair, random_pair
from thingstuff.benchmark.panoptic_scenes import CATEGORIES
from thingstuff.benchmark.pq_round_trip import (
    REFERENCE,
    PanopticFiles,
    PanopticOutput,
    Quality,
    quality_of_files,
    quality_of_outputs,
)
from thingstuff.evaluation import PanopticCounts, PanopticQuality, SegmentRuns, evaluate_panoptic
from thingstuff.files import write_json
from thingstuff.structures import PanopticMap

TOLERANCE = 1e-12


def panoptic_cases(images: int, seed: int) -> Iterator[Case]:
    pairs = [random_pair(seed + number) for number in range(images)]
    height, width = pairs[0].truth.ids.shape
    size = f"{images} images {height}x{width}"
    with tempfile.TemporaryDirectory() as folder:
        truth = _write(Path(folder, "truth"), [pair.truth for pair in pairs])
        yield _cached(f"PQ, cached truth, {size}", pairs, truth)
        predicted = _write(Path(folder, "predicted"), [pair.predicted for pair in pairs])
        yield _from_files(f"PQ from files, {size}", predicted, truth)


def _write(folder: Path, maps: Sequence[PanopticMap]) -> PanopticFiles:
    annotations = []
    for image_id, panoptic in enumerate(maps, 1):
        file_name = f"{image_id:012d}.png"
        segments_info = panoptic.write_coco(folder / file_name)
        annotations.append({"image_id": image_id, "file_name": file_name, "segments_info": segments_info})
    images = [{"id": image_id} for image_id in range(1, len(maps) + 1)]
    json_path = folder.with_suffix(".json")
    write_json(json_path, {"images": images, "annotations": annotations, "categories": CATEGORIES.to_coco()})
    return PanopticFiles(json_path, folder)


def _cached(name: str, pairs: Sequence[PanopticPair], truth: PanopticFiles) -> Case:
    """From what a model's merge leaves in memory. Ours has the truth in memory, as an evaluator that runs again."""
    kept = [SegmentRuns.of(pair.truth) for pair in pairs]
    outputs = [_output(number, pair.predicted) for number, pair in enumerate(pairs, 1)]

    def ours() -> PanopticQuality:
        counts = PanopticCounts.empty(CATEGORIES)
        for pair, true in zip(pairs, kept, strict=True):
            counts = counts.add(pair.predicted, true)
        return counts.scores()

    return Case(name, REFERENCE, ours, lambda: quality_of_outputs(outputs, truth), same_quality)


def _output(image_id: int, panoptic: PanopticMap) -> PanopticOutput:
    segments_info = [{"id": s.id, "category_id": s.category_id} for s in panoptic.segments]
    return PanopticOutput(image_id, panoptic.ids.astype("int32"), segments_info)


def _from_files(name: str, predicted: PanopticFiles, truth: PanopticFiles) -> Case:
    return Case(
        name=name,
        reference="panopticapi's definition",
        ours=lambda: evaluate_panoptic(truth.json_path, predicted.json_path, truth.folder, predicted.folder),
        theirs=lambda: quality_of_files(predicted, truth),
        equal=same_quality,
    )


def same_quality(ours: PanopticQuality, theirs: dict[int, Quality]) -> bool:
    """PQ, SQ and RQ of every category; what nothing counts for is NaN in ours."""
    if set(ours.per_category) != set(theirs):
        return False
    for category_id, quality in ours.per_category.items():
        expected, found = theirs[category_id], (quality.pq, quality.sq, quality.rq)
        if expected is None:
            if not all(map(math.isnan, found)):
                return False
        elif not all(abs(a - b) <= TOLERANCE for a, b in zip(found, expected, strict=True)):
            return False
    return True
