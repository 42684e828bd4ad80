"""Checkpoints of a folder: their checksums, which of them stay, and from which one a training goes on."""

import hashlib
import logging
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import torch
from torch import nn

from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.engine.weights.checksum import verify
from thingstuff.engine.weights.file import read_weights_file
from thingstuff.engine.weights.kept import candidates, prune, remove_unfinished
from thingstuff.engine.weights.write import write_checkpoint, write_safetensors
from thingstuff.errors import ConfigError, SetupError, WeightsError


def net(value=0.0):
    layer = nn.Linear(3, 2)
    nn.init.constant_(layer.weight, value)
    return layer


class Counter:
    """The state of a training."""

    steps = 0

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


@pytest.fixture
def run(tmp_path):
    """Three periodic checkpoints, whose weights and state are their number of steps."""
    counter = Counter()
    for steps in (100, 200, 300):
        counter.steps = steps
        Checkpointer(net(steps), str(tmp_path), trainer=counter).save(f"model_{steps - 1:07d}", iteration=steps - 1)
    return tmp_path


@pytest.fixture
def warnings(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("thingstuff"), "propagate", True)
    caplog.set_level(logging.WARNING)
    return caplog


def resumed(folder, fallback=""):
    """The steps of weights and state that a resume finds, and what `resume_or_load` returns."""
    model, counter = net(-1), Counter()
    checkpointer = Checkpointer(model, str(folder), trainer=counter)
    rest = checkpointer.resume_or_load(fallback, resume=True)
    return model.weight.mean().item(), counter.steps, rest


def checkpoint(folder, steps):
    return folder / f"model_{steps - 1:07d}.pth"


# ---- checksums -----------------------------------------------------------------------------------------------------


def test_checksum_is_that_of_the_file_in_sha256sums_words(run):
    path = checkpoint(run, 100)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (run / f"{path.name}.sha256").read_text() == f"{digest}  {path.name}\n"
    verify(path)


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="sha256sum is absent")
def test_sha256sum_accepts_it(run):
    sums = sorted(p.name for p in run.glob("*.sha256"))
    answer = subprocess.run(["sha256sum", "-c", *sums], cwd=run, capture_output=True, text=True)
    assert answer.returncode == 0
    assert answer.stdout.count(": OK") == 3


def test_one_other_bit_is_found_on_every_way_to_load(run):
    path = checkpoint(run, 300)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"model_0000299\.pth is damaged: it differs from its checksum"):
        Checkpointer(net()).load(str(path))


def test_a_file_without_checksum_is_read_as_it_is(run):
    (run / "model_0000299.pth.sha256").unlink()
    assert resumed(run)[:2] == (300, 300)


def test_a_checksum_file_without_a_checksum_is_named(run):
    (run / "model_0000299.pth.sha256").write_text("")
    with pytest.raises(WeightsError, match=r"model_0000299\.pth\.sha256 holds no checksum: delete it"):
        verify(checkpoint(run, 300))


def test_saving_again_under_a_name_renews_its_checksum(run):
    Checkpointer(net(7), str(run)).save("model_0000299")
    verify(checkpoint(run, 300))


