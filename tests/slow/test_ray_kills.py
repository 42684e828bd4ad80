"""Bulk prediction with Ray: killed workers, a killed driver, bad images, a cluster by its address."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from many_photos import write_photos

from thingstuff.store import Store

ray = pytest.importorskip("ray", reason="Ray is not installed: thingstuff[ray]")
pytestmark = pytest.mark.slow

IMAGES = 60
SHARD = 4
PREDICTORS = "PredictShard", "WholeShard"  # with helpers, and where there is a worker for every core
TOKEN = secrets.token_hex(32)  # of the clusters that are started here
WAIT_S = 600


@pytest.fixture(scope="module")
def photos(small_shapes, tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), small_shapes, IMAGES, folders=3)


@pytest.fixture(scope="module")
def command(sharp_weights):
    """A function: input, output, options -> the command, for small images and workers of one thread."""

    def build(images, output, *options, engine="ray", workers=2):
        of_ray = ("--workers", workers, "--shard-size", SHARD) if engine == "ray" else ("--no-overlays",)
        words = [
            sys.executable,
            ROOT / "tools/predict.py",
            "--config-file",
            "thingstuff://shapes/things_and_stuff.yaml",
        ]
        words += ["--weights", sharp_weights["mask"], "--input", images, "--output", output, "--engine", engine]
        words += [*of_ray, *options, "--opts", "MODEL.DEVICE", "cpu"]
        words += ["PANOPTIC.STUFF_WEIGHTS", sharp_weights["semantic"], "INPUT.MIN_SIZE_TEST", "96"]
        return [str(word) for word in words]

    return build


@pytest.fixture(scope="module")
def plain(command, photos, tmp_path_factory):
    output = tmp_path_factory.mktemp("plain")
    finished(command(photos, output, engine="plain"))
    return store_of(output)


def variables():
    """One thread each; Ray's workers do not give way to other tests, and its token is not put into the home folder."""
    of_ray = {"RAY_worker_niceness": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    return os.environ | {"OMP_NUM_THREADS": "1"} | of_ray


def start(words):
    return subprocess.Popen(words, env=variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(words, code=0):
    """Standard output and error of a command that ends with this code."""
    process = start(words)
    out, error = process.communicate(timeout=WAIT_S)
    assert process.returncode == code, error
    return out, error


def store_of(output):
    return Store.open(output / "predictions/images")


def shards_of(output):
    return sorted((output / "predictions/images").glob("predictions-*.parquet"))


def descendants(process_id):
    """Process ids and titles of all that a process has started, and they."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, frontier = {}, {process_id}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier}
        found |= {child: title_of(child) for child in frontier}
    return found


def title_of(process_id):
    """What a process calls itself; nothing once it has ended."""
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def predictors_of(driver):
    return sorted(
        child for child, title in descendants(driver.pid).items() if any(name in title for name in PREDICTORS)
    )


def wait_for(what, driver):
    began = time.monotonic()
    while not (found := what()):
        assert driver.poll() is None, driver.communicate()[1]
        assert time.monotonic() - began < WAIT_S
        time.sleep(0.02)
    return found


def assert_equal_stores(ours, plain):
    assert sorted(ours.keys()) == sorted(plain.keys())
    for entry in plain.entries:
        one, other = ours.read(entry.key), plain.read(entry.key)
        assert ours.coco_records(entry.key, 1) == plain.coco_records(entry.key, 1)
        assert (one.height, one.width, one.ledger, one.source) == (
            other.height,
            other.width,
            other.ledger,
            other.source,
        )
        assert np.array_equal(one.stuff_map, other.stuff_map)
        assert np.array_equal(one.panoptic.ids, other.panoptic.ids)
        assert one.panoptic.segments == other.panoptic.segments


@pytest.mark.parametrize("workers", [1, 2])
def test_two_killed_workers_and_a_killed_driver_lose_nothing(command, photos, plain, tmp_path, workers):
    words = command(photos, tmp_path, workers=workers)
    driver = start(words)
    for shards in (2, 5):
        wait_for(lambda shards=shards: len(shards_of(tmp_path)) >= shards, driver)
        os.kill(wait_for(lambda: predictors_of(driver), driver)[0], signal.SIGKILL)
    wait_for(lambda: len(shards_of(tmp_path)) >= 8, driver)
    others = descendants(driver.pid)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    deadline = time.monotonic() + 60
    while any(title_of(pid).startswith(("ray::Map", "ray::IDLE")) for pid in others):
        assert time.monotonic() < deadline, "workers outlive the driver"
        time.sleep(0.1)
    before = {path: path.stat().st_mtime_ns for path in shards_of(tmp_path)}
    assert 8 <= len(before) < IMAGES // SHARD

    out, _ = finished(words)
    done = SHARD * len(before)
    assert f"{IMAGES - done} predicted, {done} already there" in out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(shards_of(tmp_path)) == -(-IMAGES // SHARD)
    assert_equal_stores(store_of(tmp_path), plain)
    assert not [path for path in (tmp_path / "predictions/images").iterdir() if path.name.startswith(".")]


def test_bad_images_among_good_ones_are_quarantined_and_tried_again_when_asked(command, photos, plain, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(photos, images)
    bad = {"0/003.png": b"", "1/022.png": b"no image", "2/059.png": (photos / "2/059.png").read_bytes()[:200]}
    for key, data in bad.items():
        (images / key).write_bytes(data)
    output = tmp_path / "out"
    words = command(images, output, "--export", "coco_panoptic", "--counts")
    out, _ = finished(words)
    assert f"{IMAGES - 3} predicted, 3 skipped" in out
    store = store_of(output)
    assert set(store.quarantined) == set(bad)
    assert "is empty (0 bytes)" in store.quarantined["0/003.png"]
    lines = (output / "quarantine.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["image", *sorted(bad)]
    assert (output / "exports/coco_panoptic/panoptic.json").exists()
    assert (output / "counts.csv").exists()

    shutil.copy(photos / "0/003.png", images / "0/003.png")
    out, _ = finished(words)
    assert f"0 predicted, {IMAGES - 3} already there, 3 skipped" in out
    out, _ = finished(command(images, output, "--retry-quarantined"))
    assert f"1 predicted, {IMAGES - 3} already there, 2 skipped" in out
    assert store_of(output).read("0/003.png").ledger == plain.read("0/003.png").ledger

    (images / "0/000.png").write_bytes((photos / "1/001.png").read_bytes() + b" ")
    _, error = finished(words, code=2)
    assert "0/000.png has changed since it was predicted" in error


def test_a_model_that_does_not_fit_a_worker_is_one_line(command, photos, tmp_path):
    _, error = finished(command(photos, tmp_path, "--worker-memory", "0.1"), code=2)
    assert "error: the model does not fit the worker: with it the process takes" in error
    assert "Traceback" not in error
    assert not shards_of(tmp_path)


@pytest.fixture
def cluster(tmp_path):
    """The address of a head with three CPUs, started for one test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus", "3"]
    words += ["--port", str(port), "--include-dashboard", "false", "--temp-dir", f"/tmp/ray-test-{os.getpid()}"]
    words += ["--node-ip-address", "127.0.0.1", "--disable-usage-stats"]
    with (tmp_path / "head.log").open("w") as log:
        head = subprocess.Popen(words, env=variables(), stdout=log, stderr=log, start_new_session=True)
    try:
        while "Ray runtime started" not in (tmp_path / "head.log").read_text():
            assert head.poll() is None, (tmp_path / "head.log").read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait()
        shutil.rmtree(f"/tmp/ray-test-{os.getpid()}", ignore_errors=True)


def test_a_cluster_by_its_address_predicts_the_same_from_storage(command, cluster, photos, plain, tmp_path):
    out, error = finished(command(f"file://{photos}", tmp_path, "--address", cluster))
    assert f"{IMAGES} predicted" in out, error
    ours = store_of(tmp_path)
    assert ours.meta.image_root == f"file://{photos}"
    for key in plain.keys():  # noqa: SIM118  a store gives its images
        assert ours.coco_records(key, 1) == plain.coco_records(key, 1)
        assert ours.ledger(key) == plain.ledger(key)
    _, error = finished(command(photos, tmp_path / "more", "--address", cluster, "--workers", "3"), code=2)
    assert "--workers 3 do not fit the cluster, which has 3 CPUs, one of which reads and writes" in error
