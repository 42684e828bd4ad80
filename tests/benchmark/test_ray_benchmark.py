"""tools/benchmark.py ray: what is compared, and when the answers count as equal."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import assert_one_line

from thingstuff.benchmark import ray_engine
from thingstuff.store import PredictedImage, StoreMeta, StoreWriter
from thingstuff.structures import Categories, Category

CATEGORIES = Categories((Category(1, "a"),))
META = StoreMeta("c", "w", CATEGORIES)


@pytest.fixture
def data(tmp_path):
    """Plain stores of two shares with two images each."""
    shares = tuple(tmp_path / "whole" / f"{number}" for number in range(2))
    for number in range(2):
        write_lines(tmp_path / f"plain{number}", ["a.jpg", "b.jpg"])
    return ray_engine._Data(tmp_path, tmp_path / "w.pth", tmp_path / "whole", shares)


def write_lines(output, keys):
    with StoreWriter.open(output / "predictions/images", META) as writer:
        for key in keys:
            writer.append(PredictedImage(key, 2, 2))


def write_bulk(folder, keys, **changes):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: thingstuff[ray]")
    from thingstuff.store.parquet_row import to_row
    from thingstuff.store.parquet_writer import ParquetRun, write_shard

    store = folder / "ray/predictions/images"
    with ParquetRun(store, replace(META, layout="parquet")):
        write_shard(store, "x", [to_row(PredictedImage(key, 2, 2, **changes)) for key in keys])


def test_stores_agree_if_every_image_is_there_once_and_the_same(data):
    write_bulk(data.folder, ["0/a.jpg", "0/b.jpg", "1/a.jpg", "1/b.jpg"])
    assert ray_engine._agree(data)


@pytest.mark.parametrize(
    "keys", [["0/a.jpg", "0/b.jpg", "1/a.jpg"], ["0/a.jpg", "0/b.jpg", "1/a.jpg", "1/b.jpg", "2/c"]]
)
def test_an_image_too_few_or_too_many_is_no_agreement(data, keys):
    write_bulk(data.folder, keys)
    assert not ray_engine._agree(data)


def test_another_ledger_is_no_agreement(data):
    write_bulk(data.folder, ["0/a.jpg", "0/b.jpg", "1/a.jpg", "1/b.jpg"], ledger=({"kind": "x"},))
    assert not ray_engine._agree(data)


def test_the_overhead_is_that_of_the_medians(monkeypatch, run_tool):
    cost = {"images": 5, "workers": 2, "seconds": 10.0, "loading_s": 4.0, "reading_s": 0.1, "predicting_s": 15.0}
    cost |= {"writing_s": 0.2, "bytes_read": 5000, "bytes_written": 2500}
    turns = [{"plain": 10.0, "ray": 11.0, "equal": True, "cost": cost}]
    turns += [{"plain": 20.0, "ray": 24.0, "equal": True, "cost": cost}]
    monkeypatch.setattr(ray_engine, "_measured", lambda args, data: [*turns, turns[0]])
    monkeypatch.setattr(ray_engine._Data, "write", lambda folder, args: None)
    monkeypatch.setattr(ray_engine.importlib.util, "find_spec", lambda name: name)
    code, out, error = run_tool("benchmark", "ray", "--images", "5", "--repeats", "3")
    assert code == 0, error
    rows = [line.split() for line in out.splitlines() if line.startswith(("plain", "ray"))]
    assert rows == [
        ["plain", "1", "5", "10.00", "0.50", "0.00", "yes"],
        ["ray", "1", "5", "11.00", "0.45", "10.00", "yes"],
    ]
    costs = out[out.index("load s") :].splitlines()[2].split()
    assert costs == ["5", "2", "2.00", "20.00", "3000.00", "40.00", "1.00", "0.50", "75.00"]


def test_odd_numbers_and_a_missing_package_are_refused(run_tool, monkeypatch):
    code, _, error = run_tool("benchmark", "ray", "--workers", "0")
    assert code == 2
    assert_one_line(error, "--workers must be 1 or more, got 0")
    monkeypatch.setattr(ray_engine.importlib.util, "find_spec", lambda name: None)
    code, _, error = run_tool("benchmark", "ray")
    assert code == 2
    assert_one_line(error, "pip install 'thingstuff[ray]'")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: thingstuff[ray]")
def test_both_engines_agree_on_a_few_photographs(run_tool, tmp_path):
    small = ("INPUT.MIN_SIZE_TEST", "64", "MODEL.RPN.POST_NMS_TOPK_TEST", "20")
    words = (
        "ray",
        "--images",
        "4",
        "--workers",
        "2",
        "--repeats",
        "1",
        "--json",
        tmp_path / "rows.json",
        "--opts",
        *small,
    )
    code, out, error = run_tool("benchmark", *words)
    assert code == 0, error + out
    assert Path(tmp_path / "rows.json").exists()
