"""Images from files, arrays and PIL, all as the H x W x 3 uint8 BGR array that the rest of the toolkit takes."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from thingstuff.errors import DataError

Channels = Literal["BGR", "RGB"]

# what Pillow's readers raise on files that are damaged in one way or another
_DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, SyntaxError, LookupError, ArithmeticError),
    *(RuntimeError, MemoryError, struct.error, zlib.error),
)
_LIMIT_LOCK = threading.Lock()
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image_bgr(path: str | Path, max_pixels: int | None = None) -> np.ndarray:
    """The image of a file as H x W x 3 uint8 BGR, turned as its EXIF tag says; of several frames the first.

    An image of more pixels than Pillow trusts (179 million) is refused unless `max_pixels` allows it.

    Equal to Detectron2's `read_image(path, "BGR")`, which training uses, bit for bit, but for two kinds of files that
    it gets wrong: 16-bit grey is scaled (value / 257, rounded) where Detectron2 cuts it off at 255, and a TIFF with
    an orientation is turned once where Detectron2 turns it twice. Transparency is dropped, as there. PNGs whose
    checksums are wrong and images of floats or 32-bit integers, whose range nobody states, are refused.
    """
    path = Path(path)
    _refuse_no_file(path)
    with _damage_named(str(path)), path.open("rb") as file:
        return _decoded(file, str(path), max_pixels)


def image_bgr_of(data: bytes, name: str, max_pixels: int | None = None) -> np.ndarray:
    """As `read_image_bgr`, of the bytes of a file, of which messages speak as `name`."""
    if not data:
        raise DataError(f"{name} is empty (0 bytes), no image: repair or remove it")
    with _damage_named(name):
        return _decoded(io.BytesIO(data), name, max_pixels)


def as_bgr(image: Any, channels: Channels = "BGR", max_pixels: int | None = None) -> np.ndarray:
    """A path, a PIL image or an H x W x 3 uint8 array (`channels` says its order) -> BGR. Never the array handed in.

    `max_pixels` is of a file.
    """
    if isinstance(image, str | Path):
        return read_image_bgr(image, max_pixels)
    if isinstance(image, Image.Image):
        return _bgr(image, "the PIL image")
    if channels not in ("BGR", "RGB"):
        raise DataError(f"channels is {channels!r}, expected 'BGR' or 'RGB'")
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise DataError(f"expected a path, a PIL image or H x W x 3 uint8, got {array.dtype} of shape {array.shape}")
    return (array if channels == "BGR" else array[:, :, ::-1]).copy()


def _refuse_no_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path} is a folder, not an image: name the images in it")
    if not path.is_file():
        raise DataError(f"no image at {path}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes), no image: repair or remove it")


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """Turns whatever a damaged file makes Pillow raise into one line."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise DataError(f"{name} is no image in a format that can be read: repair or remove it") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} is too large ({_one_line(error)}): cut it into tiles, as --tile PX does") from error
    except DataError:
        raise
    except _DAMAGE as error:
        raise DataError(f"{name} is no image that can be read ({_one_line(error)}): repair or remove it") from error


def _decoded(file: BinaryIO, name: str, max_pixels: int | None) -> np.ndarray:
    with _pixels_allowed(file, max_pixels):
        return _bgr(_turned(_opened(file)), name)


@contextmanager
def _pixels_allowed(file: BinaryIO, max_pixels: int | None) -> Iterator[None]:
    """Pillow's limit, one for the whole process, raised while a file is decoded that needs it and may have it."""
    if max_pixels is None or not _is_refused(file):
        yield
        return
    with _LIMIT_LOCK:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels // 2  # Pillow refuses above twice that
        try:
            with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
                yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _is_refused(file: BinaryIO) -> bool:
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            Image.open(file)  # the header alone
    except Image.DecompressionBombError:
        return True
    except (UnidentifiedImageError, *_DAMAGE):
        return False
    finally:
        file.seek(0)
    return False


def _opened(file: BinaryIO) -> Image.Image:
    """The decoded image; a file that ends too early is noticed here and not before."""
    image = Image.open(file)
    if image.format == "PNG":
        image.verify()  # decoding does not look at the checksums; verifying consumes the image
        file.seek(0)
        image = Image.open(file)
    image.load()
    return image


def _turned(image: Image.Image) -> Image.Image:
    # asked after decoding, when Pillow has turned TIFFs already and says so
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except _DAMAGE:  # the pixels are good even where the EXIF block is not
        turn = None
    return image if turn is None else image.transpose(turn)


def _bgr(image: Image.Image, name: str) -> np.ndarray:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return _bgr_of_16_bit(np.asarray(image))
    if image.mode in ("F", "I"):
        kind = "floats" if image.mode == "F" else "32-bit integers"
        raise DataError(f"{name} holds {kind}, whose range is not known: convert it to 8 or 16 bit")
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def _bgr_of_16_bit(grey: np.ndarray) -> np.ndarray:
    """H x W of 0 to 65535 -> H x W x 3 uint8; 65535 is 255 * 257."""
    scaled = ((grey.astype(np.int32) + 128) // 257).astype(np.uint8)
    return np.repeat(scaled[:, :, None], 3, axis=2)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
