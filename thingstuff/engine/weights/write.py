"""Write weights whole or not at all: a checkpoint with its checksum, and .safetensors."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes

from thingstuff.engine.weights.checksum import HashingFile, checksum_path, write_checksum
from thingstuff.errors import SetupError
from thingstuff.files import whole_file

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full as far as your quota goes",
    errno.EFBIG: "the disk is full or files may not be that large (ulimit -f)",
}


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """`content` by torch.save, and `path`.sha256. What lay there before stays until both are on the disk."""
    with _named_failure(path, "checkpoint"):
        with whole_file(path) as file:
            hashing = HashingFile(file)
            torch.save(content, hashing)
            digest = hashing.finish()
            # the old checksum goes first: a new file without one can be read, one with that of another cannot
            checksum_path(path).unlink(missing_ok=True)
        write_checksum(path, digest)


def write_safetensors(path: Path, state: Mapping[str, torch.Tensor], metadata: Mapping[str, str] = {}) -> None:
    """Names and tensors as .safetensors. Tensors that share memory, which the format lacks, are written once a name."""
    seen: set[int] = set()
    plain = {name: _own_memory(tensor, seen) for name, tensor in state.items()}
    content = safetensors_bytes(plain, metadata=dict(metadata) or None)
    with _named_failure(path, "weights"), whole_file(path) as file:
        file.write(content)


def write_last_checkpoint(folder: Path, name: str) -> None:
    """Detectron2's file that names the checkpoint to resume from."""
    path = folder / "last_checkpoint"
    with _named_failure(path, "the name of the last checkpoint,"), whole_file(path) as file:
        file.write(name.encode())


def _own_memory(tensor: torch.Tensor, seen: set[int]) -> torch.Tensor:
    plain = tensor.detach().cpu().contiguous()
    start = plain.untyped_storage().data_ptr()
    if start in seen:
        return plain.clone()
    seen.add(start)
    return plain


@contextmanager
def _named_failure(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise SetupError(
            f"cannot write {what} {path}: {reason}; make room or choose another OUTPUT_DIR "
            "(what was saved before is untouched: --resume goes on from there)"
        ) from error
