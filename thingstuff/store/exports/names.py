"""What several exports decide alike: ids for images, names for files, and a refusal of what a store lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Literal

from thingstuff.errors import DataError
from thingstuff.store.index import Entry
from thingstuff.store.reader import Store

Output = Literal["detections", "panoptic"]

_LACKS = {
    "detections": "no detections: it comes from a model without instances",
    "panoptic": "no panoptic map: merge first, or predict with a panoptic model",
}


def entries_with(store: Store, output: Output) -> list[Entry]:
    """All entries in the order of their keys; refused where an image lacks this output."""
    for entry in store.entries:
        if not getattr(entry, f"has_{output}"):
            raise DataError(f"{store.folder}: {entry.place}: {entry.key!r} has {_LACKS[output]}")
    return sorted(store.entries, key=lambda entry: entry.key)


def image_ids(entries: Collection[Entry]) -> dict[str, int | str]:
    """Key -> the data set's image id; numbers from 1 on in the order given where no image has one."""
    known = {entry.key: entry.image_id for entry in entries if entry.image_id is not None}
    if not known:
        return {entry.key: number for number, entry in enumerate(entries, 1)}
    without = [entry.key for entry in entries if entry.key not in known]
    if without:
        raise DataError(f"{without[0]!r} has no image_id and {next(iter(known))!r} has: expected it in all or in none")
    owners: dict[int | str, str] = {}
    for key, image_id in known.items():
        if image_id in owners:
            raise DataError(f"{owners[image_id]!r} and {key!r} share the image_id {image_id!r}: each needs its own")
        owners[image_id] = key
    return known


def file_names(keys: Collection[str], suffix: str) -> dict[str, str]:
    """Key -> a name of its own: `a/b.jpg` -> `a/b` + suffix, but `a/b.jpg` + suffix where two would be the same."""
    full = {key: key + suffix for key in keys}
    short = {key: str(PurePosixPath(key).with_suffix("")) + suffix for key in keys}
    uses = Counter(short.values())
    mixed = {key: short[key] if uses[short[key]] == 1 else full[key] for key in keys}
    return mixed if len(set(mixed.values())) == len(mixed) else full
