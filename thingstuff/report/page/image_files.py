"""Where a page's pictures lie: inside the page while they are few, and in a folder beside it when they are many."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from thingstuff.errors import DataError
from thingstuff.report.page.pictures import data_url, kind_of

_MARK = "made_by_thingstuff.txt"
_MARK_TEXT = "These files belong to the page beside this folder, and are replaced when it is written again.\n"


@dataclass(frozen=True)
class EncodedImage:
    """The files of one image: a small picture, one a view, and the layers for JSON."""

    thumbnail: bytes
    pictures: Mapping[str, bytes]
    layers: Mapping[str, Mapping[str, Any]]

    @property
    def size_bytes(self) -> int:
        maps = sum(len(layer["map"]) for layer in self.layers.values())
        return len(self.thumbnail) + sum(map(len, self.pictures.values())) + maps


class ImageFiles:
    """Takes images one by one and holds them, or writes them into `folder` once they are more than the limits.

    A browser refuses to read other files from a page on the disk, but shows pictures and runs scripts: so in the folder
    an image is a few pictures and a script. The folder takes its name when the block ends well.
    """

    def __init__(self, folder: Path, max_bytes: float, max_images: int) -> None:
        self._folder, self._making = folder, folder.with_name(f".{folder.name}.making")
        self._max_bytes, self._max_images = max_bytes, max_images
        self._held: list[EncodedImage] = []
        self._bytes = self._count = 0
        self.is_beside = False
        refuse_foreign(folder)

    def __enter__(self) -> ImageFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            shutil.rmtree(self._folder, ignore_errors=True)  # of an earlier page of this name
            if self.is_beside:
                self._making.replace(self._folder)
        shutil.rmtree(self._making, ignore_errors=True)

    def add(self, image: EncodedImage) -> None:
        self._held.append(image)
        self._bytes += image.size_bytes
        self._count += 1
        if not self.is_beside and (self._bytes > self._max_bytes or self._count > self._max_images):
            self._begin_folder()
        if self.is_beside:
            self._write_held()

    def thumbnails(self) -> list[str]:
        """One link an image, in order."""
        if self.is_beside:
            return [self._link(f"{number:05d}_small.{kind}") for number, kind in enumerate(self._thumbnail_kinds)]
        return [data_url(image.thumbnail) for image in self._held]

    def details(self) -> list[dict[str, Any]]:
        """What the page holds of each image; empty when it lies in the folder."""
        return [_detail(image, {v: data_url(p) for v, p in image.pictures.items()}) for image in self._held]

    def scripts(self) -> list[str]:
        """One link an image, in order; empty when all is inside the page."""
        return [self._link(f"{number:05d}.js") for number in range(self._count)] if self.is_beside else []

    def _begin_folder(self) -> None:
        self.is_beside = True
        self._thumbnail_kinds: list[str] = []
        shutil.rmtree(self._making, ignore_errors=True)
        self._making.mkdir(parents=True)
        (self._making / _MARK).write_text(_MARK_TEXT)

    def _write_held(self) -> None:
        for number, image in enumerate(self._held, self._count - len(self._held)):
            self._write(number, image)
        self._held.clear()

    def _write(self, number: int, image: EncodedImage) -> None:
        kind = kind_of(image.thumbnail)
        (self._making / f"{number:05d}_small.{kind}").write_bytes(image.thumbnail)
        self._thumbnail_kinds.append(kind)
        links = {}
        for place, (view, file) in enumerate(image.pictures.items()):
            name = f"{number:05d}_{place}.{kind_of(file)}"
            (self._making / name).write_bytes(file)
            links[view] = self._link(name)
        script = f"receiveImage({number}, {json_text(_detail(image, links))});\n"
        (self._making / f"{number:05d}.js").write_text(script, encoding="ascii")

    def _link(self, name: str) -> str:
        return f"{quote(self._folder.name)}/{name}"


def refuse_foreign(folder: Path) -> None:
    """A folder that no page of ours made is not replaced."""
    if folder.exists() and not (folder / _MARK).is_file():
        raise DataError(f"{folder}: is in the way of the page's pictures; move it, or give the page another name")


def json_text(data: Any) -> str:
    """JSON in ASCII that may stand inside a script of a page: nothing in it can end the script."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _detail(image: EncodedImage, links: Mapping[str, str]) -> dict[str, Any]:
    return {"pictures": dict(links), "layers": dict(image.layers)}
