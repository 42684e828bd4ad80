"""Which files are there, asked of their folders: each is listed once, as a question a file takes long on a network."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from thingstuff.data.panoptic.names import is_encodable

State = Literal["there", "missing", "outside", "no name"]


@dataclass(frozen=True, slots=True)
class Located:
    """A file by its name. `path` has no link left in it, and is "" unless the file is there.

    `other_case` is the name of a file that differs from the stated one in upper and lower case alone.
    """

    state: State
    path: str = ""
    other_case: str | None = None


@dataclass(frozen=True)
class _Folder:
    """The entries of a folder: "file", "link" or "else" by name; empty where there is no such folder."""

    path: str
    real_path: str
    entries: Mapping[str, str]

    @cached_property
    def by_lower_case(self) -> Mapping[str, str]:
        return {name.casefold(): name for name in self.entries}


@dataclass(frozen=True)
class ListedFiles:
    """The files below `root`. Links are followed; what they or ".." lead to outside of the root is not touched."""

    root: Path
    _folders: dict[str, _Folder] = field(default_factory=dict, compare=False, repr=False)

    def find(self, name: Any) -> Located:
        """The file that a record names, relative to the root with "/"."""
        if not isinstance(name, str) or not name or not is_encodable(name):
            return Located("no name")
        plain = os.path.normpath(os.path.join(self._root, name))  # noqa: PTH118  a Path keeps ".."
        if ".." in name.split("/") or name.startswith("/"):
            return self._found(os.path.realpath(os.path.join(self._root, name)))  # noqa: PTH118
        inner, last = os.path.split(plain)
        folder = self._folder(inner)
        kind = folder.entries.get(last)
        if kind == "link":
            return self._found(os.path.realpath(plain))
        if kind == "file":
            path = os.path.join(folder.real_path, last)  # noqa: PTH118
            return Located("there", path) if self._is_inside(path) else Located("outside")
        return self._in_other_case(plain)

    def beside(self) -> Iterator[tuple[str, str]]:
        """Name and path, as in `Located`, of each file in the folders that were asked for; links are left out."""
        for folder in list(self._folders.values()):
            for name, kind in sorted(folder.entries.items()):
                if kind == "file":
                    yield name, os.path.join(folder.real_path, name)  # noqa: PTH118

    @cached_property
    def _root(self) -> str:
        return os.path.abspath(self.root)  # noqa: PTH100

    @cached_property
    def _real_root(self) -> str:
        return os.path.realpath(self.root)

    def _found(self, real_path: str) -> Located:
        if not self._is_inside(real_path):
            return Located("outside")
        return Located("there", real_path) if os.path.isfile(real_path) else Located("missing")  # noqa: PTH113

    def _is_inside(self, real_path: str) -> bool:
        return real_path.startswith(self._real_root.rstrip("/") + "/")

    def _in_other_case(self, path: str) -> Located:
        """Where a file system does not care for case, the file is there nevertheless."""
        folder, found = self._root, []
        for part in Path(path).relative_to(self._root).parts:
            match = self._folder(folder).by_lower_case.get(part.casefold())
            if match is None:
                return Located("missing")
            folder = os.path.join(folder, match)  # noqa: PTH118
            found.append(match)
        other = "/".join(found)
        if folder == path or not os.path.isfile(path):  # noqa: PTH113
            return Located("missing", other_case=None if folder == path else other)
        return Located("there", os.path.realpath(folder), other)

    def _folder(self, path: str) -> _Folder:
        if path not in self._folders:
            self._folders[path] = _Folder(path, os.path.realpath(path), _entries(path))
        return self._folders[path]


def _entries(path: str) -> dict[str, str]:
    try:
        with os.scandir(path) as entries:
            return {entry.name: _kind(entry) for entry in entries}
    except OSError:
        return {}


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "link"
    return "file" if entry.is_file(follow_symlinks=False) else "else"
