"""Stored images merged by many rules, image by image in several processes: counts for PQ, or things for AP."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import cv2

from thingstuff.errors import DataError, SetupError
from thingstuff.evaluation import CocoPanoptic
from thingstuff.evaluation.coco_fields import Record
from thingstuff.evaluation.merged_instances import things_of
from thingstuff.merge import Greedy
from thingstuff.progress import Progress
from thingstuff.report.merge_sweep import Layout, Shared, count_rules, layouts
from thingstuff.store import Store

Id = int | str
_Found = TypeVar("_Found")
_QUICK_S = 5.0
_CHUNK = 4  # images that a process is handed at once


@dataclass(frozen=True)
class StoredImages:
    """The images of a store that have a truth: its key of each image id. Travels to other processes."""

    store: Store
    truth: CocoPanoptic
    keys: Mapping[Id, str]

    def count(self, image_id: Id, rules: Sequence[Greedy]) -> Shared:
        """Of one image, for PQ."""
        found, places = self._layouts(image_id, rules)
        try:
            return count_rules(found, places, rules, self.truth.read(image_id), self.truth.categories)
        except DataError as error:
            raise DataError(f"predictions of {self.keys[image_id]!r}: {error}") from error

    def things(self, image_id: Id, rules: Sequence[Greedy]) -> list[list[Record]]:
        """Of one image, for AP: the things that each rule leaves, with the store's category ids."""
        found, places = self._layouts(image_id, rules)
        records = [things_of(one.panoptic, image_id) for one in found]
        return [records[place] for place in places]

    def _layouts(self, image_id: Id, rules: Sequence[Greedy]) -> tuple[list[Layout], list[int]]:
        key = self.keys[image_id]
        image = self.store.read(key, panoptic=False)
        assert image.detections is not None
        assert image.stuff_map is not None, "who has none was refused"
        try:
            return layouts(image.detections, image.stuff_map, self.store.meta.categories, rules)
        except DataError as error:
            raise DataError(f"predictions of {key!r}: {error}") from error


class Crew:
    """Processes, one thread each, that keep the images at hand; of one, the work is done in this process."""

    def __init__(self, images: StoredImages, workers: int) -> None:
        self._images, self._workers = images, min(workers, len(images.keys))
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[StoredImages, Id], _Found], image_ids: Sequence[Id], title: str) -> Iterator[_Found]:
        """What `work`, which must be picklable, gives for each image in their order, while progress is shown."""
        with Progress(len(image_ids), title, quick_s=_QUICK_S) as progress:
            try:
                for found in self._each(work, image_ids):
                    yield found
                    progress.step()
            except BrokenProcessPool as error:
                raise SetupError("a process died, for lack of memory perhaps: try fewer --workers") from error

    def _each(self, work: Callable[[StoredImages, Id], _Found], image_ids: Sequence[Id]) -> Iterator[_Found]:
        if self._workers <= 1:
            return (work(self._images, image_id) for image_id in image_ids)
        if self._pool is None:
            # a dead process is an error in this pool, where multiprocessing's own would wait for it forever
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, context, initializer=_start, initargs=(self._images,))
        return self._pool.map(partial(_work_here, work), image_ids, chunksize=_CHUNK)


_here: dict[str, StoredImages] = {}  # a process's own, so that the store travels once and not with each image


def _start(images: StoredImages) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process says that it was interrupted
    cv2.setNumThreads(1)
    _here["images"] = images


def _work_here(work: Callable[[StoredImages, Id], _Found], image_id: Id) -> _Found:
    return work(_here["images"], image_id)


def counts_of(crew: Crew, image_ids: Sequence[Id], rules: Sequence[Greedy]) -> Iterator[Shared]:
    """An image at a time."""
    return crew.map(partial(StoredImages.count, rules=rules), image_ids, f"merging by {len(rules)} rules")


def things_by_rule(crew: Crew, image_ids: Sequence[Id], rules: Sequence[Greedy]) -> list[list[Record]]:
    """Of all images together, by each of the rules."""
    found: list[list[Record]] = [[] for _ in rules]
    for records in crew.map(partial(StoredImages.things, rules=rules), image_ids, "things for AP"):
        for whole, part in zip(found, records, strict=True):
            whole.extend(part)
    return found
