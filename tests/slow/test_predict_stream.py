"""A thousand images in one stream: memory stays flat, and Ctrl-C ends it with everything written so far readable."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import ROOT

from thingstuff.store import Store

pytestmark = pytest.mark.slow

IMAGES, FEWER = 1000, 200


def write_photos(folder, small_shapes, count):
    """Scenes of several sizes, so that neither batches nor buffers are always the same."""
    rng = np.random.default_rng(0)
    scenes = [cv2.imread(str(path)) for path in sorted((small_shapes / "val").glob("*.png"))]
    folder.mkdir()
    for number in range(count):
        height, width = rng.integers(90, 160, 2)
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), scenes[number % len(scenes)][:height, :width])
    return folder


def start(photos, weights, output):
    command = [sys.executable, ROOT / "tools/predict.py", "--config-file", "thingstuff://shapes/panoptic_fpn.yaml"]
    command += ["--weights", weights, "--input", photos, "--output", output, "--no-overlays", "--device", "cpu"]
    command += ["--mode", "fp32", "--batch", "4", "--opts", "INPUT.MIN_SIZE_TEST", "64"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [str(c) for c in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # where the tests run in the background, a shell has told them to ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def count_lines(output):
    return sum(path.read_bytes().count(b"\n") for path in (output / "predictions/images").glob("*.jsonl"))


def resident_mib(process):
    """0 when it has ended."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0)


def test_memory_is_flat(small_shapes, sharp_weights, tmp_path):
    photos = write_photos(tmp_path / "photos", small_shapes, IMAGES)
    process, after = start(photos, sharp_weights["panoptic"], tmp_path / "out"), {}
    while process.poll() is None:
        done = count_lines(tmp_path / "out")
        if done:
            after[done] = resident_mib(process)
        time.sleep(0.05)
    assert process.returncode == 0, process.stderr.read().decode()
    assert len(Store.open(tmp_path / "out/predictions/images").entries) == IMAGES
    early = max(mib for done, mib in after.items() if 100 <= done <= 300)
    late = max(mib for done, mib in after.items() if done >= 800)  # and while the run sums up what it did
    assert late < early + 40, f"{early:.0f} MiB after 300 images, {late:.0f} after {IMAGES}"


def test_ctrl_c_ends_it_and_the_rest_follows(small_shapes, sharp_weights, tmp_path):
    photos = write_photos(tmp_path / "photos", small_shapes, FEWER)
    process = start(photos, sharp_weights["panoptic"], tmp_path / "out")
    while count_lines(tmp_path / "out") < 50:
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    start_of_end = time.monotonic()
    _, error = process.communicate(timeout=30)
    print(f"ended in {time.monotonic() - start_of_end:.2f} s")
    assert process.returncode == 130
    assert error.decode().strip().splitlines()[-1] == "predict: interrupted"
    assert "Traceback" not in error.decode()
    store = Store.open(tmp_path / "out/predictions/images")
    assert 50 <= len(store.entries) < FEWER
    assert all(store[entry.key].detections is not None for entry in store.entries)
    again = start(photos, sharp_weights["panoptic"], tmp_path / "out")
    out, error = again.communicate()
    assert again.returncode == 0, error.decode()
    assert f"{FEWER - len(store.entries)} predicted, {len(store.entries)} already there" in out.decode()
