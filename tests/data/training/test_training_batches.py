"""Batches and samples of a training: a function of the seed, whenever and by whomever they are made."""

import itertools
import os
import random
import signal

import numpy as np
import pytest
import torch
from detectron2.data.common import AspectRatioGroupedDataset
from detectron2.data.samplers import TrainingSampler

from thingstuff.config import get_cfg
from thingstuff.data.training.batches import TrainingBatches
from thingstuff.data.training.loader import LoaderOptions, TrainingLoader, build_indices
from thingstuff.data.training.seeded import SeededDataset
from thingstuff.errors import ConfigError, DataError, SetupError

RECORDS = [
    {"file_name": str(n), "width": 4 + n % 3, "height": 5, "annotations": [{"category_id": n % 2}]} for n in range(10)
]


def take(iterable, count):
    return list(itertools.islice(iterable, count))


def draws(record):
    return {"name": record["file_name"], "numbers": (random.random(), np.random.rand(), torch.rand(1).item())}


def skips_even(record):
    return None if int(record["file_name"]) % 2 == 0 else draws(record)


def kills_its_worker(record):
    os.kill(os.getpid(), signal.SIGKILL)


def loader(mapper=draws, start=0, seed=7, workers=0):
    sampler = TrainingSampler(len(RECORDS), seed=seed)
    made = TrainingLoader(RECORDS, sampler, mapper, LoaderOptions(2, seed, workers))
    made.start_at(start)
    return made


class TestBatches:
    def test_they_are_those_of_detectron2(self):
        """Its grouping of the same stream, which sees images only after they were loaded."""
        stream = TrainingSampler(len(RECORDS), seed=3)
        theirs = AspectRatioGroupedDataset((RECORDS[index] for index in stream), 2)
        ours = TrainingBatches(stream, 2, [record["width"] <= record["height"] for record in RECORDS])
        expected = [[record["file_name"] for record in batch] for batch in take(theirs, 40)]
        assert [[str(index) for _, index in batch] for batch in take(ours, 40)] == expected

    def test_they_go_on_anywhere(self):
        ours = TrainingBatches(TrainingSampler(10, seed=3), 3, [n % 3 == 0 for n in range(10)])
        whole = take(ours, 30)
        ours.start = 17
        assert take(ours, 13) == whole[17:]

    def test_without_orientation_they_are_the_stream(self):
        found = take(TrainingBatches(range(6), 2), 3)
        assert found == [[(0, 0), (1, 1)], [(2, 2), (3, 3)], [(4, 4), (5, 5)]]


class TestLoader:
    def test_samples_do_not_depend_on_the_workers(self):
        alone = take(loader(), 12)
        assert take(loader(workers=2), 12) == alone
        assert take(loader(start=5), 7) == alone[5:]
        assert take(loader(start=5, workers=1), 7) == alone[5:]

    def test_every_sample_has_its_own_numbers(self):
        numbers = [sample["numbers"] for batch in take(loader(), 20) for sample in batch]
        assert len(set(numbers)) == 40
        assert take(loader(seed=8), 12) != take(loader(), 12)

    def test_the_training_s_own_generators_do_not_notice(self):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        expected = draws(RECORDS[0])
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        take(loader(), 3)
        take(loader(workers=1), 3)
        assert draws(RECORDS[0]) == expected

    def test_skipped_records_are_replaced_the_same_way(self):
        found = take(loader(skips_even), 12)
        assert all(int(sample["name"]) % 2 for batch in found for sample in batch)
        assert take(loader(skips_even, workers=2), 12) == found

    def test_two_processes_share_no_sample(self):
        """What Detectron2's sampler gives to each of two ranks."""
        parts = []
        for rank in (0, 1):
            sampler = TrainingSampler(10, seed=3)
            sampler._rank, sampler._world_size = rank, 2
            parts.append([index for batch in take(TrainingBatches(sampler, 1), 5) for _, index in batch])
        assert sorted(parts[0] + parts[1]) == list(range(10))

    def test_ranks_augment_differently(self):
        assert SeededDataset(RECORDS, draws, 0, 0)[0, 1] != SeededDataset(RECORDS, draws, 0, 1)[0, 1]


class TestSamplers:
    @pytest.mark.parametrize("name", ["TrainingSampler", "RepeatFactorTrainingSampler", "RandomSubsetTrainingSampler"])
    def test_all_of_detectron2_s_repeat_with_their_seed(self, name):
        cfg = get_cfg()
        cfg.DATALOADER.SAMPLER_TRAIN, cfg.DATALOADER.REPEAT_THRESHOLD = name, 0.9
        cfg.DATALOADER.RANDOM_SUBSET_RATIO = 0.5
        one, again, other = (take(build_indices(cfg, RECORDS, seed), 30) for seed in (1, 1, 2))
        assert one == again != other
        assert len(set(one)) == (5 if name.startswith("RandomSubset") else 10)

    def test_an_unknown_one_is_named(self):
        cfg = get_cfg()
        cfg.DATALOADER.SAMPLER_TRAIN = "Sampler"
        with pytest.raises(ConfigError, match="SAMPLER_TRAIN is Sampler, expected one of TrainingSampler"):
            build_indices(cfg, RECORDS, 0)

    def test_no_images_are_said(self):
        with pytest.raises(ConfigError, match="no training images left"):
            build_indices(get_cfg(), [], 0)


class TestFailures:
    def test_a_mapper_that_skips_everything_is_said(self):
        with pytest.raises(DataError, match="none of 1000 images of the training set is left by the mapper"):
            take(loader(lambda record: None), 1)

    def test_a_killed_worker_is_one_line(self):
        with pytest.raises(SetupError, match=r"a process that loads images was killed .*lower DATALOADER.NUM_WORKERS"):
            take(loader(kills_its_worker, workers=1), 1)
