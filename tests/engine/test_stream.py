"""A stream of images gives what each gives alone, in order, holds few at a time, and ends when it is told to."""

import threading
import time

import numpy as np
import pytest
import torch

import thingstuff
from thingstuff.data.images import read_image_bgr
from thingstuff.engine.stream import Outcome, Readied, Workers, batches, in_order
from thingstuff.errors import ConfigError, DataError

MASK = "thingstuff://shapes/mask_rcnn.yaml"
PANOPTIC = "thingstuff://shapes/panoptic_fpn.yaml"


def readied(*sizes):
    return [
        Readied(number, model_input=None if size is None else {"image": torch.zeros(3, *size)})
        for number, size in enumerate(sizes)
    ]


class TestBatches:
    @pytest.mark.parametrize(
        ("sizes", "most", "expected"),
        [
            ([], 2, []),
            ([(2, 3)] * 5, 2, [[0, 1], [2, 3], [4]]),
            ([(2, 3), (2, 3), (3, 2), (2, 3)], 4, [[0, 1], [2], [3]]),
            ([None, (2, 3), None, (2, 3), (4, 4), None], 4, [[0, 1, 2, 3], [4, 5]]),
            ([None, None], 1, [[0], [1]]),
        ],
    )
    def test_runs_of_one_size(self, sizes, most, expected):
        assert [[one.item for one in group] for group in batches(readied(*sizes), most)] == expected


class TestInOrder:
    @pytest.fixture(params=[1, 4])
    def _cores(self, request, monkeypatch):
        monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(request.param)), raising=False)

    @pytest.mark.usefixtures("_cores")
    def test_answers_come_in_order_and_few_are_taken_ahead(self):
        taken = []

        def items():
            for number in range(40):
                taken.append(number)
                yield number

        def work(number):
            time.sleep(0.002 * (number % 3))
            return number * number

        with Workers.here("cuda") as workers:
            for number, answer in enumerate(in_order(workers.reading, work, items(), 5)):
                assert answer == number * number
                assert len(taken) <= number + 7

    @pytest.mark.usefixtures("_cores")
    def test_an_error_comes_at_its_place(self):
        def work(number):
            return 1 / (number - 3)

        with Workers.here("cpu") as workers:
            answers = in_order(workers.reading, work, range(9), 2)
            assert [next(answers) for _ in range(3)] == [-1 / 3, -1 / 2, -1]
            with pytest.raises(ZeroDivisionError):
                next(answers)

    def test_what_was_not_begun_is_left_when_the_block_ends(self, monkeypatch):
        monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1}, raising=False)
        begun, may_end = [], threading.Event()

        def work(number):
            begun.append(number)
            may_end.wait(5)

        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt), Workers.here("cpu") as workers:
            for number in range(50):
                workers.reading.submit(work, number)
            raise KeyboardInterrupt
        assert time.monotonic() - start < 1
        may_end.set()
        time.sleep(0.1)
        assert begun == [0]


@pytest.fixture(scope="module")
def files(small_shapes):
    return sorted((small_shapes / "val").glob("*.png"))


def read(path):
    return read_image_bgr(path), path


def same(found, expected):
    return (
        np.array_equal(found.detections.boxes_xyxy, expected.detections.boxes_xyxy)
        and np.array_equal(found.detections.scores, expected.detections.scores)
        and found.detections.masks.to_rles() == expected.detections.masks.to_rles()
        and (expected.panoptic is None or np.array_equal(found.panoptic.ids, expected.panoptic.ids))
    )


@pytest.mark.parametrize(("recipe", "weights"), [(MASK, "mask"), (PANOPTIC, "panoptic")])
@pytest.mark.parametrize("cores", [1, 2])
def test_exact_is_the_same_as_one_by_one(sharp_weights, files, recipe, weights, cores, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(cores)), raising=False)
    predictor = thingstuff.load(recipe, sharp_weights[weights], device="cpu").predictor
    outcomes = list(predictor.stream(files, read, batch=4))
    assert [o.item for o in outcomes] == files
    for outcome, path in zip(outcomes, files, strict=True):
        image, found = outcome.get()
        assert np.array_equal(image, read_image_bgr(path))
        assert len(found.detections)
        assert same(found, predictor(image, path))


def test_a_batch_changes_an_answer_by_rounding_at_most(sharp_weights, files):
    predictor = thingstuff.load(MASK, sharp_weights["mask"], device="cpu", mode="fp32").predictor
    together = [o.get()[1].detections for o in predictor.stream(files, read, batch=4)]
    for found, path in zip(together, files, strict=True):
        alone = predictor(*read(path)).detections
        assert len(found) == len(alone)
        assert np.abs(found.boxes_xyxy - alone.boxes_xyxy).max(initial=0) < 1e-3


def test_images_that_go_together_are_as_many_as_asked(sharp_weights, files, monkeypatch):
    predictor = thingstuff.load(MASK, sharp_weights["mask"], device="cpu", mode="fp32").predictor
    seen, start = [], predictor._reader.__class__.start

    def counted(reader, model, inputs):
        seen.append(len(inputs))
        return start(reader, model, inputs)

    monkeypatch.setattr(predictor._reader.__class__, "start", counted)
    assert len(list(predictor.stream(files, read, batch=4))) == 6
    assert seen == [4, 2]


def test_a_bad_image_is_its_own_outcome(sharp_weights, files, tmp_path):
    predictor = thingstuff.load(MASK, sharp_weights["mask"], device="cpu", mode="fp32").predictor
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    outcomes = list(predictor.stream([files[0], broken, files[1]], read, batch=3))
    assert [o.error is None for o in outcomes] == [True, False, True]
    with pytest.raises(DataError, match=r"broken\.png"):
        outcomes[1].get()


def test_the_fault_of_one_is_not_that_of_its_batch(sharp_weights, files, monkeypatch):
    predictor = thingstuff.load(MASK, sharp_weights["mask"], device="cpu", mode="fp32").predictor
    start = predictor._reader.__class__.start

    def refuses_the_second(reader, model, inputs):
        if any(one["file_name"] == str(files[1]) for one in inputs):
            raise DataError("no label map")
        return start(reader, model, inputs)

    monkeypatch.setattr(predictor._reader.__class__, "start", refuses_the_second)
    outcomes = list(predictor.stream(files[:4], read, batch=4))
    assert [(o.item, o.error is None) for o in outcomes] == [(f, f != files[1]) for f in files[:4]]


def test_a_batch_of_none_is_refused(sharp_weights):
    predictor = thingstuff.load(MASK, sharp_weights["mask"], device="cpu").predictor
    with pytest.raises(ConfigError, match="1 or more"):
        next(predictor.stream([], read, batch=0))


def test_an_outcome_with_an_error_raises_it():
    with pytest.raises(DataError, match="torn"):
        Outcome("a", error=DataError("torn")).get()