def test_an_end_between_file_and_checksum_leaves_no_wrong_checksum(run, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("thingstuff.engine.weights.write.write_checksum", stop)
    with pytest.raises(KeyboardInterrupt):
        Checkpointer(net(7), str(run)).save("model_0000299")
    assert resumed(run)[0] == 7


@pytest.mark.parametrize("room", [0, 10, 1000])
def test_a_failing_write_is_one_clear_error_and_changes_nothing(run, monkeypatch, room):
    """PyTorch's own writer would end in another error, or in the end of the process."""
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    real = pathlib.Path.open

    def small(path, mode="r", *args, **kwargs):
        file = real(path, mode, *args, **kwargs)
        if not path.name.endswith(".tmp"):
            return file
        write = file.write

        class Full:
            left = room

            def __getattr__(self, name):
                return getattr(file, name)

            def __enter__(self):
                return self

            def __exit__(self, *args):
                file.close()

            def write(self, data):
                if memoryview(data).nbytes > self.left:
                    raise OSError(28, "No space left on device")
                self.left -= memoryview(data).nbytes
                return write(data)

        return Full()

    monkeypatch.setattr(pathlib.Path, "open", small)
    with pytest.raises(SetupError, match=r"cannot write checkpoint .*model_0000299\.pth: the disk is full"):
        Checkpointer(net(7), str(run)).save("model_0000299")
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before


# ---- what stays ----------------------------------------------------------------------------------------------------


def lie(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"x")


def names_in(folder):
    return {p.name for p in folder.iterdir()}


def test_the_newest_stay_with_their_checksums(run):
    assert prune(run, 2, ()) == [checkpoint(run, 100)]
    assert names_in(run) == {
        "last_checkpoint",
        *(f"model_0000{n}.pth{end}" for n in (199, 299) for end in ("", ".sha256")),
    }


def test_nothing_else_is_ever_deleted(run):
    others = {
        *("model_final.pth", "model_best.pth", "model_best.pth.sha256", "model_00001.pth", "model_00000001.pth"),
        *("xmodel_0000001.pth", "model_0000001.pth.bak", "model_0000001.safetensors", "model_000000a.pth"),
        *("model_0000042.pth.sha256", "log.txt", "model_٠٠٠٠٠٠١.txt"),
    }
    lie(run, *others)
    (run / "model_0000005.pth").mkdir()
    prune(run, 1, ())
    assert others | {"model_0000005.pth", "model_0000299.pth", "last_checkpoint"} <= names_in(run)
    assert not {"model_0000099.pth", "model_0000199.pth"} & names_in(run)


@pytest.mark.parametrize("name", ["model_0000099.pth", "model_0000099"])
def test_protected_ones_stay(run, name):
    assert prune(run, 1, {name}) == [checkpoint(run, 200)]
    assert {"model_0000099.pth", "model_0000099.pth.sha256"} <= names_in(run)


def test_what_last_checkpoint_names_stays(run):
    (run / "last_checkpoint").write_text("model_0000099.pth")
    assert prune(run, 1, ()) == [checkpoint(run, 200)]


def test_zero_keeps_all_and_less_is_refused(run):
    assert prune(run, 0, ()) == []
    assert prune(run / "nowhere", 1, ()) == []
    with pytest.raises(ConfigError, match=r"SOLVER.CHECKPOINTS_KEPT is -1"):
        prune(run, -1, ())


# ---- from where to go on -------------------------------------------------------------------------------------------


def test_order_of_candidates(run):
    assert candidates(run) == [checkpoint(run, n) for n in (300, 200, 100)]
    (run / "last_checkpoint").write_text("model_0000199.pth")
    lie(run, "model_final.pth")
    assert candidates(run) == [checkpoint(run, n) for n in (200, 300, 100)]
    (run / "last_checkpoint").write_text("model_final.pth\n")
    assert candidates(run) == [run / "model_final.pth", *(checkpoint(run, n) for n in (300, 200, 100))]


def test_final_weights_count_alone_or_when_named(tmp_path):
    assert candidates(tmp_path) == candidates(tmp_path / "nowhere") == []
    lie(tmp_path, "model_final.pth")
    assert candidates(tmp_path) == [tmp_path / "model_final.pth"]
    lie(tmp_path, "model_0000009.pth")
    assert candidates(tmp_path) == [tmp_path / "model_0000009.pth"]


@pytest.mark.parametrize("content", [b"", b"\x00\x00\x00", b"\xff\xfe", b"\n"])
def test_a_damaged_last_checkpoint_is_as_none(run, content):
    (run / "last_checkpoint").write_bytes(content)
    assert resumed(run)[:2] == (300, 300)


def test_without_a_folder_nothing_is_resumed(run, monkeypatch):
    monkeypatch.chdir(run)
    assert not Checkpointer(net()).has_checkpoint()


def test_resume_takes_weights_state_and_what_else_was_saved(run):
    weights, steps, rest = resumed(run)
    assert (weights, steps, rest["iteration"]) == (300, 300, 299)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[-400] ^= 255
    path.write_bytes(content)


def in_the_way(path):
    path.unlink()
    path.mkdir()


DAMAGES = [cut, empty, flip, os.remove, in_the_way]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_passed_over_with_a_line(run, damage, warnings):
    damage(checkpoint(run, 300))
    assert resumed(run)[:2] == (200, 200)
    (line,) = [r.getMessage() for r in warnings.records]
    assert line.startswith("passed over: ")
    assert "model_0000299.pth" in line
    assert "\n" not in line


@pytest.mark.parametrize("damage", [cut, empty])
def test_damage_is_seen_without_checksums(run, damage, warnings):
    for path in run.glob("*.sha256"):
        path.unlink()
    damage(checkpoint(run, 300))
    damage(checkpoint(run, 200))
    assert resumed(run)[:2] == (100, 100)
    assert len(warnings.records) == 2


@pytest.mark.parametrize("damage", [cut, empty, flip, in_the_way])
def test_if_all_are_damaged_the_model_stays_as_it_was(run, damage):
    for steps in (100, 200, 300):
        damage(checkpoint(run, steps))
    model = net(5)
    with pytest.raises(WeightsError, match=r"no checkpoint in .* can be read \(model_0000299\.pth"):
        Checkpointer(model, str(run)).resume_or_load("", resume=True)
    assert model.weight.mean() == 5


def test_if_there_is_none_the_named_weights_are_loaded_without_state(run, tmp_path):
    other = tmp_path / "empty"
    assert resumed(other, str(checkpoint(run, 200)))[:2] == (200, 0)
    assert resumed(other) == (-1, 0, {})


def test_without_resume_the_folder_is_not_looked_at(run):
    model = net(5)
    Checkpointer(model, str(run)).resume_or_load("", resume=False)
    assert model.weight.mean() == 5


def test_what_was_loaded_is_known(run):
    cut(checkpoint(run, 300))
    checkpointer = Checkpointer(net(), str(run))
    checkpointer.resume_or_load("", resume=True)
    assert checkpointer.source == str(checkpoint(run, 200))


def test_weights_kept_apart_are_verified_and_never_resumed_from(run):
    checkpointer = Checkpointer(net(), str(run))
    checkpointer.save_weights("model_best", net(9).state_dict(), iteration=150)
    verify(run / "model_best.pth")
    assert read_weights_file(run / "model_best.pth").keys() == {"model", "iteration"}
    assert resumed(run)[0] == 300


def test_a_checkpoint_without_the_trainings_state_says_so(run, warnings):
    write_checkpoint(checkpoint(run, 300), {"model": net(8).state_dict()})
    assert resumed(run)[:2] == (8, 0)
    assert "holds no state of the trainer" in warnings.text


# ---- .safetensors --------------------------------------------------------------------------------------------------


def test_safetensors_keep_names_types_and_shared_memory(tmp_path):
    shared = torch.arange(12.0).view(3, 4)
    state = {
        "a": shared,
        "b": shared,
        "row": shared[1],
        "turned": shared.t(),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "count": torch.tensor(3),
        "none": torch.zeros(0, 4),
        "learned": nn.Parameter(torch.ones(2)),
    }
    write_safetensors(tmp_path / "w.safetensors", state, {"matching_heuristics": "True"})
    content = read_weights_file(tmp_path / "w.safetensors")
    assert content["matching_heuristics"] is True
    assert content["model"].keys() == state.keys()
    for name, tensor in state.items():
        assert content["model"][name].dtype == tensor.dtype
        assert torch.equal(content["model"][name], tensor)
    assert names_in(tmp_path) == {"w.safetensors"}


def test_safetensors_are_whole_or_not_there(tmp_path, monkeypatch):
    def full(fd):
        raise OSError(28, "No space left on device")

    write_safetensors(tmp_path / "w.safetensors", {"a": torch.ones(2)})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SetupError, match="the disk is full"):
        write_safetensors(tmp_path / "w.safetensors", {"a": torch.zeros(2)})
    assert read_weights_file(tmp_path / "w.safetensors")["model"]["a"].tolist() == [1, 1]
    assert names_in(tmp_path) == {"w.safetensors"}


def test_what_a_killed_process_had_begun_is_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine = f".model_0000004.pth.{os.getpid()}.tmp"  # still being written
    begun = [f".model_0000009.pth.{ended.pid}.tmp", f".model_final.pth.sha256.{ended.pid}.tmp"]
    others = [mine, "model_0000004.pth", ".metrics.json.1.tmp", ".model_notes.tmp"]
    for name in (*begun, *others):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(others)
