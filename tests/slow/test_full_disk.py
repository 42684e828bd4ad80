"""A checkpoint onto a disk without room: one clear line, no rest of it, and what was saved before is as it was."""

import subprocess
import sys

import pytest
import torch
from helpers import assert_one_line
from torch import nn

from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.engine.weights.checksum import verify

pytestmark = pytest.mark.slow

DISK_BYTES = 8 << 20
WEIGHTS = 250_000  # a checkpoint is 1 MB
TOO_MANY = 4_000_000

# arguments: folder, name of the checkpoint, how many numbers more it holds, the limit of a file in bytes or 0
CHILD = """
import argparse, resource, sys
import thingstuff.config
import torch
from torch import nn
from thingstuff.cli.common import run_command
from thingstuff.engine.weights.checkpoint import Checkpointer

folder, name, more, limit = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def save(args):
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    model = nn.Linear({weights}, 1, bias=False)
    nn.init.constant_(model.weight, 2)
    Checkpointer(model, folder).save(name, more=torch.zeros(more), iteration=199)
    return 0

sys.exit(run_command(argparse.ArgumentParser("save"), save, []))
""".replace("{weights}", str(WEIGHTS))


def network(value):
    layer = nn.Linear(WEIGHTS, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def save_in_child(folder, name, more=TOO_MANY, limit=0):
    command = [sys.executable, "-c", CHILD, str(folder), name, str(more), str(limit)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_sound(folder, value):
    checkpointer = Checkpointer(network(0), str(folder))
    verify(folder / "model_0000099.pth")
    rest = checkpointer.resume_or_load("", resume=True)
    assert rest["iteration"] == 99
    assert checkpointer.source == str(folder / "model_0000099.pth")
    assert torch.equal(checkpointer.model.weight, network(value).weight)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MB, which only root may mount and not everywhere."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["model_0000199", "model_0000099"])
def test_a_full_disk(small_disk, name):
    Checkpointer(network(1), str(small_disk)).save("model_0000099", iteration=99)
    before = contents(small_disk)
    answer = save_in_child(small_disk, name)
    assert answer.returncode == 2
    assert_one_line(answer.stderr, f"cannot write checkpoint {small_disk / name}.pth: the disk is full")
    assert contents(small_disk) == before
    assert_sound(small_disk, 1)
    assert save_in_child(small_disk, "model_0000199", more=1).returncode == 0, "there is room again"


@pytest.mark.parametrize("name", ["model_0000199", "model_0000099"])
@pytest.mark.parametrize("limit", [1, 100_000, 1_000_000, 8_000_000, 16_000_000])
def test_files_that_may_not_grow(tmp_path, name, limit):
    """Without root: writing fails at the limit with EFBIG, be it in the header, in a tensor or at the end."""
    Checkpointer(network(1), str(tmp_path)).save("model_0000099", iteration=99)
    before = contents(tmp_path)
    answer = save_in_child(tmp_path, name, limit=limit)
    assert answer.returncode == 2
    assert_one_line(answer.stderr, f"cannot write checkpoint {tmp_path / name}.pth: the disk is full")
    assert contents(tmp_path) == before
    assert_sound(tmp_path, 1)


def test_room_for_the_weights_but_not_for_the_last_small_file(small_disk):
    Checkpointer(network(1), str(small_disk)).save("model_0000099", iteration=99)
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        free = DISK_BYTES - sum(len(content) for content in contents(small_disk).values())
        file.write(bytes(free - (free % 4096) - (1 << 20) - 4096 * 4))
    answers = []
    while True:  # fill the disk page by page until one of the small files finds no room
        answers.append(save_in_child(small_disk, "model_0000199", more=1))
        if answers[-1].returncode:
            break
        for path in small_disk.glob("model_0000199*"):
            path.unlink()
        (small_disk / "last_checkpoint").write_text("model_0000099.pth")
        with filler.open("ab") as file:
            file.write(bytes(4096))
    assert answers[-1].returncode == 2
    assert_one_line(answers[-1].stderr, "cannot write", "the disk is full")
    assert not list(small_disk.glob(".*"))
    assert_sound(small_disk, 1)
