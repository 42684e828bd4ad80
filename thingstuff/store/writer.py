"""StoreWriter: appends predictions image by image, so that a run that is killed loses only the image in hand.

An image's maps are on the disk before its line is written, and a line counts once it is complete. Each line goes to
the kernel at once, so the death of the process loses none; the disk is asked to keep them once a second and at the
end, so a power cut loses at most the last second.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.store.image import PredictedImage
from thingstuff.store.index import read_index
from thingstuff.store.layout import JSONL, MAP_FOLDERS, META_NAME, panoptic_png, shard_path, shard_paths, stuff_png
from thingstuff.store.line import to_line
from thingstuff.store.lock import WriterLock
from thingstuff.store.meta import StoreMeta
from thingstuff.structures import ids_to_rgb, write_png

LINES_PER_SHARD = 1000
SYNC_SECONDS = 1.0


class StoreWriter:
    """Open with `StoreWriter.open`, use in a `with` block. One writer at a time."""

    def __init__(self, folder: Path, meta: StoreMeta, lock: WriterLock, lines_per_shard: int) -> None:
        index = read_index(folder)
        self.folder = folder
        self.meta = meta
        self._lock = lock
        self._lines_per_shard = lines_per_shard
        self._done = set(index.entries)
        self._shard, self._lines, self._bytes = index.last_shard, index.last_lines, index.last_bytes
        self._file = _open_shard(folder, self._shard, self._bytes)
        self._synced_at = time.monotonic()

    @classmethod
    def open(
        cls, folder: str | os.PathLike[str], meta: StoreMeta, *, lines_per_shard: int = LINES_PER_SHARD
    ) -> StoreWriter:
        """Begin a store, or continue one of the same config, weights and categories behind its last complete line."""
        path = Path(folder)
        make_folder(path)
        lock = WriterLock(path)
        try:
            kept = settle_meta(path, replace(meta, layout=JSONL))
            _remove_remains(path, lock.dead_pid)
            return cls(path, kept, lock, lines_per_shard)
        except BaseException:
            lock.release()
            raise

    @property
    def done(self) -> frozenset[str]:
        """The keys whose predictions are complete. For one key, `key in writer` is quicker."""
        return frozenset(self._done)

    def append(self, image: PredictedImage) -> None:
        """Write the maps, then the line. An image that is refused, or a disk that is full, leaves no line."""
        self._refuse_done(image.key)
        line, maps = self._checked(image)
        for path, pixels in maps.items():
            write_png(path, pixels)
        if self._lines >= self._lines_per_shard:
            self._next_shard()
        self._write(line)
        self._lines, self._bytes = self._lines + 1, self._bytes + len(line)
        self._done.add(image.key)
        if time.monotonic() - self._synced_at > SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        """Make sure that all is on the disk, and let other writers in. Closing twice does nothing."""
        if self._file < 0:
            return
        file, self._file = self._file, -1
        try:
            os.fsync(file)
        finally:
            os.close(file)
            self._lock.release()

    def __contains__(self, key: object) -> bool:
        return key in self._done

    def __len__(self) -> int:
        return len(self._done)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refuse_done(self, key: str) -> None:
        if self._file < 0:
            raise ValueError(f"{self.folder}: this writer is closed")
        if key in self._done:
            raise DataError(f"{self.folder}: already has predictions of {key!r}: leave out the keys in `done`")

    def _checked(self, image: PredictedImage) -> tuple[bytes, dict[Path, NDArray[Any]]]:
        """The line and the PNG files of an image, before anything is written."""
        maps: dict[Path, NDArray[Any]] = {}
        try:
            image.check_categories(self.meta.categories)
            if image.stuff_map is not None:
                maps[stuff_png(self.folder, image.key)] = image.stuff_map
            if image.panoptic is not None:
                maps[panoptic_png(self.folder, image.key)] = ids_to_rgb(image.panoptic.ids)
            return to_line(image), maps
        except DataError as error:
            raise DataError(f"predictions of {image.key!r}: {error}") from error

    def _next_shard(self) -> None:
        self._sync()
        following = _open_shard(self.folder, self._shard + 1, 0)
        os.close(self._file)
        self._file = following
        self._shard, self._lines, self._bytes = self._shard + 1, 0, 0

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except BaseException:
            # Half a line in front of the next one would damage both.
            os.ftruncate(self._file, self._bytes)
            raise

    def _sync(self) -> None:
        os.fsync(self._file)
        self._synced_at = time.monotonic()


def make_folder(path: Path) -> None:
    """Make the folder of a store."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"{path}: a file is in the way: give another output folder") from None


def settle_meta(folder: Path, meta: StoreMeta) -> StoreMeta:
    """The meta of the store: that on the disk if it fits, else the new one, written."""
    if (folder / META_NAME).exists():
        kept = StoreMeta.read(folder)
        kept.refuse_other(meta, folder)
        return kept
    if shard_paths(folder):
        raise DataError(f"{folder}: has predictions but no {META_NAME}, so nobody knows of what: remove the folder")
    meta.write(folder)
    return meta


def _remove_remains(folder: Path, dead_pid: int | None) -> None:
    """Delete the half-written PNG files of a writer that was killed."""
    if dead_pid is None:
        return
    for name in MAP_FOLDERS:
        for path in (folder / name).rglob(f".*.{dead_pid}.tmp"):
            path.unlink(missing_ok=True)


def _open_shard(folder: Path, number: int, size: int) -> int:
    """A descriptor that appends to a shard, which is first cut behind its last complete line."""
    file = os.open(shard_path(folder, number), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    os.ftruncate(file, size)
    return file
