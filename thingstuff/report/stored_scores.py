"""Scores of stored predictions: AP, mean IoU and panoptic quality without a model and without a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from thingstuff.errors import DataError
from thingstuff.evaluation import CocoPanoptic, SemanticCounts
from thingstuff.evaluation.bootstrap import semantic_miou
from thingstuff.evaluation.json_file import JsonFile
from thingstuff.progress import watched
from thingstuff.report.ground_truth import GroundTruth
from thingstuff.report.instance_scores import score_instances
from thingstuff.report.panoptic_scores import FromStore, score_panoptic, score_panoptic_file
from thingstuff.report.scores import Sample, ScoreOptions, Scores
from thingstuff.report.store_categories import refuse_other_numbering, renumbering
from thingstuff.store import Store
from thingstuff.store.index import Entry
from thingstuff.store.layout import META_NAME
from thingstuff.store.meta import is_store
from thingstuff.structures import VOID

_AS_COCO = ScoreOptions()


def score(predictions: Path, truth: GroundTruth, options: ScoreOptions = _AS_COCO) -> Scores:
    """`predictions`: a store, the folder that predict.py wrote, a COCO results JSON, or a COCO panoptic JSON."""
    scores = Scores()
    if predictions.is_dir():
        score_store(Store.open(store_folder(predictions)), truth, options, scores)
        return scores
    file = JsonFile.read(predictions)
    if not _is_panoptic(file.content):
        score_instances(file, _instance_truth(truth), options, scores)
    else:
        score_panoptic_file(predictions, _panoptic_truth(predictions, truth), options, scores)
    return scores


def _is_panoptic(content: Any) -> bool:
    """Instances are a list in COCO's results format, but some write a dictionary, as of the ground truth, around it."""
    notes = content.get("annotations") if isinstance(content, Mapping) else None
    without = (
        isinstance(notes, list) and notes and not any("segments_info" in n for n in notes if isinstance(n, Mapping))
    )
    return isinstance(content, Mapping) and not without


def store_folder(folder: Path) -> Path:
    """A store itself, or the one below an output folder."""
    if is_store(folder):
        return folder
    found = (path.parent for part in ("predictions/*", "*") for path in folder.glob(f"{part}/{META_NAME}"))
    inner = sorted(each for each in found if is_store(each))
    if len(inner) > 1:
        raise DataError(f"{folder} holds several stores: give one of {', '.join(map(str, inner))}")
    return inner[0] if inner else folder


def truth_name(stores: Sequence[Store], given: str | None) -> str:
    """What is given, or the data set that the first of the stores was made of."""
    name = given or next((store.meta.dataset for store in stores), None)
    if name is None:
        what = f"{stores[0].folder} was not made of a data set" if stores else "there is no store that knows the truth"
        raise DataError(f"{what}: give --ground-truth")
    return name


def _instance_truth(truth: GroundTruth) -> Any:
    if truth.instances is None:
        raise DataError(f"the predictions are instances, but {truth.name} has no instance truth")
    return truth.instances


def _panoptic_truth(path: Path, truth: GroundTruth) -> CocoPanoptic:
    if truth.panoptic is None:
        raise DataError(f"{path} holds panoptic predictions, but {truth.name} has no panoptic truth")
    return truth.panoptic


# ---- stores ------------------------------------------------------------------------------------------------------


def score_store(store: Store, truth: GroundTruth, options: ScoreOptions, scores: Scores) -> None:
    """Everything that store and truth have in common, into `scores`."""
    if not store.entries:
        raise DataError(f"{store.folder} is empty: no image was predicted")
    ids = image_ids(store, truth, options, scores)
    entries = [entry for entry in store.entries if entry.key in ids]
    if truth.instances is not None and any(entry.has_detections for entry in entries):
        records = [r for key in watched(ids, "reading detections") for r in store.coco_records(key, ids[key])]
        _renumber(records, store, truth, scores)
        counted = replace(options, image_ids=frozenset(ids.values())) if options.only_stored else options
        score_instances(JsonFile(str(store.folder), records), truth.instances, counted, scores)
    if truth.stuff_files and any(entry.has_stuff_map for entry in entries):
        _score_semantic(store, ids, truth, scores)
    if truth.panoptic is not None and any(entry.has_panoptic for entry in entries):
        refuse_other_numbering(store.meta.categories, truth.panoptic.categories)
        keys = {ids[entry.key]: entry.key for entry in entries if entry.has_panoptic}
        score_panoptic(FromStore(store, keys), keys, truth.panoptic, options, scores)
    if not scores.results:
        raise DataError(f"{store.folder} and {truth.name} have nothing in common that could be evaluated")
    scores.notes.extend([*_missing(ids, truth, options), *_other_dataset(store, truth)])


