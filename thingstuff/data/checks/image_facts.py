"""The image files of a split: where each is, what it holds, and a hash of its pixels, looked up once for all checks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from PIL import ExifTags, Image

from thingstuff.cores import usable_cores
from thingstuff.data.checks.listed_files import ListedFiles, Located
from thingstuff.data.formats.image_files import UNREADABLE, image_size_hw
from thingstuff.data.images import read_image_bgr
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched

MOST_PX = 50_000_000  # above it the pixels are not looked at: a small file can unpack to gigabytes
_BLOCK = 32  # images a task, so that a task for each of a million images need not be kept
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One image file as training will read it: turned as its EXIF tag says, `size_hw` in pixels.

    `fault` says why it cannot be read; all else is unknown then. `digest` is of the size and the pixels, None for an
    image above MOST_PX. `kinds` are properties that the reader does not keep, and what it makes of each.
    """

    fault: str | None = None
    size_hw: tuple[int, int] = (0, 0)
    orientation: int = 1
    kinds: tuple[str, ...] = ()
    digest: bytes | None = None


@dataclass(frozen=True)
class ImageFiles:
    """The images of a split; `located` and `facts` go by the numbers of the image records."""

    files: ListedFiles
    located: Sequence[Located]

    @classmethod
    def of(cls, split: SplitTruth) -> ImageFiles:
        files = ListedFiles(split.image_root)
        return cls(files, [files.find(image.get("file_name")) for image in split.images])

    @cached_property
    def facts(self) -> Sequence[ImageFacts | None]:
        """None for a file that is not there, or is outside of the image folder. Opens every image."""
        with warnings.catch_warnings():  # Pillow's, of files that are named anyway
            warnings.simplefilter("ignore")
            return list(in_threads(_facts_of, self.located, "images"))


def in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item], title: str) -> Iterator[_Result]:
    """The results in order, while the progress is shown. Reading and decoding do not hold up other threads."""
    blocks = [items[start : start + _BLOCK] for start in range(0, len(items), _BLOCK)]
    pool = ThreadPoolExecutor(min(16, usable_cores()))
    try:
        done = pool.map(partial(_each, function), blocks)
        yield from chain.from_iterable(results for _, results in zip(watched(blocks, title), done, strict=True))
    finally:
        pool.shutdown(cancel_futures=True)


def _each(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    return [function(item) for item in items]


def _facts_of(located: Located) -> ImageFacts | None:
    return read_facts(Path(located.path)) if located.state == "there" else None


def read_facts(path: Path) -> ImageFacts:
    """The facts of one image file."""
    try:
        size_hw = image_size_hw(path)
        if size_hw is not None and size_hw[0] * size_hw[1] > MOST_PX:
            return ImageFacts(size_hw=size_hw, orientation=orientation_of(path))
        pixels = read_image_bgr(path)
    except DataError as error:
        return ImageFacts(fault=str(error))
    digest = blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(pixels)
    kinds, orientation = _kinds(path), orientation_of(path)
    return ImageFacts(None, pixels.shape[:2], orientation, kinds, digest.digest())


def orientation_of(path: Path) -> int:
    """The EXIF orientation of an image file, 1 where there is none."""
    try:
        with Image.open(path) as image:
            is_known = "exif" in image.info or image.format != "PNG"  # else Pillow searches behind the pixels
            return int(image.getexif().get(ExifTags.Base.Orientation, 1)) if is_known else 1
    except UNREADABLE:
        return 1


def _kinds(path: Path) -> tuple[str, ...]:
    try:
        with Image.open(path) as image:
            return tuple(_kinds_of(image, path))
    except UNREADABLE:  # it was read a moment ago, so what is broken concerns nobody
        return ()


def _kinds_of(image: Image.Image, path: Path) -> Iterator[str]:
    if _is_16_bit(image, path):
        yield "it has 16 bit a channel, which are scaled to 8"
    if image.mode == "CMYK":
        yield "it is CMYK, which is turned to RGB without its colour profile"
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a photograph with a preview
        yield f"it has {frames} frames, of which the first is read"
    if (image.mode in _ALPHA or "transparency" in image.info) and _is_transparent(image):
        yield "some of it is transparent, and what colours are hidden there are shown"


def _is_16_bit(image: Image.Image, path: Path) -> bool:
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24:] == b"\x10"
    if image.format == "TIFF":
        bits: Any = image.tag_v2.get(258, (8,))  # type: ignore[attr-defined]
        return max(bits) == 16
    return image.mode.startswith("I")


def _is_transparent(image: Image.Image) -> bool:
    return image.convert("RGBA").getchannel("A").getextrema()[0] < 255
