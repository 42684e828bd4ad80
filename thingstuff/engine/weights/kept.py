"""Which checkpoints of a folder stay, and from which one a training may go on."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection
from pathlib import Path

from thingstuff.engine.weights.checksum import checksum_path
from thingstuff.errors import ConfigError

_PERIODIC = re.compile(r"model_(\d{7})\.pth")
# as `whole_file` calls it, by its process
_UNFINISHED = re.compile(r"\.model_.+\.(?:pth|pth\.sha256|safetensors)\.(\d+)\.tmp")
_FINAL = "model_final.pth"
_LAST = "last_checkpoint"

logger = logging.getLogger(__name__)


def prune(folder: Path, keep: int, protected: Collection[str]) -> list[Path]:
    """Delete all but the newest `keep` periodic checkpoints, with their checksums; the paths of those that went.

    `keep` 0: all stay. What `protected` names, as `model_0000099.pth` or without its ending, stays in any case, and so
    does what `last_checkpoint` names. Nothing else in the folder is ever deleted.
    """
    if keep < 0:
        raise ConfigError(f"SOLVER.CHECKPOINTS_KEPT is {keep}, expected 0 (all) or more")
    staying = {*protected, *(name + ".pth" for name in protected)}
    last = _last(folder)
    old = _periodic(folder)[keep:] if keep else []
    return [path for path in old if path.name not in staying and path != last and _deleted(path)]


def candidates(folder: Path) -> list[Path]:
    """The checkpoints to go on from, the best choice first; the first may be missing or damaged, as any may.

    First what `last_checkpoint` names, then the periodic ones downwards. `model_final.pth` counts where it is named or
    where there is no other: it may lie there from somewhere else.
    """
    last = _last(folder)
    found = [*([last] if last else []), *(path for path in _periodic(folder) if path != last)]
    final = folder / _FINAL
    return found or ([final] if final.is_file() else [])


def remove_unfinished(folder: Path) -> None:
    """Delete what a process that was killed had begun to write of a checkpoint; it can be as large as one."""
    for path in folder.glob(".model_*.tmp"):
        match = _UNFINISHED.fullmatch(path.name)
        if match and not _is_alive(int(match[1])):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _periodic(folder: Path) -> list[Path]:
    """`model_0000099.pth` and its like, from the last step to the first."""
    if not folder.is_dir():
        return []
    steps = {path: _PERIODIC.fullmatch(path.name) for path in folder.iterdir() if path.is_file()}
    numbered = {path: int(match[1]) for path, match in steps.items() if match}
    return sorted(numbered, key=lambda path: numbered[path], reverse=True)


def _last(folder: Path) -> Path | None:
    """The file that `last_checkpoint` names, there or not."""
    try:
        name = (folder / _LAST).read_text("utf-8").strip()
    except (OSError, ValueError):
        return None
    return folder / name if name and name.isprintable() else None


def _deleted(path: Path) -> bool:
    """A file that cannot be deleted costs room, but is no reason to end a training."""
    try:
        path.unlink(missing_ok=True)
        checksum_path(path).unlink(missing_ok=True)
    except OSError as error:
        logger.warning("cannot delete the old checkpoint %s: %s", path, error.strerror)
        return False
    return True
