"""PNG files that hold numbers, not pictures: read strictly, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.files import whole_file

Mode = Literal["RGB", "grey8", "grey16"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
EXPECTED = {"RGB": "8-bit RGB", "grey8": "8-bit grey", "grey16": "16-bit grey"}


def read_png(path: Path | str, mode: Mode) -> NDArray[Any]:
    """H x W x 3 uint8 (RGB order), H x W uint8 or H x W uint16, as `mode` says; any other kind of PNG is refused.

    Image libraries turn one kind into another without a word, which changes the numbers in it.
    """
    import cv2

    data = _read_bytes(Path(path))
    if _kind(data) != EXPECTED[mode]:
        raise DataError(f"{path}: expected an {EXPECTED[mode]} PNG, got {_kind(data)}")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DataError(f"{path}: the PNG is damaged or cut off; write it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if mode == "RGB" else image


def write_png(path: Path | str, image: NDArray[Any]) -> None:
    """Write H x W x 3 uint8 (RGB order), H x W uint8 or H x W uint16; a reader sees the old file or the new one."""
    import cv2

    ordered = np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image
    _, data = cv2.imencode(".png", ordered)
    with whole_file(path) as file:
        file.write(data.tobytes())


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _kind(data: bytes) -> str:
    """What the header says: the bit depth and the colour type stand at fixed places."""
    if data[:8] != SIGNATURE or len(data) < 26:
        return "no PNG at all"
    return f"{data[24]}-bit {COLOR_TYPES.get(data[25], 'unknown')}"
