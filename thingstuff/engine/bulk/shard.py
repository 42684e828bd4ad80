"""Shards: fixed slices of the images of a job, the unit of work that is there as a whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thingstuff.data.bulk.items import BulkItem
from thingstuff.store.parquet_writer import shard_name

IMAGES = 32  # in a shard: few enough to be held decoded, and to be lost with a worker
_MOST_TRIES = 5  # of a shard, at each of which a worker died


@dataclass(frozen=True)
class Shard:
    """Images that are predicted by one worker and written as one file, which is named after their keys."""

    name: str
    items: tuple[BulkItem, ...]


def cut_into_shards(items: Sequence[BulkItem], images: int) -> list[Shard]:
    """Slices of `images` each, the last one shorter. After whole slices are done, the rest is cut as before."""
    slices = [tuple(items[start : start + images]) for start in range(0, len(items), images)]
    return [Shard(shard_name([item.key for item in each]), each) for each in slices]


@dataclass(frozen=True)
class Tries:
    """How often workers have begun a shard: an image that kills them all would keep a job going for ever.

    Each try is a mark in a folder that all workers see; the run clears it before it begins.
    """

    folder: Path

    def begin(self, stage: str, shard: str) -> str | None:
        """Mark a try. What is wrong, if it is one too many."""
        for number in range(_MOST_TRIES):
            try:
                (self.folder / f"{shard}.{stage}{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return None
        return f"{_MOST_TRIES} workers died while they were {stage} the same images"

    def end(self, shard: str) -> None:
        for mark in self.folder.glob(f"{shard}.*"):
            mark.unlink(missing_ok=True)
