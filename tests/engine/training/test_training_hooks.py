"""Hooks of a training, on a trainer that does nothing but count."""

import math

import pytest
import torch
from detectron2.engine.train_loop import TrainerBase
from detectron2.utils.events import EventStorage

from thingstuff.engine.training.bad_losses import BadLosses
from thingstuff.engine.training.hooks.best import BestWeights
from thingstuff.engine.training.hooks.checkpoints import Checkpoints
from thingstuff.engine.training.hooks.evaluation import Evaluation
from thingstuff.engine.training.hooks.interruption import Interruption
from thingstuff.engine.training.rng import capture_rng, restore_rng
from thingstuff.engine.training.update import Outcome
from thingstuff.errors import ConfigError, DataError


class Counting(TrainerBase):
    """The loop of our trainer, with a step that draws a random number; `saved` are the names it was told to save."""

    def __init__(self, max_iter, hooks):
        super().__init__()
        self.start_iter, self.max_iter, self.saved, self.draws, self.evaluated = 0, max_iter, [], [], {}
        self.register_hooks(hooks)

    def save(self, name):
        self.saved.append((name, self.iter))

    def run_step(self):
        self.draws.append(torch.rand(1).item())

    def train(self):
        self.iter = self.start_iter
        with EventStorage(self.start_iter) as self.storage:
            try:
                self.before_train()
                while self.iter < self.max_iter:
                    self.before_step(), self.run_step(), self.after_step()
                    self.iter += 1
            finally:
                self.after_train()


class Values:
    """Gives the next of some numbers at each evaluation, and draws random ones as an evaluation might."""

    def __init__(self, *values, name="segm"):
        self.values, self.asked, self.name = list(values), 0, name

    def __call__(self):
        torch.rand(3)
        self.asked += 1
        return {self.name: {"AP": self.values[self.asked - 1]}}


def train(max_iter, *hooks, start=0):
    trainer = Counting(max_iter, hooks)
    trainer.start_iter = start
    trainer.train()
    return trainer


class TestEvaluation:
    def test_every_so_many_steps_and_once_at_the_end(self):
        values = Values(*range(9))
        trainer = train(9, Evaluation(4, values))
        assert values.asked == 3
        assert trainer.storage.latest()["segm/AP"] == (2, 9)
        assert [v for v, _ in trainer.storage.history("segm/AP").values()] == [0, 1, 2]

    def test_the_last_step_is_not_evaluated_twice(self):
        values = Values(*range(9))
        train(8, Evaluation(4, values))
        assert values.asked == 2

    def test_it_leaves_the_random_numbers_alone(self):
        torch.manual_seed(3)
        expected = train(6).draws
        torch.manual_seed(3)
        assert train(6, Evaluation(2, Values(*range(9)))).draws == expected

    def test_one_that_was_missed_is_made_up_for(self):
        values = Values(*range(9))
        train(8, Evaluation(4, values), start=4)
        assert values.asked == 2

    def test_never_and_not_at_the_end(self):
        values = Values()
        train(8, Evaluation(0, values, at_end=False))
        assert values.asked == 0


class TestBest:
    def run(self, values, patience=0, steps=20, metric="segm/AP", state=None, start=0):
        saved = []
        best = BestWeights(metric, lambda name: saved.append(name), patience)
        if state:
            best.load_state_dict(state)
        trainer = train(steps, Evaluation(2, values), best, start=start)
        return trainer, best, saved

    def test_each_better_one_is_saved(self):
        trainer, best, saved = self.run(Values(1, 3, 2, math.nan, 5, name="segm"), steps=10)
        assert len(saved) == 3
        assert best.state_dict() == {"best": 5, "best_steps": 10, "seen_at": 10, "worse": 0}
        assert trainer.iter == 10

    def test_of_a_loss_less_is_better(self):
        values = Values(3, 1, 2)
        _, best, saved = self.run(
            lambda: {"validation_loss": values()["segm"]["AP"]}, steps=6, metric="validation_loss"
        )
        assert len(saved) == 2
        assert best.state_dict()["best_steps"] == 4

    def test_without_a_better_one_it_ends(self):
        trainer, best, _ = self.run(Values(5, 4, 6, 1, 2, 3, 4), patience=2)
        assert trainer.iter == 10  # 6 at step 6, worse at 8 and 10
        assert best.state_dict()["best_steps"] == 6

    def test_a_resumed_one_goes_on_counting(self):
        """Gone on with after step 8, whose evaluation came after the checkpoint."""
        state = {"best": 6, "best_steps": 6, "seen_at": 6, "worse": 0}
        trainer, best, _ = self.run(Values(1, 2, 3), patience=2, state=state, start=8)
        assert trainer.iter == 10
        assert best.state_dict()["worse"] == 2

    def test_one_that_had_ended_stays_ended(self):
        state = {"best": 6, "best_steps": 6, "seen_at": 10, "worse": 2}
        trainer, _, _ = self.run(Values(1, 1), patience=2, state=state, start=10)
        assert trainer.draws == []

    def test_an_unknown_metric_is_named_at_the_first_evaluation(self):
        values = Values(1, 2, 3)
        with pytest.raises(
            ConfigError, match=r"TEST.BEST_METRIC is segm/APX, which no evaluation gives: did you mean segm/AP\?"
        ):
            self.run(values, steps=6, metric="segm/APX")
        assert values.asked == 1

    def test_at_the_end_it_is_a_warning(self, caplog):
        with caplog.at_level("WARNING", logger="thingstuff"):
            trainer, _, saved = self.run(Values(1), steps=1, metric="segm/APX")
        assert trainer.iter == 1
        assert saved == []


