"""A prediction run that is killed again and again ends with every image exactly once, as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from helpers import ROOT
from many_photos import write_photos

pytestmark = pytest.mark.slow

IMAGES = 500
KILLS = 3


@pytest.fixture(scope="module")
def photos(small_shapes, tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), small_shapes, IMAGES)


@pytest.fixture(scope="module")
def start(photos, sharp_weights):
    def run(output):
        command = [
            sys.executable,
            ROOT / "tools/predict.py",
            "--config-file",
            "thingstuff://shapes/things_and_stuff.yaml",
        ]
        command += ["--weights", sharp_weights["mask"], "--input", photos, "--output", output, "--view", "panoptic"]
        command += ["--opts", "MODEL.DEVICE", "cpu", "PANOPTIC.STUFF_WEIGHTS", sharp_weights["semantic"]]
        command += ["INPUT.MIN_SIZE_TEST", "96"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [str(c) for c in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    return run


def lines_of(output):
    folder = output / "predictions/images"
    return [line for shard in sorted(folder.glob("*.jsonl")) for line in shard.read_bytes().splitlines()]


def count_lines(output):
    return sum(path.read_bytes().count(b"\n") for path in (output / "predictions/images").glob("*.jsonl"))


def files_below(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.png"))}


def kill_between(process, output, first, last):
    """Kill when the store holds `first` lines, or up to 0.2 s later."""
    while count_lines(output) < first:
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.01)
    time.sleep(random.Random(first).uniform(0, 0.2))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert first <= count_lines(output) < last


def test_killed_in_the_middle_of_500_images(start, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    reference = start(undisturbed)
    _, error = reference.communicate()
    assert reference.returncode == 0, error.decode()

    for number in range(1, KILLS + 1):
        kill_between(start(killed), killed, number * IMAGES // (KILLS + 1), IMAGES)
    last = start(killed)
    out, error = last.communicate()
    assert last.returncode == 0, error.decode()
    assert "already there" in out.decode()

    keys = [json.loads(line)["key"] for line in lines_of(killed)]
    assert len(keys) == IMAGES == len(set(keys))
    assert lines_of(killed) == lines_of(undisturbed)
    assert files_below(killed) == files_below(undisturbed)
