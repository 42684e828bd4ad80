"""`tools/predict.py --engine ray`: what is refused before any worker is started."""

import importlib.util
import sys

import pytest
from helpers import assert_one_line

MASK = "thingstuff://shapes/mask_rcnn.yaml"
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: thingstuff[ray]")


@pytest.fixture
def predict(run_tool, small_shapes, tmp_path):
    def run(*options):
        fixed = ("--config-file", MASK, "--input", small_shapes / "val", "--output", tmp_path / "out")
        return run_tool("predict", *fixed, *options)

    return run


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--engine", "ray", "--view", "box"), ("makes no pictures", "--view")),
        (("--engine", "ray", "--side-by-side"), ("makes no pictures", "--side-by-side")),
        (("--engine", "ray", "--cutouts"), ("makes no pictures", "--cutouts")),
        (("--engine", "ray", "--on-bad-image", "fail"), ("quarantines what it cannot read",)),
        (("--engine", "ray", "--workers", "0"), ("--workers must be 1 or more, got 0",)),
        (("--engine", "ray", "--shard-size", "-1"), ("--shard-size must be 1 or more, got -1",)),
        (("--engine", "ray", "--worker-memory", "0"), ("--worker-memory must be above 0, got 0",)),
        (("--workers", "2"), ("--workers is for --engine ray",)),
        (("--address", "auto"), ("--address is for --engine ray",)),
        (("--retry-quarantined",), ("--retry-quarantined is for --engine ray",)),
    ],
)
def test_options_that_contradict_each_other_are_refused(predict, tmp_path, options, parts):
    code, _, error = predict(*options)
    assert code == 2
    assert_one_line(error, *parts)
    assert not (tmp_path / "out").exists()


def test_without_ray_the_extra_is_named(predict, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    code, _, error = predict("--engine", "ray")
    assert code == 2
    assert_one_line(error, "--engine ray needs Ray", "pip install 'thingstuff[ray]'")


@needs_ray
def test_an_address_that_does_not_answer_is_one_line(predict, sharp_weights):
    import socket

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    code, _, error = predict("--engine", "ray", "--weights", sharp_weights["mask"], "--address", address)
    assert code == 2
    assert_one_line(error, f"--address {address} does not answer", "ray start --head")


@needs_ray
def test_a_model_larger_than_any_machine_is_one_line(predict, sharp_weights):
    code, _, error = predict("--engine", "ray", "--weights", sharp_weights["mask"], "--worker-memory", "1e6")
    assert code == 2
    assert_one_line(error, "--worker-memory 1e+06: the model does not fit any worker")
