"""Pictures as a web page takes them: WebP, no larger than a screen shows, as bytes or inside a link."""

from __future__ import annotations

import base64
import io

import cv2
import numpy as np
from PIL import Image

from thingstuff.errors import DataError

_KINDS = {"webp": "image/webp", "jpg": "image/jpeg", "png": "image/png"}
_METHOD = 2  # of 0 to 6: twice as fast as the usual 4, and 2 % larger


def encode_picture(picture: np.ndarray | bytes, max_side_px: int, quality: int) -> bytes:
    """H x W x 3 uint8 BGR -> a WebP file, shrunk so that its longer side has at most `max_side_px`.

    What is encoded already stays as it is.
    """
    if isinstance(picture, bytes):
        kind_of(picture)  # refuses what no browser shows
        return picture
    file = io.BytesIO()
    rgb = cv2.cvtColor(shrink(picture, max_side_px, cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    Image.fromarray(rgb).save(file, "WEBP", quality=quality, method=_METHOD)
    return file.getvalue()


def encode_thumbnail(picture: np.ndarray | bytes, side_px: int, quality: int) -> bytes:
    """The same for a small picture, also of one that is encoded already."""
    if isinstance(picture, bytes):
        decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            raise DataError(f"the {kind_of(picture)} file is damaged or cut off")
        picture = decoded
    return encode_picture(picture, side_px, quality)


def shrink(array: np.ndarray, max_side_px: int, interpolation: int) -> np.ndarray:
    """`array` itself where it is small enough."""
    height, width = array.shape[:2]
    factor = max_side_px / max(height, width)
    if factor >= 1:
        return array
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return cv2.resize(array, size, interpolation=interpolation)


def kind_of(file: bytes) -> str:
    """`webp`, `jpg` or `png`, by the first bytes; these are also the suffixes."""
    if file[:4] == b"RIFF" and file[8:12] == b"WEBP":
        return "webp"
    if file[:3] == b"\xff\xd8\xff":
        return "jpg"
    if file[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    raise DataError(f"a picture given as bytes must be a WebP, JPEG or PNG file, but begins with {file[:12]!r}")


def data_url(file: bytes) -> str:
    """The file inside a link, so that a page needs no other file."""
    return f"data:{_KINDS[kind_of(file)]};base64,{base64.b64encode(file).decode()}"
