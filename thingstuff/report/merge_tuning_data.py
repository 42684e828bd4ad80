"""What a tuning of the merge reads: a store with instances and stuff maps, the truth, and the present thresholds."""

from __future__ import annotations

from pathlib import Path

from thingstuff.errors import ConfigError, DataError
from thingstuff.evaluation import CocoPanoptic, CocoTruth
from thingstuff.evaluation.json_file import JsonFile
from thingstuff.merge import Greedy, Rule
from thingstuff.report.ground_truth import GroundTruth
from thingstuff.report.merge_grid import rule_of_ledgers
from thingstuff.report.merge_images import Id, StoredImages
from thingstuff.report.merge_tuning import TuningData
from thingstuff.report.store_categories import refuse_other_numbering, renumbering
from thingstuff.report.stored_scores import image_id_of, store_folder
from thingstuff.store import Store

_LEDGERS = 100  # images whose ledgers are read: a threshold that decided nothing there hardly matters


def open_store(folder: Path) -> Store:
    """The store itself, or the one below an output folder, if it has what a merge needs."""
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a store, or the folder that predict.py wrote")
    store = Store.open(store_folder(folder))
    if not store.entries:
        raise DataError(f"{store.folder} is empty: no image was predicted")
    needed = {"instances": "has_detections", "stuff map": "has_stuff_map"}
    for what, attribute in needed.items():
        lacking = [entry.key for entry in store.entries if not getattr(entry, attribute)]
        if lacking:
            who = "has no" if len(lacking) == len(store.entries) else f"{lacking[0]!r} has no"
            raise DataError(f"{store.folder}: {who} {what}, which a merge needs: predict with PANOPTIC.ENABLED True")
    return store


def open_data(store: Store, truth: GroundTruth) -> tuple[TuningData, list[str]]:
    """The store's images with their truth, and notes for the reader."""
    if truth.panoptic is None:
        raise DataError(f"{truth.name} has no panoptic truth, which PQ needs: give a panoptic JSON or another data set")
    refuse_other_numbering(store.meta.categories, truth.panoptic.categories)
    keys = _keys(store, truth, truth.panoptic)
    missing = len(truth.panoptic.records) - len(keys)
    notes = [f"{missing} of the images of {truth.name} have no prediction and are left out"] if missing else []
    images = StoredImages(store, truth.panoptic, keys)
    if truth.instances is None:
        return TuningData(images), [*notes, f"{truth.name} has no instance truth, so AP is not measured"]
    moved, more = renumbering(store.meta.categories, truth.category_records())
    instances = CocoTruth.read(JsonFile.of(truth.instances, truth.name), "segm").with_filled_polygons()
    return TuningData(images, instances, moved), [*notes, *more]


def present_rule(store: Store) -> tuple[Greedy, str]:
    """The thresholds by which the store's maps were merged as far as its ledgers tell, and where they come from."""
    images = [store.read(entry.key, stuff=False, panoptic=False) for entry in store.entries[:_LEDGERS]]
    found = rule_of_ledgers([image.ledger for image in images], [image.height * image.width for image in images])
    if found is not None:
        return found, "by the ledgers of the store"
    return Greedy(), "the rule's defaults; --config-file says others"


def expect_greedy(rule: Rule, name: str) -> Greedy:
    """Refuse another rule, whose thresholds are unknown here."""
    if not isinstance(rule, Greedy):
        raise ConfigError(
            f"{name}: PANOPTIC.RULE is {type(rule).__name__}, and only the thresholds of greedy are tuned"
        )
    return rule


def _keys(store: Store, truth: GroundTruth, panoptic: CocoPanoptic) -> dict[Id, str]:
    keys: dict[Id, str] = {}
    for entry in store.entries:
        image_id = image_id_of(entry, truth)
        if image_id is None or image_id not in panoptic.records:
            raise DataError(f"{store.folder}: {entry.key!r} is no image of {truth.name}")
        if image_id in keys:
            raise DataError(f"{store.folder}: {keys[image_id]!r} and {entry.key!r} are both image {image_id!r}")
        keys[image_id] = entry.key
    return keys
