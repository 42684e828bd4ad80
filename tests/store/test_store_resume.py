"""A run that stops, however it stops, is continued: every image exactly once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from predicted_scenes import META, assert_same, full, write_store

from thingstuff.errors import DataError, SetupError
from thingstuff.store import PredictedImage, Store, StoreWriter
from thingstuff.structures import Categories, Category

KILLS = 20
KEYS = [f"folder {n % 3}/{n:03d}.jpg" for n in range(60)]


def plain(key):
    return PredictedImage(key, 24, 32)


def test_a_stopped_run_is_continued_behind_its_last_line(tmp_path):
    images = [full(key, seed) for seed, key in enumerate(KEYS[:7])]
    write_store(tmp_path, images[:3], lines_per_shard=2)
    with StoreWriter.open(tmp_path, META, lines_per_shard=2) as writer:
        assert writer.done == set(KEYS[:3])
        assert len(writer) == 3
        for image in images:
            if image.key not in writer:
                writer.append(image)
        assert writer.done == set(KEYS[:7])
    store = Store.open(tmp_path)
    assert store.keys() == tuple(KEYS[:7])
    for read, written in zip(store, images, strict=True):
        assert_same(read, written)
    lines = [path.read_bytes().count(b"\n") for path in sorted(tmp_path.glob("*.jsonl"))]
    assert lines == [2, 2, 2, 1]


def test_a_torn_last_line_is_left_out_and_cut_off_at_every_length(tmp_path):
    write_store(tmp_path, [plain("a"), plain("b")])
    shard = tmp_path / "predictions-00000.jsonl"
    whole = shard.read_bytes()
    first, second = whole.splitlines(keepends=True)
    for length in range(len(second)):
        shard.write_bytes(first + second[:length])
        assert Store.open(tmp_path).keys() == ("a",)
        write_store(tmp_path, [plain("b")])
        assert shard.read_bytes() == whole


@pytest.mark.parametrize("tail", [b"\0" * 40, b"\0" * 40 + b"\n", b'{"key":\n'])
def test_what_a_power_cut_leaves_at_the_end_is_cut_off(tmp_path, tail):
    write_store(tmp_path, [plain("a")])
    shard = tmp_path / "predictions-00000.jsonl"
    whole = shard.read_bytes()
    shard.write_bytes(whole + tail)
    assert Store.open(tmp_path).keys() == ("a",)
    write_store(tmp_path, [])
    assert shard.read_bytes() == whole


def test_a_reader_sees_what_is_complete_while_a_writer_appends(tmp_path):
    with StoreWriter.open(tmp_path, META, lines_per_shard=2) as writer:
        assert Store.open(tmp_path).keys() == ()
        early = None
        for seed, key in enumerate(KEYS[:5]):
            writer.append(full(key, seed))
            assert Store.open(tmp_path).keys() == tuple(KEYS[: seed + 1])
            early = early or Store.open(tmp_path)
        with (tmp_path / "predictions-00002.jsonl").open("ab") as file:
            file.write(b'{"key": "half')
        assert len(Store.open(tmp_path)) == 5
        assert early.keys() == (KEYS[0],)
        assert_same(early[KEYS[0]], full(KEYS[0], 0))


def test_a_key_twice_and_a_closed_writer_are_refused(tmp_path):
    write_store(tmp_path, [plain("a")])
    with StoreWriter.open(tmp_path, META) as writer:
        with pytest.raises(DataError, match="already has predictions of 'a'"):
            writer.append(plain("a"))
        writer.append(plain("b"))
        with pytest.raises(DataError, match="already has predictions of 'b'"):
            writer.append(plain("b"))
    writer.close()
    with pytest.raises(ValueError, match="this writer is closed"):
        writer.append(plain("c"))
    assert Store.open(tmp_path).keys() == ("a", "b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config_hash": "config2"}, r"another config \(config1, now config2\): give another output folder, or rem"),
        ({"weights_hash": "weights2"}, r"other weights \(weights1, now weights2\)"),
        ({"image_root": "/elsewhere"}, r"another image root \(None, now /elsewhere\)"),
        (
            {"categories": Categories((Category(7, "cat & <dog>"), Category(301, 'sky "blue"', isthing=False)))},
            r"other categories \(\(300, .*now \(301, ",
        ),
        ({"categories": Categories(META.categories.all[:3])}, r"other categories \(4, now 3\)"),
        ({"categories": Categories(META.categories.all[::-1])}, "other categories"),
    ],
)
def test_another_config_or_model_or_data_set_is_refused(tmp_path, changes, message):
    write_store(tmp_path, [plain("a")])
    before = (tmp_path / "meta.json").read_bytes()
    with pytest.raises(DataError, match=f"^{tmp_path}: .*{message}") as refusal:
        StoreWriter.open(tmp_path, replace(META, **changes))
    assert "\n" not in str(refusal.value)
    assert (tmp_path / "meta.json").read_bytes() == before
    write_store(tmp_path, [plain("b")])


def test_other_versions_and_colours_may_continue(tmp_path):
    write_store(tmp_path, [plain("a")])
    recolored = Categories(tuple(replace(c, color=(9, 9, c.id % 256)) for c in META.categories.all))
    write_store(tmp_path, [plain("b")], replace(META, versions={"numpy": "3"}, categories=recolored))
    assert Store.open(tmp_path).meta == META


def test_predictions_without_meta_are_refused(tmp_path):
    write_store(tmp_path, [plain("a")])
    (tmp_path / "meta.json").unlink()
    with pytest.raises(DataError, match=r"has predictions but no meta\.json"):
        StoreWriter.open(tmp_path, META)


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path):
    with StoreWriter.open(tmp_path, META) as writer:
        with pytest.raises(SetupError, match=rf"another run \(process {os.getpid()}\) is writing predictions here"):
            StoreWriter.open(tmp_path, META)
        code = (
            "import sys; from predicted_scenes import META; from thingstuff.store import StoreWriter\n"
            "from thingstuff.errors import SetupError\n"
            "try: StoreWriter.open(sys.argv[1], META)\n"
            "except SetupError as error: print(error)"
        )
        assert f"process {os.getpid()}" in run_python(code, tmp_path)
        writer.append(plain("a"))
    write_store(tmp_path, [plain("b")])
    assert Store.open(tmp_path).keys() == ("a", "b")


def test_a_file_in_the_way_is_named(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("mine")
    for folder in (in_the_way, in_the_way / "below"):
        with pytest.raises(DataError, match=rf"^{folder}: a file is in the way"):
            StoreWriter.open(folder, META)


def test_half_written_maps_of_a_killed_run_are_removed(tmp_path):
    write_store(tmp_path, [full("a/b.jpg", 0)])
    half, foreign = tmp_path / "stuff/a/.c.jpg.png.4711.tmp", tmp_path / "stuff/a/.c.jpg.png.4712.tmp"
    for path in (half, foreign):
        path.write_bytes(b"half")
    (tmp_path / "writer.lock").write_text("4711")
    write_store(tmp_path, [])
    assert not half.exists()
    assert foreign.exists()
    assert (tmp_path / "writer.lock").read_text() == ""


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    real_write = os.write
    with StoreWriter.open(tmp_path, META) as writer:
        writer.append(plain("a"))

        def short_then_full(file, data):
            monkeypatch.setattr(os, "write", full_disk)
            return real_write(file, data[:10])

        def full_disk(file, data):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", short_then_full)
        with pytest.raises(OSError, match="No space left"):
            writer.append(plain("b"))
        monkeypatch.setattr(os, "write", real_write)
        assert "b" not in writer
        writer.append(plain("b"))
    assert Store.open(tmp_path).keys() == ("a", "b")


def test_short_writes_are_completed(tmp_path, monkeypatch):
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real_write(file, data[:7]))
    write_store(tmp_path, [image := full("a", 0)])
    assert_same(Store.open(tmp_path)["a"], image)


def test_a_worker_of_a_killed_run_does_not_keep_the_lock(tmp_path):
    code = (
        "import os, sys, time; from predicted_scenes import META; from thingstuff.store import StoreWriter\n"
        "writer = StoreWriter.open(sys.argv[1], META)\n"
        "if os.fork() == 0: print(os.getpid(), flush=True)\n"
        "time.sleep(60)"
    )
    with start_python(code, tmp_path) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        try:
            write_store(tmp_path, [plain("a")])
        finally:
            os.kill(worker, signal.SIGKILL)


def test_a_run_killed_again_and_again_ends_like_an_undisturbed_one(tmp_path):
    """SIGKILL at random moments of appending; what is there after each kill is whole, and nothing is lost."""
    images = [full(key, seed) for seed, key in enumerate(KEYS)]
    calm = write_store(tmp_path / "calm", images, lines_per_shard=7)
    killed = tmp_path / "killed"
    rng, kept = random.Random(0), ()
    for _ in range(KILLS):
        _append_and_die(killed, rng.randint(0, 3), rng.uniform(0, 0.004))
        keys = Store.open(killed).keys()
        assert keys[: len(kept)] == kept == tuple(KEYS[: len(kept)])
        for read in (Store.open(killed)[key] for key in keys[len(kept) :]):
            assert_same(read, images[KEYS.index(read.key)])
        kept = keys
    write_store(killed, [image for image in images if image.key not in kept], lines_per_shard=7)
    assert _files(killed) == _files(calm)


def _append_and_die(folder, appended, seconds):
    """Killed so long after so many images. Forked, since a fresh Python would spend its time on importing."""
    reader, writer_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with StoreWriter.open(folder, META, lines_per_shard=7) as writer:
                os.write(writer_end, b"x")
                for seed, key in enumerate(KEYS):
                    if key not in writer:
                        writer.append(full(key, seed))
                        os.write(writer_end, b"x")
        finally:
            os._exit(0)
    os.close(writer_end)
    assert os.read(reader, 1) == b"x", "the store could not be opened"
    for _ in range(appended):
        os.read(reader, 1)
    os.close(reader)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_python(code, folder):
    with start_python(code, folder) as process:
        return process.communicate(timeout=60)[0]


def start_python(code, folder):
    search = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"PYTHONPATH": search}
    return subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, text=True, env=environment)
