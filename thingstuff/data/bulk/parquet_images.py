"""Images in Parquet files: their bytes in a column, or their addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.data.bulk.items import BulkInputs, BulkItem, is_url
from thingstuff.data.bulk.storage import file_system
from thingstuff.errors import DataError
from thingstuff.store.arrow import damage_named, parquet_module

PARQUET_SUFFIX = ".parquet"
_BYTES = ("image", "image_bytes", "bytes", "content", "data", "jpg", "png")
_ADDRESSES = ("path", "url", "uri", "file_name", "image_path", "image_url")
_KEYS = ("key", "file_name", "path", "image_path", "name", "url", "uri", "image_url")
_IDS = ("image_id", "id")
_REMEDY = "write it anew, or leave it out"


@dataclass(frozen=True)
class Columns:
    """Which columns hold the image (bytes, or bytes with a path as Hugging Face writes them) or its address, and keys.

    What is None is found by common names.
    """

    image: str | None = None
    key: str | None = None


def parquet_inputs(files: Sequence[str], root: str, columns: Columns) -> BulkInputs:
    """The images of all files. Without a column of keys an image is known by its file and row."""
    return BulkInputs(root, tuple(item for file in files for item in _items(file, root, columns)))


def read_rows(file: str, column: str, rows: Sequence[int]) -> dict[int, bytes | None]:
    """The bytes of some images of a file by their rows; only the row groups in which they lie are read."""
    wanted, found, first = sorted(rows), {}, 0
    with _opened(file) as parquet, damage_named(file, _REMEDY):
        for group in range(parquet.num_row_groups):
            after = first + parquet.metadata.row_group(group).num_rows
            here = [row for row in wanted if first <= row < after]
            if here:
                taken = parquet.read_row_group(group, columns=[column]).column(0).take([row - first for row in here])
                found |= dict(zip(here, map(_bytes, taken.to_pylist()), strict=True))
            first = after
    return found


def _bytes(value: Any) -> bytes | None:
    return value.get("bytes") if isinstance(value, dict) else value


def _items(file: str, root: str, columns: Columns) -> Iterator[BulkItem]:
    with _opened(file) as parquet, damage_named(file, _REMEDY):
        schema = parquet.schema_arrow
        image = _image_column(file, schema, columns.image)
        keys = _values(parquet, _key_column(file, schema, columns.key, image))
        ids = _values(parquet, next((n for n in _IDS if n in schema.names and _is_plain(schema.field(n).type)), None))
        addresses = None if _holds_bytes(schema.field(image).type) else _values(parquet, image)
        count = parquet.metadata.num_rows
    stem = file.removeprefix(root).lstrip("/").removesuffix(PARQUET_SUFFIX)
    for row in range(count):
        key = f"{stem}/{row:08d}" if keys is None else _as_key(keys[row])
        if addresses is None:
            yield BulkItem(key, file, None if ids is None else ids[row], row, image)
        else:
            yield BulkItem(key, _absolute(str(addresses[row]), file), None if ids is None else ids[row])


def _image_column(file: str, schema: Any, given: str | None) -> str:
    if given is not None:
        _refuse_lacking(file, schema, given)
        return given
    for name in _BYTES:
        if name in schema.names and _holds_bytes(schema.field(name).type):
            return name
    for name in _ADDRESSES:
        if name in schema.names and _is_text(schema.field(name).type):
            return name
    raise DataError(f"{file}: no column of images is known among {', '.join(schema.names)}: name it by --image-column")


def _key_column(file: str, schema: Any, given: str | None, image: str) -> str | None:
    if given is not None:
        _refuse_lacking(file, schema, given)
        return given
    if not _holds_bytes(schema.field(image).type):
        return image
    return next((name for name in _KEYS if name in schema.names and _is_text(schema.field(name).type)), None)


def _refuse_lacking(file: str, schema: Any, name: str) -> None:
    if name not in schema.names:
        raise DataError(f"{file}: has no column {name!r}, but {', '.join(schema.names)}")


def _values(parquet: Any, column: str | None) -> list[Any] | None:
    return None if column is None else parquet.read(columns=[column]).column(0).to_pylist()


def _as_key(value: Any) -> str:
    """Without protocol and leading slashes, which a path relative to a root does not have."""
    return str(value).rpartition("://")[2].lstrip("/")


def _absolute(address: str, file: str) -> str:
    if is_url(address) or address.startswith("/"):
        return address
    return f"{file.rpartition('/')[0]}/{address}"


def _holds_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return any(kind.field(n).name == "bytes" for n in range(kind.num_fields))
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_plain(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(kind)) or _is_text(kind)


@contextmanager
def _opened(file: str) -> Iterator[Any]:
    module = parquet_module()
    with ExitStack() as stack:
        with damage_named(file, _REMEDY):
            files, path = file_system(file if is_url(file) else f"file://{Path(file).absolute()}")
            stream = stack.enter_context(files.open(path))
        with damage_named(file, _REMEDY):
            opened = module.ParquetFile(stream)
        yield opened
