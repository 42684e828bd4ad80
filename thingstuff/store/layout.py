"""Where things lie in a store's folder.

A store is of one of two layouts: lines of JSON with PNG files beside them, which one process appends to, or Parquet
files that hold all of some images each, which many processes write at the same time.
"""

from __future__ import annotations

from pathlib import Path

JSONL, PARQUET = LAYOUTS = ("jsonl", "parquet")

META_NAME = "meta.json"
LOCK_NAME = "writer.lock"
MAP_FOLDERS = ("stuff", "panoptic")

_SHARD_PREFIX, _SHARD_SUFFIX = "predictions-", ".jsonl"
_PARQUET_SUFFIX = ".parquet"


def shard_path(folder: Path, number: int) -> Path:
    """The shard of this number, 0 and up."""
    return folder / f"{_SHARD_PREFIX}{number:05d}{_SHARD_SUFFIX}"


def shard_paths(folder: Path) -> list[Path]:
    """The shards that are there, in the order of their numbers."""
    names = [path.name for path in folder.glob(f"{_SHARD_PREFIX}*{_SHARD_SUFFIX}")]
    numbers = [name.removeprefix(_SHARD_PREFIX).removesuffix(_SHARD_SUFFIX) for name in names]
    return [shard_path(folder, number) for number in sorted(int(text) for text in numbers if text.isdecimal())]


def parquet_path(folder: Path, name: str) -> Path:
    """The Parquet shard of this name, which stands for the images that are in it."""
    return folder / f"{_SHARD_PREFIX}{name}{_PARQUET_SUFFIX}"


def parquet_paths(folder: Path) -> list[Path]:
    """The Parquet shards that are there, by name. What is still being written has another one."""
    return sorted(folder.glob(f"{_SHARD_PREFIX}*{_PARQUET_SUFFIX}"))


def half_written_paths(folder: Path) -> list[Path]:
    """What writers of Parquet shards left that were killed, or are still writing."""
    return sorted(folder.glob(f".{_SHARD_PREFIX}*{_PARQUET_SUFFIX}.*.tmp"))


def stuff_png(folder: Path, key: str) -> Path:
    """The stuff map of an image: 16-bit grey."""
    return folder / "stuff" / _png_name(key)


def panoptic_png(folder: Path, key: str) -> Path:
    """The panoptic map of an image: COCO's RGB encoding."""
    return folder / "panoptic" / _png_name(key)


def _png_name(key: str) -> str:
    """`a/b.jpg` -> `a/b.jpg.png`. No two keys share a name, and no folder has the name of a file."""
    *folders, name = key.split("/")
    return "/".join([*(_unlike_a_png(part) for part in folders), f"{name}.png"])


def _unlike_a_png(part: str) -> str:
    # The key `a` is the file a.png, so the folder of the key `a.png/b` needs another name.
    return f"{part}~" if part.rstrip("~").lower().endswith(".png") else part
