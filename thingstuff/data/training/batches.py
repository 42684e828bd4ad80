"""Which images make which batch: a function of the seed alone, so that a training can go on at any batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

Sample = tuple[int, int]  # its number in the stream of this process, and the index of its record


class TrainingBatches:
    """Endless lists of `batch_size` samples; `indices` gives the same endless stream whenever it is iterated.

    With `are_tall`, one flag a record, a batch holds images of one orientation, so that little of it is padding; it
    is given once it is full, as by Detectron2's AspectRatioGroupedDataset. Here records decide, not loaded images,
    so batches before the one to go on from cost next to nothing.
    """

    def __init__(self, indices: Iterable[int], batch_size: int, are_tall: Sequence[bool] | None = None) -> None:
        self._indices = indices
        self._batch_size = batch_size
        self._are_tall = are_tall
        self.start = 0  # how many batches to leave out

    def __iter__(self) -> Iterator[list[Sample]]:
        return islice(self._all(), self.start, None)

    def _all(self) -> Iterator[list[Sample]]:
        waiting: dict[bool, list[Sample]] = {False: [], True: []}
        for number, index in enumerate(self._indices):
            group = self._are_tall is not None and self._are_tall[index]
            waiting[group].append((number, index))
            if len(waiting[group]) == self._batch_size:
                yield waiting[group]
                waiting[group] = []
