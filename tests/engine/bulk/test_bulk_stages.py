"""The stages of a shard, called as Ray Data calls them but without it: what comes out is the plain engine's."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest

from thingstuff.data.bulk.find import Listing, find_bulk_inputs
from thingstuff.data.bulk.items import BulkItem
from thingstuff.engine.bulk.cluster import ClusterOptions, Crew, _local_crew, _refuse_silent
from thingstuff.engine.bulk.pipeline import _user_error
from thingstuff.engine.bulk.shard import Tries, cut_into_shards
from thingstuff.engine.bulk.spent import Spent
from thingstuff.engine.bulk.stages import Place, PredictShard, ReadShard, WholeShard, WriteShard
from thingstuff.engine.bulk.worker_model import WorkerModel
from thingstuff.errors import ConfigError, SetupError, WeightsError
from thingstuff.report.bulk_run import missing_items, refuse_changed
from thingstuff.store import Store, StoreMeta
from thingstuff.store.layout import parquet_path
from thingstuff.store.parquet_writer import ParquetRun

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: thingstuff[ray]")


ITEMS = [BulkItem(f"{number}.png", f"/photos/{number}.png") for number in range(10)]


@pytest.fixture
def photos(small_shapes, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in (1, 2):
        shutil.copy(small_shapes / "val" / f"{number:06d}.png", folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def cfg(tiny_cfg, sharp_weights):
    weights = ("MODEL.WEIGHTS", str(sharp_weights["mask"]), "PANOPTIC.STUFF_WEIGHTS", str(sharp_weights["semantic"]))
    return tiny_cfg("shapes/things_and_stuff.yaml", *weights)


@pytest.fixture
def place(tmp_path):
    """A store that has been begun."""
    from thingstuff.engine.predictor import Predictor  # noqa: F401  mends Detectron2 first

    folder = tmp_path / "store"
    (folder / "tries").mkdir(parents=True)
    return Place(folder, Tries(folder / "tries"))


def begin(place, categories):
    meta = StoreMeta("c", "w", categories, layout="parquet")
    with ParquetRun(place.folder, meta):
        return meta


def table_of(shard):
    return pa.table(
        {"shard": [shard.name], "items": [pickle.dumps(list(shard.items))], "failure": pa.array([None], pa.string())}
    )


def run(shard, place, model, categories):
    """As processes of their own do it, one after the other."""
    table = ReadShard(place, None)(table_of(shard))
    table = PredictShard(model, place, 1)(table)
    (row,) = WriteShard(place, categories)(table).to_pylist()
    return row


def run_in_one(shard, place, model, categories):
    """As a worker does it that has no helpers."""
    worker = WholeShard(ReadShard(place, None), WriteShard(place, categories), model, place, 1)
    (row,) = worker(table_of(shard)).to_pylist()
    return row


@pytest.mark.parametrize("run", [run, run_in_one])
def test_a_shard_holds_what_the_plain_engine_predicts(run, photos, cfg, place, tmp_path):
    from thingstuff.data.inputs import find_inputs
    from thingstuff.engine.predictor import Predictor, predicted_categories
    from thingstuff.report.prediction_run import Job, Wanted, run_prediction

    categories = predicted_categories(cfg)
    assert categories == Predictor(cfg).categories
    begin(place, categories)
    inputs, _ = find_bulk_inputs([str(photos)], Listing())
    (shard,) = cut_into_shards(inputs.items, 5)
    row = run(shard, place, WorkerModel.of_config(cfg, threads=1), categories)
    assert row | {"shard": shard.name, "failure": None, "predicted": 2, "quarantined": 1} == row
    spent = Spent.of_row(row)
    assert spent.bytes_read == sum((photos / name).stat().st_size for name in ("1.png", "2.png"))
    assert spent.bytes_written == parquet_path(place.folder, shard.name).stat().st_size
    assert min(spent.reading_s, spent.loading_s, spent.predicting_s, spent.writing_s) > 0
    assert not list(place.tries.folder.iterdir())

    job = Job(cfg, find_inputs([photos]), tmp_path / "plain", Wanted(overlays=False), on_bad_image="skip")
    assert list(run_prediction(job).skipped) == ["3.png"]
    ours, plain = Store.open(place.folder), Store.open(tmp_path / "plain/predictions/images")
    assert ours.keys() == plain.keys() == ("1.png", "2.png")
    assert "3.png is no image in a format that can be read" in ours.quarantined["3.png"]
    for key in plain.keys():  # noqa: SIM118  a store gives its images
        _assert_equal(ours[key], plain[key])
        assert ours.coco_records(key, 1) == plain.coco_records(key, 1)


def _assert_equal(ours, plain):
    assert (ours.key, ours.height, ours.width, ours.ledger) == (plain.key, plain.height, plain.width, plain.ledger)
    assert ours.source == plain.source
    for name in ("boxes_xyxy", "scores", "category_ids"):
        assert getattr(ours.detections, name).tobytes() == getattr(plain.detections, name).tobytes()
    assert len(plain.detections) > 0
    assert np.array_equal(ours.detections.masks.to_bitmaps(), plain.detections.masks.to_bitmaps())
    assert np.array_equal(ours.stuff_map, plain.stuff_map)
    assert np.array_equal(ours.panoptic.ids, plain.panoptic.ids)
    assert ours.panoptic.segments == plain.panoptic.segments


def test_what_a_user_can_mend_travels_to_the_driver(photos, cfg, place, tmp_path):
    inputs, _ = find_bulk_inputs([str(photos)], Listing())
    (shard,) = cut_into_shards(inputs.items, 5)
    row = run(shard, place, WorkerModel.of_config(cfg, threads=1), None)
    assert "does not see" in row["failure"], "the store was not begun"

    from thingstuff.engine.predictor import predicted_categories

    begin(place, predicted_categories(cfg))
    small = WorkerModel.of_config(cfg, threads=1, most_gib=0.01)
    error = _user_error(run(shard, place, small, predicted_categories(cfg))["failure"])
    assert isinstance(error, SetupError)
    assert "the model does not fit the worker: with it the process takes" in str(error)
    assert "--worker-memory allows 0.01" in str(error)

    cfg.MODEL.WEIGHTS = str(tmp_path / "none.pth")
    failure = run(shard, place, WorkerModel.of_config(cfg, threads=1), predicted_categories(cfg))["failure"]
    assert isinstance(_user_error(failure), WeightsError)
    assert not list(place.folder.glob("*.parquet"))


def test_a_model_for_which_memory_runs_out_does_not_fit(cfg, monkeypatch):
    import thingstuff.engine.tiling as tiling

    def build(_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(tiling, "build_predictor", build)
    with pytest.raises(SetupError, match="the model does not fit the worker .*not enough memory"):
        WorkerModel.of_config(cfg, threads=1).build()


def test_a_shard_that_kills_its_workers_is_given_up(tmp_path):
    tries = Tries(tmp_path)
    assert [tries.begin("reading", "s") for _ in range(5)] == [None] * 5
    assert tries.begin("reading", "s") == "5 workers died while they were reading the same images"
    assert tries.begin("predicting", "s") is None
    assert tries.begin("reading", "t") is None
    tries.end("s")
    assert tries.begin("reading", "s") is None


def test_after_whole_shards_the_rest_is_cut_as_before():
    shards = cut_into_shards(ITEMS, 3)
    assert [len(shard.items) for shard in shards] == [3, 3, 3, 1]
    rest = [item for shard in (shards[1], shards[3]) for item in shard.items]
    assert cut_into_shards(rest, 3) == [shards[1], shards[3]]


def test_what_is_missing_is_what_the_store_has_nothing_of(photos, place):
    from thingstuff.data.bulk.items import BulkInputs
    from thingstuff.store import PredictedImage
    from thingstuff.store.parquet_row import quarantine_row, to_row
    from thingstuff.store.parquet_writer import write_shard
    from thingstuff.structures import Categories, Category

    inputs, _ = find_bulk_inputs([str(photos)], Listing())
    begin(place, Categories((Category(1, "a"),)))
    source = {"bytes": 1, "mtime_ns": 0, "sha256": "0"}
    rows = [to_row(PredictedImage("1.png", 2, 2, source=source)), quarantine_row("2.png", "why")]
    write_shard(place.folder, "x", rows)
    store = Store.open(place.folder)
    assert [item.key for item in missing_items(inputs, store)] == ["3.png"]
    assert [item.key for item in missing_items(inputs, store, retry_quarantined=True)] == ["2.png", "3.png"]
    with pytest.raises(ValueError, match=r"1.png has changed since it was predicted"):
        refuse_changed(inputs, store)
    remote = BulkInputs("m://", (BulkItem("1.png", "m://1.png", bytes=2),))
    with pytest.raises(ValueError, match=r"m://1.png has changed"):
        refuse_changed(remote, store)
    refuse_changed(BulkInputs("m://", (BulkItem("1.png", "m://1.png", bytes=1),)), store)


def test_what_shards_cost_is_added_up():
    total = Spent(1.5, 2.0, 30.25, 4.0, 5_000_000, 600_000) + Spent(reading_s=0.5, bytes_read=1_000_000)
    assert total == Spent(2.0, 2.0, 30.25, 4.0, 6_000_000, 600_000)
    assert total.line() == (
        "the workers spent 2.0 s reading, 2.0 s loading, 30.2 s predicting, 4.0 s writing; they read 6.0 MB and wrote "
        "0.6 MB"
    )


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert _local_crew(ClusterOptions(), None) == Crew(4, 2, 4, False, None)
    assert _local_crew(ClusterOptions(workers=8), None).threads == 2
    assert Crew(4, 2, 4, False, None).for_shards(3) == Crew(3, 2, 4, False, None)
    with pytest.raises(ConfigError, match="--workers 17 on 16 cores"):
        _local_crew(ClusterOptions(workers=17), None)
    assert _local_crew(ClusterOptions(workers=15), None).helpers == 7
    assert _local_crew(ClusterOptions(workers=16), None) == Crew(16, 0, 1, False, None)
    assert Crew(16, 0, 1, False, None).for_shards(3) == Crew(3, 0, 1, False, None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert _local_crew(ClusterOptions(workers=2), None).threads == 1
    assert _local_crew(ClusterOptions(), 2) == Crew(2, 16, 1, True, None)
    with pytest.raises(ConfigError, match="--workers 3 on 2 GPUs"):
        _local_crew(ClusterOptions(workers=3), 2)


@pytest.mark.parametrize("address", ["10.0.0.1", "ray://10.0.0.1:10001", "host:port", ":6379"])
def test_addresses_that_are_none_are_refused(address):
    with pytest.raises(ConfigError, match="expected HOST:PORT of the cluster's head, or auto"):
        _refuse_silent(address)


def test_an_address_that_does_not_answer_is_refused_at_once():
    import socket

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(
        SetupError, match=rf"--address 127.0.0.1:{port} does not answer \(.*refused.*\): start its head"
    ):
        _refuse_silent(f"127.0.0.1:{port}")


def test_the_stages_that_read_load_no_network():
    import subprocess
    import sys

    code = "import sys, thingstuff.engine.bulk.stages; print(sorted({'torch', 'detectron2', 'ray'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
