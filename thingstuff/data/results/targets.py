"""The images and categories that somebody's results are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from thingstuff.data.formats.image_files import image_size_hw
from thingstuff.data.formats.instance_records import checked_size_hw, shown
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.structures import Categories


@dataclass(frozen=True)
class TargetImage:
    """`key` is what a store calls it: its path below the image root."""

    image_id: int | str
    key: str
    height: int
    width: int

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.height, self.width


@dataclass(frozen=True)
class Targets:
    """`name` is the data set's; `truth` is the file that evaluates it, where no registered name does."""

    name: str
    categories: Categories
    images: Sequence[TargetImage]
    image_root: Path | None = None
    truth: str = ""

    @classmethod
    def of_truth(cls, name: str, truth: SplitTruth) -> Targets:
        """Sizes that the files do not state are read from the images."""
        images = watched(list(enumerate(truth.images)), f"images of {name}")
        try:
            categories = Categories.from_coco(truth.categories)
        except DataError as error:
            raise DataError(f"{truth.name}: {error}") from error
        found = tuple(_image(record, truth, number) for number, record in images)
        return cls(name, categories, found, truth.image_root)

    @cached_property
    def by_id(self) -> Mapping[int | str, TargetImage]:
        return {image.image_id: image for image in self.images}

    def called(self, stem: str) -> TargetImage | None:
        """The image whose path, or whose name, is `stem` but for its suffix."""
        for finder in (self._by_path, self._by_name):
            found = finder.get(stem, [])
            if len(found) > 1:
                raise DataError(f"{shown(stem)} is the name of several images, {found[0].key} and {found[1].key}")
            if found:
                return found[0]
        return None

    def named(self, *endings: str) -> Iterator[tuple[str, TargetImage]]:
        """Every image with its name, without suffix and without the first of these endings that it has."""
        for image in self.images:
            stem = PurePosixPath(image.key).stem
            yield next((stem.removesuffix(end) for end in endings if stem.endswith(end)), stem), image

    @cached_property
    def _by_path(self) -> dict[str, list[TargetImage]]:
        return _grouped(self.images, lambda path: str(path.with_suffix("")))

    @cached_property
    def _by_name(self) -> dict[str, list[TargetImage]]:
        return _grouped(self.images, lambda path: path.stem)


def _grouped(images: Sequence[TargetImage], key_of: Callable[[PurePosixPath], str]) -> dict[str, list[TargetImage]]:
    groups: dict[str, list[TargetImage]] = {}
    for image in images:
        groups.setdefault(key_of(PurePosixPath(image.key)), []).append(image)
    return groups


def _image(record: Record, truth: SplitTruth, number: int) -> TargetImage:
    place, name = truth.image_place(number), record.get("file_name")
    if not isinstance(name, str) or not isinstance(record.get("id"), int | str):
        raise DataError(f"{place}: expected an image with id and file_name, got {shown(record)}")
    size: tuple[Any, Any] = (record.get("height"), record.get("width"))
    if None in size:
        size = image_size_hw(truth.image_root / name) or size
    return TargetImage(record["id"], name, *checked_size_hw(*size, place))
