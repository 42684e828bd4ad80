"""Stored things and stored stuff -> a store with panoptic maps, whoever made either of them, without a network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.merge import LedgerTotals, Rule, merge
from thingstuff.progress import watched
from thingstuff.store import PredictedImage, Store, StoreMeta, StoreWriter
from thingstuff.structures import Categories


@dataclass(frozen=True)
class MergedStore:
    """`already_there`: images of an earlier run, which is gone on with."""

    folder: Path
    merged: int
    already_there: int
    totals: LedgerTotals


def merge_stores(things: Store, stuff: Store, rule: Rule, folder: Path) -> MergedStore:
    """The detections of `things` over the stuff of `stuff`, which may be one store, image by image into `folder`.

    Stuff is a store's label maps, or where it has none that of its panoptic maps. Both must be of the same images. A
    run that was stopped goes on behind its last image.
    """
    categories, keys = _joined(things, stuff), things.keys()
    _refuse_other_images(things, stuff)
    totals = LedgerTotals()
    with StoreWriter.open(folder, _meta(things, stuff, rule, categories)) as writer:
        missing = [key for key in keys if key not in writer]
        for image in _merged(things, stuff, categories, rule, missing, totals):
            writer.append(image)
    return MergedStore(folder, len(missing), len(things) - len(missing), totals)


def _merged(
    things: Store, stuff: Store, categories: Categories, rule: Rule, keys: list[str], totals: LedgerTotals
) -> Iterator[PredictedImage]:
    for key in watched(keys, "merging"):
        image, stuff_map = things.read(key, stuff=False, panoptic=False), _stuff_map(stuff, key)
        if image.detections is None:
            raise DataError(f"{things.folder}: {key!r} has no detections")
        if stuff_map.shape != (image.height, image.width):
            raise DataError(
                f"{key!r} is {image.width} x {image.height} in {things.folder}, and of another size in {stuff.folder}"
            )
        panoptic, ledger = merge(image.detections, stuff_map, categories, rule)
        totals.add(ledger)
        records = tuple(ledger.records())
        size = (image.height, image.width)
        yield PredictedImage(key, *size, image.image_id, image.detections, stuff_map, panoptic, records, image.source)


def _stuff_map(store: Store, key: str) -> NDArray[np.uint16]:
    image = store.read(key)
    if image.stuff_map is not None:
        return image.stuff_map
    if image.panoptic is None:
        raise DataError(f"{store.folder}: {key!r} has neither a stuff map nor a panoptic map")
    return image.panoptic.stuff_map(store.meta.categories)


def _joined(things: Store, stuff: Store) -> Categories:
    """The things of the one and the stuff of the other: a stuff map counts its labels in the order of these."""
    ours, theirs = things.meta.categories, stuff.meta.categories
    if not theirs.stuff:
        raise DataError(f"{stuff.folder}: none of its categories is stuff")
    if ours.stuff == theirs.stuff:
        return ours
    try:
        return Categories((*ours.things, *theirs.stuff))
    except DataError as error:
        raise DataError(f"{things.folder} and {stuff.folder} do not go together: {error}") from error


def _refuse_other_images(things: Store, stuff: Store) -> None:
    keys = things.keys()
    missing = [key for key in keys if key not in stuff]
    if not keys:
        raise DataError(f"{things.folder} is empty: no image was predicted")
    if missing:
        raise DataError(
            f"{stuff.folder} has no {missing[0]!r} ({len(missing)} of {len(things)} images are missing there)"
        )
    roots = {store.meta.image_root for store in (things, stuff)} - {None}
    if len(roots) > 1:
        both = " and ".join(sorted(map(str, roots)))
        raise DataError(f"{things.folder} and {stuff.folder} are of images in {both}: import both with one --data")


def _meta(things: Store, stuff: Store, rule: Rule, categories: Categories) -> StoreMeta:
    one, other = things.meta, stuff.meta
    return StoreMeta(
        _hash(one.config_hash, other.config_hash, repr(rule)),
        _hash(one.weights_hash, other.weights_hash),
        categories,
        one.versions,
        one.dataset or other.dataset,
        one.image_root or other.image_root,
    )


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
