"""Results of another program -> a store, so that they can be merged, evaluated, compared and exported like our own."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thingstuff.data.results import ResultFormat, ResultSource, Targets
from thingstuff.errors import DataError
from thingstuff.store import PredictedImage, Store, StoreMeta, StoreWriter
from thingstuff.store.meta import is_store

IMPORTED = "imported"  # in place of the hash of a config


@dataclass(frozen=True)
class Imported:
    folder: Path
    notes: tuple[str, ...]


def import_results(results: ResultFormat, source: ResultSource, targets: Targets, folder: Path) -> Imported:
    """Write a store into `folder`, in place of an earlier import there; of a bad source it leaves no trace.

    What the faults of the source hold is refused, or told if they are lenient.
    """
    _refuse_others(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        fresh = Path(scratch) / "store"
        meta = StoreMeta(
            IMPORTED, _digest(source.path), targets.categories, {}, targets.truth or targets.name, _root(targets)
        )
        with StoreWriter.open(fresh, meta) as writer:
            for image in _read(results, source, targets):
                writer.append(image)
        notes = (*source.notes, *source.faults.settle(str(source.path)))
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)
    return Imported(folder, notes)


def is_imported(store: Store) -> bool:
    """Whether the store was made of another program's results."""
    return store.meta.config_hash == IMPORTED


def _read(results: ResultFormat, source: ResultSource, targets: Targets) -> Iterator[PredictedImage]:
    if not targets.images:
        raise DataError(f"{targets.name} has no images that results could be of")
    return results.read(source, targets)


def _root(targets: Targets) -> str | None:
    return None if targets.image_root is None else str(targets.image_root.absolute())


def _digest(path: Path) -> str:
    """Of a file's content, or of the names, sizes and times of a folder's files."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    hashed = hashlib.sha256()
    for each in sorted(path.rglob("*")):
        status = each.stat()
        hashed.update(f"{each} {status.st_size} {status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()


def _refuse_others(folder: Path) -> None:
    """Only what was imported earlier is replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or not is_store(folder) or not is_imported(Store.open(folder)):
        raise DataError(f"{folder}: there is something already that was not imported: give another output folder")
