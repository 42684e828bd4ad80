"""Read a file of weights without running code from it: .pth, .pkl of the model zoo, .pyth, .safetensors."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import safe_open

from thingstuff.errors import WeightsError

Reader = Callable[[Path], dict[str, Any]]

# What a pickle of plain containers and numpy arrays needs to be rebuilt, under numpy's old and new module names.
_ADMITTED = {
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


def register_reader(suffix: str) -> Callable[[Reader], Reader]:
    """A decorator: the function below it, path -> the same content, reads files that end so. It must run no code."""

    def add(reader: Reader) -> Reader:
        if _READERS.get(suffix, reader) is not reader:
            raise WeightsError(f"two readers of {suffix} files: only one can be registered")
        _READERS[suffix] = reader
        return reader

    return add


def read_weights_file(path: Path) -> dict[str, Any]:
    """What Detectron2's checkpointer wants: `model`, and `matching_heuristics` where names need matching."""
    if not path.is_file():
        raise WeightsError(f"no weights at {path}: check the path")
    try:
        content = _READERS.get(path.suffix, read_pth)(path)
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # what a damaged pickle raises can be anything
        raise WeightsError(f"{path} is damaged, cut short or no file of weights: fetch it again") from error
    _make_tensors(path, content["model"])
    return content


def _make_tensors(path: Path, model: Any) -> None:
    """In place: the dictionary of a PyTorch file carries the versions of its modules."""
    if not isinstance(model, dict):
        raise WeightsError(f"{path} holds a {type(model).__name__} as its model, expected a dictionary of tensors")
    for name, value in model.items():
        try:
            if isinstance(value, np.ndarray):
                model[name] = torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
        except TypeError:
            pass  # of objects or texts
        if not isinstance(name, str) or not isinstance(model[name], torch.Tensor):
            raise WeightsError(f"{path}: {name} is a {type(value).__name__}, expected tensors by name")


def read_pth(path: Path) -> dict[str, Any]:
    """A file of PyTorch with tensors and plain values; what it holds beside `model` is kept."""
    content = _torch_load(path)
    return content if "model" in content else {"model": content}


def _read_pyth(path: Path) -> dict[str, Any]:
    state = {k: v for k, v in _torch_load(path)["model_state"].items() if not k.endswith("num_batches_tracked")}
    return {"model": state, "__author__": "pycls", "matching_heuristics": True}


def _torch_load(path: Path) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)  # an error follows, or none
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _looks_like_torch(path):
            raise
        if "weights_only" in str(error).lower() or "Unsupported" in str(error):
            message = f"{path} holds more than tensors and plain values, so reading it could run code: it is refused"
            raise WeightsError(f"{message}. Save its state_dict() alone where you trust it") from error
        raise
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, expected a dictionary of tensors")
    return content


def _looks_like_torch(path: Path) -> bool:
    """PyTorch writes a zip archive, and before version 1.6 wrote a pickle of protocol 2."""
    with path.open("rb") as file:
        begin = file.read(4)
    return begin.startswith((b"PK\x03\x04", b"\x80\x02"))


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safe_open(str(path), framework="pt") as file:
        model = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dictionary
        metadata = file.metadata() or {}
    return {"model": model, "matching_heuristics": metadata.get("matching_heuristics") == "True"}


def _read_pkl(path: Path) -> dict[str, Any]:
    """The model zoo's format: arrays in a pickle, rebuilt by an unpickler that admits nothing else."""
    with path.open("rb") as file:
        content = _ArrayUnpickler(file, path).load()
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, expected a dictionary of arrays")
    if "model" in content and "__author__" in content:
        return content
    blobs = content.get("blobs", content)
    model = {name: value for name, value in blobs.items() if not name.endswith("_momentum")}
    return {"model": model, "__author__": "Caffe2", "matching_heuristics": True}


class _ArrayUnpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file, encoding="latin1")  # files of Python 2 hold byte strings
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise WeightsError(
                f"{self._path} would run {module}.{name} when read: it is refused. Take it from its source"
            )
        return super().find_class(module, name)


_READERS: dict[str, Reader] = {".pkl": _read_pkl, ".safetensors": _read_safetensors, ".pyth": _read_pyth}
