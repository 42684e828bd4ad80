"""Many images through one model: the next are read, and the last are finished, while the network works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from thingstuff.cores import usable_cores
from thingstuff.errors import DataError
from thingstuff.modeling.prediction import Prediction

_MOST_READERS = 8  # of a GPU; on a CPU they would take the cores of the network
_AHEAD = 2

_Item = TypeVar("_Item")
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, eq=False)
class Outcome(Generic[_Item]):
    """Of one item: its image and what was found in it, or the error by which it could not be read."""

    item: _Item
    image_bgr: np.ndarray | None = None
    prediction: Prediction | None = None
    error: DataError | None = None

    def get(self) -> tuple[np.ndarray, Prediction]:
        """The image and the prediction; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.image_bgr, self.prediction


@dataclass(frozen=True, eq=False)
class Readied(Generic[_Item]):
    """An item as the network takes it, or the error of reading it."""

    item: _Item
    image_bgr: np.ndarray | None = None
    model_input: dict[str, Any] | None = None
    error: DataError | None = None

    @property
    def network_size(self) -> tuple[int, ...] | None:
        return None if self.model_input is None else tuple(self.model_input["image"].shape)


@dataclass(frozen=True, eq=False)
class Started(Generic[_Item]):
    """An item that the network has seen, and what is left to be done for it; or the error of reading it."""

    item: _Item
    image_bgr: np.ndarray | None = None
    finish: Callable[[], Prediction] | None = None
    error: DataError | None = None

    def finished(self) -> Outcome[_Item]:
        return Outcome(self.item, self.image_bgr, None if self.finish is None else self.finish(), self.error)


@dataclass(frozen=True)
class Workers:
    """Who works beside the network: threads that read and one that finishes; None means that the network's does it."""

    reading: Executor | None
    finishing: Executor | None
    ahead: int

    @classmethod
    @contextmanager
    def here(cls, device_type: str) -> Iterator[Workers]:
        """As many as this machine has cores for. They end with the block, without what they had not begun."""
        cores = usable_cores()
        if cores == 1:
            yield cls(None, None, 1)
            return
        readers = min(cores, _MOST_READERS) if device_type != "cpu" else 1
        reading, finishing = ThreadPoolExecutor(readers, "reading"), ThreadPoolExecutor(1, "finishing")
        try:
            yield cls(reading, finishing, readers + _AHEAD)
        finally:
            for pool in (reading, finishing):
                pool.shutdown(wait=False, cancel_futures=True)


def one_by_one(
    predict: Callable[[np.ndarray, Any], Prediction], items: Iterable[_Item], read: Callable[[_Item], tuple[Any, Any]]
) -> Iterator[Outcome[_Item]]:
    """The outcome of each item, for a predictor that is called with an image and the name of its file."""
    for item in items:
        try:
            image_bgr, file_name = read(item)
            outcome = Outcome(item, image_bgr, predict(image_bgr, file_name))
        except DataError as error:
            outcome = Outcome(item, error=error)
        yield outcome


def in_order(workers: Executor | None, work: Callable[[_In], _Out], items: Iterable[_In], ahead: int) -> Iterator[_Out]:
    """`work` of every item, in their order; up to `ahead` items are taken before the first answer is handed on."""
    if workers is None:
        yield from map(work, items)
        return
    pending: deque[Future[_Out]] = deque()
    for item in items:
        pending.append(workers.submit(work, item))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def batches(readied: Iterable[Readied[_Item]], most: int) -> Iterator[list[Readied[_Item]]]:
    """Runs of at most `most` items that have one size in the network. What could not be read joins any."""
    group: list[Readied[_Item]] = []
    for one in readied:
        sizes = {member.network_size for member in (*group, one)} - {None}
        if group and (len(group) >= most or len(sizes) > 1):
            yield group
            group = []
        group.append(one)
    if group:
        yield group