def _renumber(records: list[dict[str, Any]], store: Store, truth: GroundTruth, scores: Scores) -> None:
    """Give the records, in place, the ids that their categories have in the truth."""
    moved, notes = renumbering(store.meta.categories, truth.category_records())
    for record in records if moved else ():
        record["category_id"] = moved.get(record["category_id"], record["category_id"])
    scores.notes.extend(notes)


def image_ids(store: Store, truth: GroundTruth, options: ScoreOptions, scores: Scores) -> dict[str, int | str]:
    """Key -> the data set's id: the one that the store knows, or else that of the image with this name."""
    skips, ids = options.skips(), {}
    for entry in store.entries:
        image_id = image_id_of(entry, truth)
        if image_id is not None:
            ids[entry.key] = image_id
            continue
        message = f"{store.folder}: {entry.key!r} is no image of {truth.name}"
        if skips is None:
            raise DataError(message)
        skips.add("images that the ground truth lacks", message)
    scores.note_skips("store", skips)
    return ids


def image_id_of(entry: Entry, truth: GroundTruth) -> int | str | None:
    """The id that the store knows, or that of the image with this name; None if there is none."""
    names = (entry.key, Path(entry.key).name)
    return (
        entry.image_id
        if entry.image_id is not None
        else next((truth.key_ids[name] for name in names if name in truth.key_ids), None)
    )


def _score_semantic(store: Store, ids: Mapping[str, int | str], truth: GroundTruth, scores: Scores) -> None:
    if len(truth.stuff_names) != len(store.meta.categories.stuff) + 1:
        return  # labels of another convention than a stuff map's
    empty = SemanticCounts.empty(truth.stuff_names, truth.ignore_label)
    each: dict[int | str, SemanticCounts] = {}
    keys = [entry.key for entry in store.entries if entry.has_stuff_map and entry.key in ids]
    for key in watched(keys, "semantics"):
        predicted = store.read(key, panoptic=False).stuff_map
        labels = np.where(predicted == VOID, truth.ignore_label, predicted)
        each[ids[key]] = empty.add(labels, read_labels(truth, ids[key]))
    scores.results["sem_seg"] = sum(each.values(), empty).scores().percent()
    confusions = np.stack([counts.confusion for counts in each.values()])
    scores.samples["mIoU"] = Sample(tuple(each), semantic_miou(confusions))


def read_labels(truth: GroundTruth, image_id: int | str) -> np.ndarray:
    """H x W labels of stuff, as the data set numbers them."""
    file = truth.stuff_files.get(image_id)
    labels = None if file is None else cv2.imread(file, cv2.IMREAD_UNCHANGED)
    if labels is None:
        raise DataError(f"{truth.name}: the label map of image {image_id!r} cannot be read ({file})")
    return labels


def _missing(ids: Mapping[str, int | str], truth: GroundTruth, options: ScoreOptions) -> list[str]:
    known = set(truth.key_ids.values())
    missing = len(known - set(ids.values()))
    if not missing:
        return []
    consequence = "AP counts their objects as missed, mean IoU and PQ leave them out"
    if options.only_stored:
        consequence = "they are left out"
    return [f"{missing} of the {len(known)} images of {truth.name} have no prediction: {consequence}"]


def _other_dataset(store: Store, truth: GroundTruth) -> list[str]:
    made_for = store.meta.dataset
    if made_for in (None, truth.name) or truth.is_file:
        return []
    return [f"the store holds predictions of {made_for}: has {truth.name} the same images under the same ids?"]
