"""Records turned into training inputs, each with random numbers of its own, whoever computes it and when."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from thingstuff.data.naming_mapper import Mapper
from thingstuff.data.training.batches import Sample
from thingstuff.errors import DataError

_MOST_TRIES = 1000  # of other records, for one that its mapper skipped


class SeededDataset(Dataset):
    """`dataset[number, index]` maps a record, with the global generators seeded by `seed`, `rank` and `number`.

    So a sample is the same with any number of workers, and when it is loaded a second time. A record for which the
    mapper gives None is replaced by another, chosen by the same numbers (Detectron2 takes one that the process's own
    generator chooses). The generators go on afterwards as if nothing had been.
    """

    def __init__(self, records: Sequence[dict[str, Any]], mapper: Mapper, seed: int, rank: int = 0) -> None:
        self.records, self.mapper, self.seed, self.rank = records, mapper, seed, rank

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, sample: Sample) -> dict[str, Any]:
        number, index = sample
        source = np.random.SeedSequence([self.seed, self.rank, number])
        with seeded(source):
            for candidate in (index, *self._others(source)):
                mapped = self.mapper(self.records[candidate])
                if mapped is not None:
                    return mapped
        raise DataError(
            f"none of {_MOST_TRIES} images of the training set is left by the mapper, the first of them "
            f"{self.records[index].get('file_name')}: look at the data set, or at INPUT.DATASET_MAPPER_NAME"
        )

    def _others(self, source: np.random.SeedSequence) -> Iterator[int]:
        generator = np.random.default_rng(source)
        for _ in range(_MOST_TRIES):
            yield int(generator.integers(len(self.records)))


@contextmanager
def seeded(source: np.random.SeedSequence) -> Iterator[None]:
    """Python's, numpy's and torch's CPU generators begin anew from `source`, and are as before afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    for_python, for_numpy, for_torch = source.generate_state(3).tolist()
    random.seed(for_python)
    np.random.seed(for_numpy)
    torch.random.default_generator.manual_seed(for_torch)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
