"""Object storage and other file systems by their addresses (`s3://...`, `gs://...`, `file://...`), through fsspec.

Credentials and endpoints are fsspec's: those of the environment, or of its own configuration.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from thingstuff.data.formats.image_files import IMAGE_SUFFIXES
from thingstuff.errors import DataError, SetupError

_TRIES = 3  # of an object, since storage is now and then busy


def file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, and its path there."""
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise SetupError("addresses of storage need fsspec: pip install 'thingstuff[ray]'") from error
    try:
        found = url_to_fs(address)
    except ImportError as error:  # such as s3fs
        raise SetupError(f"{address}: {' '.join(str(error).split())}") from error
    except ValueError as error:
        raise DataError(f"{address}: {' '.join(str(error).split())}") from error
    return found[0], str(found[1])


def list_objects(address: str, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> dict[str, int | None]:
    """The objects that an address leads to (one, all below a prefix, or those of a glob), with their sizes in bytes."""
    files, path = file_system(address)
    with _storage_named(address):
        details = _details(files, path)
    found = {files.unstrip_protocol(name): size for name, size in details.items() if _has_suffix(name, suffixes)}
    if not found:
        raise DataError(f"nothing at {address} ends in {', '.join(suffixes)}")
    return found


def root_of(address: str) -> str:
    """What keys are relative to: the prefix itself, an object's folder, or of a glob the part before its wildcards."""
    files, path = file_system(address)
    with _storage_named(address):
        if glob.has_magic(path):
            path = path[: path.rfind("/", 0, next(n for n, letter in enumerate(path) if letter in "*?["))]
        elif not files.isdir(path):
            path = path.rpartition("/")[0]
    return str(files.unstrip_protocol(path.rstrip("/")))


def read_object(address: str) -> bytes:
    """All of an object. What cannot be read after some tries is a DataError with the reason."""
    files, path = file_system(address)
    for left in reversed(range(_TRIES)):
        try:
            return bytes(files.cat_file(path))
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise DataError(f"{address} cannot be read ({_words(error)})") from error
        except Exception as error:  # whatever a storage's own library raises
            if not left:
                raise DataError(f"{address} cannot be read ({_words(error)})") from error
    raise AssertionError("no try is left without an answer")


def _details(files: Any, path: str) -> dict[str, int | None]:
    if glob.has_magic(path):
        found = files.glob(path, detail=True)
    else:
        found = files.find(path, detail=True) if files.isdir(path) else {path: files.info(path)}
    return {name: info.get("size") for name, info in found.items() if info.get("type") == "file"}


@contextmanager
def _storage_named(address: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"there is nothing at {address}") from error
    except Exception as error:  # whatever a storage's own library raises
        raise DataError(f"{address} cannot be listed ({_words(error)})") from error


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.lower().endswith(suffixes) and not any(part.startswith(".") for part in name.split("/")[-1:])
