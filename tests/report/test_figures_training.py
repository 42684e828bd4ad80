"""Figures of how trainings went: reading metrics.json, smoothing, and what is drawn of one run and of several."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from thingstuff.errors import ConfigError, DataError
from thingstuff.report.figures import TrainingRun, training_figure
from thingstuff.report.figures.style import COLORS
from thingstuff.report.figures.training_curves import Series

NAN = math.nan
pytestmark = pytest.mark.filterwarnings("error")  # matplotlib warns of what it cannot lay out, draw or spell


def assert_drawable(figure):
    """Layout and rendering, which is where matplotlib finds most faults."""
    figure.canvas.draw()


def write_metrics(folder, records, tail=""):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text("".join(json.dumps(r) + "\n" for r in records) + tail)
    return folder


def steps(*losses, start=0, **more):
    return [{"iteration": start + 20 * i, "total_loss": v, "lr": 0.1, **more} for i, v in enumerate(losses)]


class TestTrainingRun:
    def test_reads_losses_and_rate_and_leaves_out_scores(self, tmp_path):
        records = [*steps(3.0, 2.0, loss_mask=1.5, loss_cls=0.5, time=0.1), {"iteration": 40, "bbox/AP": 30.0}]
        run = TrainingRun.read(write_metrics(tmp_path / "first", records))
        assert run.name == "first"
        assert list(run.losses) == ["total_loss", "loss_cls", "loss_mask"]
        assert run.losses["total_loss"].iterations.tolist() == [0, 20]
        assert run.losses["total_loss"].values.tolist() == [3, 2]
        assert run.rate.values.tolist() == [0.1, 0.1]

    def test_a_file_and_a_name_may_be_given(self, tmp_path):
        folder = write_metrics(tmp_path / "first", steps(3.0))
        assert TrainingRun.read(folder / "metrics.json").name == "first"
        assert TrainingRun.read(folder, "baseline").name == "baseline"

    def test_what_a_resumed_run_did_again_replaces_what_came_before(self, tmp_path):
        records = [*steps(5.0, 4.0, 3.0, 2.0), *steps(3.5, 2.5, start=30)]
        run = TrainingRun.read(write_metrics(tmp_path, records))
        assert run.losses["total_loss"].iterations.tolist() == [0, 20, 30, 50]
        assert run.losses["total_loss"].values.tolist() == [5, 4, 3.5, 2.5]

    def test_a_last_line_that_is_cut_off_is_left_out(self, tmp_path):
        run = TrainingRun.read(write_metrics(tmp_path, steps(3.0), tail='{"iteration": 20, "total_lo'))
        assert run.losses["total_loss"].values.tolist() == [3]

    def test_a_loss_that_is_no_number_any_more_stays_so(self, tmp_path):
        run = TrainingRun.read(write_metrics(tmp_path, steps(3.0, NAN, math.inf, None)))
        np.testing.assert_array_equal(run.losses["total_loss"].values, [3, NAN, math.inf, NAN])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{\n{}\n", "line 1 is not JSON"),
            ('{"results": {}}\n', "line 1 has no iteration"),
            ("[1]\n", "line 1 has no iteration"),
            ('{"iteration": 1, "total_loss": "x"}\n', "total_loss at iteration 1 is no number: 'x'"),
        ],
    )
    def test_another_file_is_refused_by_name(self, tmp_path, text, message):
        file = tmp_path / "metrics.json"
        file.write_text(text)
        with pytest.raises(DataError, match=message) as error:
            TrainingRun.read(file)
        assert str(file) in str(error.value)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(DataError, match=r"nowhere: no metrics\.json of a training"):
            TrainingRun.read(tmp_path / "nowhere")


class TestSmoothing:
    def test_each_is_the_mean_of_its_neighbourhood(self):
        values = np.array([1.0, 5.0, 3.0, 8.0, 2.0, 4.0])
        # a third of 6 is a reach of 1 to either side
        expected = [values[max(0, i - 1) : i + 2].mean() for i in range(6)]
        np.testing.assert_allclose(Series(np.arange(6.0), values).smoothed(1 / 3).values, expected)

    def test_a_line_stays_and_gaps_stay_gaps(self):
        values = np.array([1.0, NAN, 3.0, math.inf, 5.0, 7.0])
        smooth = Series(np.arange(6.0), values).smoothed(1 / 3).values
        np.testing.assert_allclose(smooth, [1, NAN, 3, NAN, 6, 6])

    @pytest.mark.parametrize("count", [0, 1, 2, 5])
    @pytest.mark.parametrize("share", [0, 0.05, 1])
    def test_short_runs_keep_their_length(self, count, share):
        assert Series(np.arange(float(count)), np.ones(count)).smoothed(share).values.tolist() == [1] * count


class TestTrainingFigure:
    def test_one_run_has_all_losses_in_one_panel_and_its_rate_in_another(self, tmp_path):
        run = TrainingRun.read(write_metrics(tmp_path / "first", steps(30.0, 20.0, 1.0, loss_mask=0.5)))
        figure = training_figure([run])
        losses, rate = figure.axes
        assert [line.get_label() for line in losses.lines] == ["total_loss", "loss_mask"]
        assert losses.lines[0].get_ydata().tolist() == [30, 20, 1]
        assert rate.lines[0].get_xydata().tolist() == [[0, 0.1], [20, 0.1], [40, 0.1]]
        assert (losses.get_ylabel(), rate.get_ylabel(), rate.get_xlabel()) == ("loss", "learning rate", "iteration")
        assert (losses.get_yscale(), rate.get_yscale()) == ("log", "linear")
        assert losses.get_title() == "first"
        assert_drawable(figure)

    def test_several_runs_have_a_panel_a_loss_and_a_colour_a_run(self, tmp_path):
        runs = [
            TrainingRun.read(write_metrics(tmp_path / "a", steps(3.0, 2.0, loss_mask=0.5))),
            TrainingRun.read(write_metrics(tmp_path / "b", steps(4.0, 1.0, loss_seg=0.5))),
        ]
        figure = training_figure(runs)
        panels = {axes.get_ylabel(): axes for axes in figure.axes if axes.axison}
        assert list(panels) == ["total_loss", "loss_mask", "loss_seg", "learning rate"]
        assert [line.get_color() for line in panels["total_loss"].lines] == list(COLORS[:2])
        assert [line.get_color() for line in panels["loss_seg"].lines] == [COLORS[1]]
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
        assert_drawable(figure)

    def test_two_runs_of_one_name_are_two_curves(self, tmp_path):
        run = TrainingRun.read(write_metrics(tmp_path, steps(3.0, 2.0)), "output")
        assert len(training_figure([run, run]).legends[0].get_texts()) == 2

    def test_values_are_faint_beneath_their_means(self, tmp_path):
        run = TrainingRun.read(write_metrics(tmp_path, steps(*[1.0, 3.0] * 20)))
        values, means = training_figure([run], smooth=0.1).axes[0].lines
        assert values.get_alpha() < 1
        assert values.get_ydata().tolist() == [1, 3] * 20
        assert means.get_label() == "total_loss"
        assert np.ptp(means.get_ydata()[2:-2]) < 1  # of five values: 9 / 5 or 11 / 5

    @pytest.mark.parametrize("losses", [(), (1.0,), (0.0, -1.0), (NAN, NAN), (2.0, math.inf), (2.0, 2.0), (1e-9, 1e9)])
    def test_any_losses(self, tmp_path, losses):
        run = TrainingRun.read(write_metrics(tmp_path / "_run", steps(*losses)))
        assert_drawable(training_figure([run]))
        assert_drawable(training_figure([run, run]))

    def test_no_run_and_forty_losses(self, tmp_path):
        assert_drawable(training_figure([]))
        many = {f"loss_{i}": 1.0 + i for i in range(40)}
        run = TrainingRun.read(write_metrics(tmp_path, steps(3.0, 2.0, **many)))
        assert_drawable(training_figure([run]))

    def test_smoothing_is_a_share(self):
        with pytest.raises(ConfigError, match="from 0 to 1, got 20"):
            training_figure([], smooth=20)
