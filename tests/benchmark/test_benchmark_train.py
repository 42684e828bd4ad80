"""tools/benchmark.py train: its rows from known steps, its data, and one small run as a user meets it."""

import json

import pytest

from thingstuff.benchmark import train
from thingstuff.benchmark.train_data import INSTANCES_AN_IMAGE, TRUTH, write_images
from thingstuff.benchmark.train_process import Timed, TrainProcess
from thingstuff.errors import SetupError

SMALL = ("--size", "64", "--batch", "1", "--repeats", "1", "--config-file", "thingstuff://shapes/mask_rcnn.yaml")


def timed(wall_s, loss=2.0, data_s=0.1, peak_mib=10.0):
    return Timed(wall_s, wall_s / 2, data_s, loss, peak_mib)


def test_a_row_holds_medians_and_ratios_without_the_first_step():
    ours = [timed(90.0, loss=2.04), timed(1.0), timed(3.0, peak_mib=20.0), timed(2.0)]
    stock = [timed(90.0), timed(8.0), timed(4.0), timed(6.0)]
    row = train._our_row("ours, mixed bf16", train._Turns(ours, stock), batch=4)
    assert (row.images_per_s, row.ratio, row.cpu_ratio, row.peak_mib) == (4 / 2.0, 6.0 / 2.0, 3.0 / 1.0, 20.0)
    assert row.loader_percent == pytest.approx(100 * 3 * 0.1 / (1 + 3 + 2))
    assert row.equal  # 2 % in mixed precision
    assert not train._our_row("ours, fp32, channels_last", train._Turns(ours, stock), batch=4).equal


def test_images_have_the_load_of_coco(tmp_path):
    write_images(tmp_path, seed=0)
    truth = json.loads((tmp_path / TRUTH).read_text())
    assert all((tmp_path / image["file_name"]).is_file() for image in truth["images"])
    mean = len(truth["annotations"]) / len(truth["images"])
    # a Poisson number of instances in each of n images: the mean strays by sqrt(7.3 / n), here within 3 of these
    assert abs(mean - INSTANCES_AN_IMAGE) < 3 * (INSTANCES_AN_IMAGE / len(truth["images"])) ** 0.5


def test_a_training_that_fails_says_why(tmp_path):
    (tmp_path / "bad.yaml").write_text("SEED: nine\n")
    with TrainProcess("ours", tmp_path / "bad.yaml", tmp_path, 1) as process, pytest.raises(SetupError, match="SEED"):
        process.step()


@pytest.mark.parametrize("option", ["--size", "--batch", "--steps", "--threads"])
def test_numbers_below_one_are_refused(run_tool, option):
    code, _, errors = run_tool("benchmark", "train", option, "0")
    assert code == 2
    assert f"{option} must be 1 or more, got 0" in errors