class TestCheckpoints:
    def test_every_so_many_steps_and_the_final_one(self, tmp_path):
        trainer = train(5, Checkpoints(tmp_path, 2))
        assert trainer.saved == [("model_0000001", 1), ("model_0000003", 3), ("model_final", 5)]

    def test_none_is_final_after_an_error(self, tmp_path):
        class Failing(Counting):
            def run_step(self):
                raise ZeroDivisionError

        trainer = Failing(5, [Checkpoints(tmp_path, 2)])
        with pytest.raises(ZeroDivisionError):
            trainer.train()
        assert trainer.saved == []


def test_a_signal_ends_the_training_behind_its_step(caplog):
    import os
    import signal

    class Interrupted(Counting):
        def run_step(self):
            if self.iter == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    trainer = Interrupted(9, [Interruption()])
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert trainer.saved == [("model_0000003", 3)]
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_error_before_the_training_begins_stays_the_error():
    class FailsFirst(Evaluation):
        def before_train(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(3, FailsFirst(0, Values()), Interruption())


class TestRandomNumbers:
    def test_they_go_on_where_they_were(self):
        import random

        import numpy as np

        def draw():
            return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(1).item()

        draw()
        state = capture_rng()
        expected = draw(), draw()
        restore_rng(state)
        assert (draw(), draw()) == expected

    def test_their_state_is_plain(self, tmp_path):
        torch.save(capture_rng(), tmp_path / "state.pth")
        restore_rng(torch.load(tmp_path / "state.pth", weights_only=True))


class TestBadLosses:
    BAD = Outcome({"loss_cls": math.nan, "loss_mask": 1.0}, 1.0, is_bad=True)
    BATCH = ({"file_name": "street.jpg", "image": torch.zeros(3, 2, 2), "height": 2},)

    def test_the_batch_is_kept_and_the_step_skipped(self, tmp_path, caplog):
        BadLosses("skip", 2, tmp_path).judge(self.BAD, [list(self.BATCH)], 7)
        kept = torch.load(tmp_path / "bad_batch_0000007.pth", weights_only=True)
        assert kept["samples"][0]["file_name"] == "street.jpg"
        assert math.isnan(kept["losses"]["loss_cls"])

    def test_too_many_in_a_row_end_it(self, tmp_path):
        losses = BadLosses("skip", 2, tmp_path)
        for step in (0, 1):
            losses.judge(self.BAD, [], step)
        losses.judge(Outcome({"loss_cls": 1.0}, 1.0, is_bad=False), [], 2)
        for step in (3, 4):
            losses.judge(self.BAD, [], step)
        with pytest.raises(
            DataError, match=r"step 6: loss_cls is nan; the batch is in .*3 times in a row.*SOLVER.BASE_LR"
        ):
            losses.judge(self.BAD, [], 5)

    def test_stop_ends_it_at_once(self, tmp_path):
        with pytest.raises(DataError, match="step 1: the gradient's norm is inf"):
            BadLosses("stop", 2, tmp_path).judge(Outcome({"loss": 1.0}, math.inf, is_bad=True), [], 0)
