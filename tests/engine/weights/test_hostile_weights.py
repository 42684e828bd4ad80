"""Files of weights that were made to run code, or to break the reader: refused in one line, and nothing is run."""

import io
import json
import pickle
import random
import struct
import tarfile

import numpy as np
import pytest
import torch
from safetensors.torch import save as safetensors_bytes

from thingstuff.engine.weights.file import read_weights_file
from thingstuff.errors import WeightsError


class Evil:
    """Loaded by pickle, it creates a file."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return (open, (str(self.proof), "w"))


def refused(path):
    with pytest.raises(WeightsError) as caught:
        read_weights_file(path)
    text = str(caught.value)
    assert text.isprintable()
    assert path.name in text
    return text


def dictionary(evil, key):
    return {key: {"first.bias": evil}, "__author__": "x"}


def torch_saved(content, zipped):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def tar_of(content):
    """What PyTorch wrote before its version 0.1.10."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            member = tarfile.TarInfo(name)
            body = pickle.dumps(content, 2)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


WRITERS = {
    "zip": lambda content: torch_saved(content, True),
    "old": lambda content: torch_saved(content, False),
    "tar": tar_of,
    "pickle 0": lambda content: pickle.dumps(content, 0),
    "pickle 2": lambda content: pickle.dumps(content, 2),
    "pickle 5": lambda content: pickle.dumps(content, 5),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pkl", ".pyth", ".safetensors", ".bin"])
def test_what_would_create_a_file_is_refused(tmp_path, suffix, writer):
    path, proof = tmp_path / f"w{suffix}", tmp_path / "proof"
    path.write_bytes(WRITERS[writer](dictionary(Evil(proof), "model_state" if suffix == ".pyth" else "model")))
    refused(path)
    assert not proof.exists()


@pytest.mark.parametrize("writer", ["pickle 0", "pickle 2", "pickle 5"])
def test_the_files_above_would_run_if_they_were_unpickled(tmp_path, writer):
    proof = tmp_path / "proof"
    pickle.loads(WRITERS[writer](dictionary(Evil(proof), "model")))
    assert proof.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_evil_beside_good_weights_is_refused_too(tmp_path, zipped):
    """In the optimiser's state, which an evaluation would not even use."""
    path, proof = tmp_path / "w.pth", tmp_path / "proof"
    path.write_bytes(torch_saved({"model": {"a": torch.ones(2)}, "optimizer": Evil(proof)}, zipped))
    assert "could run code: it is refused" in refused(path)
    assert not proof.exists()


def test_evil_in_an_array_of_objects_is_refused(tmp_path):
    proof = tmp_path / "proof"
    array = np.empty(1, object)
    array[0] = Evil(proof)
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"model": {"a": array}, "__author__": "x"}))
    assert "would run" in refused(tmp_path / "w.pkl")
    assert not proof.exists()


@pytest.mark.parametrize("name", ["eval", "exec", "getattr", "__import__"])
def test_functions_of_python_are_refused_by_name(tmp_path, name):
    (tmp_path / "w.pkl").write_bytes(b"cbuiltins\n" + name.encode() + b"\n(S'1'\ntR.")
    assert f"builtins.{name}" in refused(tmp_path / "w.pkl")


# ---- headers of .safetensors ---------------------------------------------------------------------------------------


def with_header(header, length=None, body=b""):
    return struct.pack("<Q", len(header) if length is None else length) + header + body


def described(**tensor):
    return json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **tensor}}).encode()


BOMBS = {
    "longer than any file": with_header(b"{}", 2**63 - 1),
    "longer than this file": with_header(b"{}", 10**8),
    "no length": b"\x02\x00",
    "nested without end": with_header(b'{"a":' * 100_000 + b"1"),
    "no text": with_header(b"\xff\xfe{}"),
    "more data than there is": with_header(described(shape=[2**40], data_offsets=[0, 2**42]), body=bytes(4)),
    "more elements than can be counted": with_header(described(shape=[2**40, 2**40]), body=bytes(4)),
    "negative length": with_header(described(shape=[-1]), body=bytes(4)),
    "offsets backwards": with_header(described(data_offsets=[4, 0]), body=bytes(4)),
    "unknown type": with_header(described(dtype="PICKLE"), body=bytes(4)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_header_bombs(tmp_path, bomb):
    (tmp_path / "w.safetensors").write_bytes(BOMBS[bomb])
    refused(tmp_path / "w.safetensors")


# ---- what is no dictionary of tensors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "holds a list"),
        ({"model": [torch.ones(1)]}, "holds a list as its model"),
        ({"model": {"a": 3}}, "a is a int"),
        ({"epoch": 3, "state_dict": {}}, "epoch is a int"),
    ],
)
def test_other_contents_are_named(tmp_path, content, said):
    torch.save(content, tmp_path / "w.pth")
    assert said in refused(tmp_path / "w.pth")


def test_an_array_of_texts_is_no_tensor(tmp_path):
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"model": {"a": np.array(["x"])}, "__author__": "x"}))
    assert "a is a ndarray" in refused(tmp_path / "w.pkl")


def test_arrays_of_another_byte_order_are_read(tmp_path):
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"model": {"a": np.array([1.5, 2], ">f4")}, "__author__": "x"}))
    assert read_weights_file(tmp_path / "w.pkl")["model"]["a"].tolist() == [1.5, 2]


def whole_files():
    state = {"a": torch.arange(60.0), "b": torch.ones(3, 4)}
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    return {
        "w.pth": torch_saved({"model": state}, True),
        "old.pth": torch_saved({"model": state}, False),
        "w.pkl": pickle.dumps({"model": arrays, "__author__": "x"}),
        "w.safetensors": safetensors_bytes(state),
    }


@pytest.mark.parametrize("name", ["w.pth", "old.pth", "w.pkl", "w.safetensors"])
def test_damaged_bytes_never_end_in_another_error(tmp_path, name):
    """Some damage lies in the numbers alone and is only found by a checksum."""
    whole, chance = whole_files()[name], random.Random(0)
    path = tmp_path / name
    for _ in range(80):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        try:
            read_weights_file(path)
        except WeightsError as error:
            assert str(error).isprintable()
