"""PNG files that hold numbers, not pictures: read strictly, written whole or not at all."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.files import whole_file

Mode = Literal["RGB", "grey8", "grey16"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
CHANNELS = {"grey": 1, "RGB": 3, "palette": 1, "grey with alpha": 2, "RGB with alpha": 4}
DAMAGED = "the PNG is damaged or cut off; write it again"
NO_PNG = "no PNG at all"
EXPECTED = {"RGB": "8-bit RGB", "grey8": "8-bit grey", "grey16": "16-bit grey"}
LABEL_KINDS = {f"{depth}-bit {color}" for depth in (1, 2, 4, 8) for color in ("grey", "palette")} | {"16-bit grey"}

_HEAD_BYTES = 33  # the signature and the header with its checksum

MOST_PX = 1 << 28
MOST_OWN_PX = 1 << 30  # of files that we wrote ourselves
MOST_EXPANSION = 1032  # what deflate can make of a byte: 258 bytes from two bits


def read_png(path: Path | str, mode: Mode, most_px: int = MOST_PX) -> NDArray[Any]:
    """H x W x 3 uint8 (RGB order), H x W uint8 or H x W uint16, as `mode` says; any other kind of PNG is refused.

    So is one of more than `most_px` pixels.
    Image libraries turn one kind into another without a word, which changes the numbers in it.
    """
    return _expected(*_read(Path(path), most_px), mode, str(path))


def decode_png(data: bytes, name: str, mode: Mode, most_px: int = MOST_PX) -> NDArray[Any]:
    """As `read_png`, of the bytes of a file, of which messages speak as `name`."""
    return _expected(*_opened(data, name, most_px), mode, name)


def read_label_png(path: Path | str, *, rgb_ids: bool = False) -> NDArray[Any]:
    """The numbers in a PNG as H x W uint8 or uint16: grey of 1 to 16 bits, or the indices into a palette.

    With `rgb_ids` 8-bit RGB is read too, as H x W uint32 R + 256 G + 65536 B. Alpha is refused: it is a picture then.
    """
    header, data = _read(Path(path))
    if rgb_ids and header.kind == EXPECTED["RGB"]:
        return _decoded(data, header, str(path)) @ np.array([1, 1 << 8, 1 << 16], np.uint32)
    if header.kind not in LABEL_KINDS:
        rgb = ", 8-bit RGB" if rgb_ids else ""
        raise DataError(f"{path}: expected a PNG of numbers (grey, palette{rgb}), got {header.kind}")
    labels = _decoded(_without_palette(data) if header.color == "palette" else data, header, str(path))
    # OpenCV spreads fewer bits over 0 to 255
    return labels if header.depth >= 8 else labels // np.uint8(255 // (2**header.depth - 1))


def read_palette(path: Path | str) -> NDArray[np.uint8]:
    """The colours of a palette PNG, K x 3 uint8 (RGB order); K is 0 for a PNG of any other kind."""
    header, data = _read(Path(path))
    if header.color != "palette":
        return np.zeros((0, 3), np.uint8)
    colors = next((data[start + 8 : end - 4] for name, start, end in _chunks(data) if name == b"PLTE"), b"")
    if not colors or len(colors) % 3:
        raise DataError(f"{path}: {DAMAGED}")
    return np.frombuffer(colors, np.uint8).reshape(-1, 3)


def png_kind(path: Path | str) -> str:
    """What its header says, such as "8-bit grey" or "8-bit RGB with alpha"; never an error."""
    try:
        with Path(path).open("rb") as file:
            return _kind(file.read(26))
    except (OSError, ValueError):
        return NO_PNG


def read_mask_png(source: Path | str | bytes, name: str = "", *, by_alpha: bool = False) -> NDArray[np.uint8]:
    """H x W uint8 of 0 and 1 from a PNG of any kind: 1 where a pixel is neither black nor fully transparent.

    `source` is a path, or the bytes of a file, of which messages speak as `name`. With `by_alpha` only transparency
    counts where the PNG has any, whatever its colours are.
    """
    name = name or str(source)
    header, data = _opened(source, name) if isinstance(source, bytes) else _read(Path(source))
    image = _imdecode(data, header, name)
    if image.ndim == 2:
        return np.asarray(image != 0).view(np.uint8)
    has_alpha = image.shape[2] == 4
    if has_alpha and by_alpha:
        return np.asarray(image[..., 3] != 0).view(np.uint8)
    colored = (image[..., :3] != 0).any(axis=2)
    return np.asarray(colored & (image[..., 3] != 0) if has_alpha else colored).view(np.uint8)


def write_png(path: Path | str, image: NDArray[Any]) -> None:
    """Write H x W x 3 uint8 (RGB order), H x W uint8 or H x W uint16; a reader sees the old file or the new one."""
    data = encode_png(image)
    with whole_file(path) as file:
        file.write(data)


def encode_png(image: NDArray[Any]) -> bytes:
    """What `write_png` writes."""
    import cv2

    ordered = np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image
    _, data = cv2.imencode(".png", ordered)
    return bytes(data.tobytes())


def write_palette_png(path: Path | str, indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> None:
    """Write H x W uint8 as indices into a palette, K x 3 uint8 (RGB order); a reader sees the old file or the new one.

    OpenCV, unlike Pillow, writes no palettes, so the colours are put into the grey PNG that it gives.
    """
    import cv2

    _, data = cv2.imencode(".png", np.ascontiguousarray(indices))
    colors = b"PLTE" + np.asarray(palette, np.uint8).tobytes()
    chunk = (len(colors) - 4).to_bytes(4, "big") + colors + zlib.crc32(colors).to_bytes(4, "big")
    with whole_file(path) as file:
        file.write(_head_of(data.tobytes(), "palette") + chunk + data.tobytes()[_HEAD_BYTES:])


@dataclass(frozen=True)
class _Header:
    height: int
    width: int
    depth: int
    color: str
    kind: str

    @property
    def content_bytes(self) -> int:
        """How much must come out of the file when it is decompressed."""
        return self.height * ((self.width * CHANNELS.get(self.color, 1) * self.depth + 7) // 8)


def _read(path: Path, most_px: int = MOST_PX) -> tuple[_Header, bytes]:
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return _opened(data, str(path), most_px)


def _opened(data: bytes, name: str, most_px: int = MOST_PX) -> tuple[_Header, bytes]:
    """What stands at fixed places at the beginning; what would fill the memory is refused before it is decoded."""
    if _kind(data) == NO_PNG:
        raise DataError(f"{name}: expected a PNG, got {NO_PNG}")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    header = _Header(height, width, data[24], COLOR_TYPES.get(data[25], "unknown"), _kind(data))
    if height * width > most_px:
        raise DataError(
            f"{name}: {width} x {height} pixels are more than the {most_px} that are read: cut it into tiles"
        )
    if header.content_bytes > MOST_EXPANSION * len(data):
        raise DataError(
            f"{name}: {DAMAGED} ({len(data)} bytes cannot hold the {width} x {height} pixels that it announces)"
        )
    return header, data


def _expected(header: _Header, data: bytes, mode: Mode, name: str) -> NDArray[Any]:
    if header.kind != EXPECTED[mode]:
        raise DataError(f"{name}: expected an {EXPECTED[mode]} PNG, got {header.kind}")
    return _decoded(data, header, name)


def _kind(data: bytes) -> str:
    """The bit depth and the colour type stand at fixed places."""
    if data[:8] != SIGNATURE or len(data) < 26:
        return NO_PNG
    return f"{data[24]}-bit {COLOR_TYPES.get(data[25], 'unknown')}"


def _decoded(data: bytes, header: _Header, name: str) -> NDArray[Any]:
    """Grey or RGB as the header says it; a PNG that makes one of its values transparent has one channel more."""
    import cv2

    image = _imdecode(data, header, name)
    if image.shape[2:] != ((3,) if header.color == "RGB" else ()):
        raise DataError(f"{name}: expected a PNG of numbers, got a picture with transparency: write it without")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if header.color == "RGB" else image


def _imdecode(data: bytes, header: _Header, name: str) -> NDArray[Any]:
    import cv2

    *before, (last, _, last_end) = _chunks(data)
    # OpenCV makes room for whatever a chunk says that it holds, even behind the last one, which may lack its checksum
    if last != b"IEND" or last_end > len(data) + 4 or any(end > len(data) for _, _, end in before):
        raise DataError(f"{name}: {DAMAGED}")
    try:
        image = cv2.imdecode(np.frombuffer(data[:last_end], np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None or image.shape[:2] != (header.height, header.width):
        raise DataError(f"{name}: {DAMAGED}")
    return image


def _without_palette(data: bytes) -> bytes:
    """A palette PNG as a grey one of as many bits: its values are the indices, which no reader here gives as such."""
    kept = [data[start:end] for name, start, end in _chunks(data) if name in (b"IDAT", b"IEND")]
    return b"".join([_head_of(data, "grey"), *kept])


def _head_of(data: bytes, color: str) -> bytes:
    """Signature and header of the same PNG with another colour type."""
    number = next(number for number, name in COLOR_TYPES.items() if name == color)
    header = data[12:25] + bytes([number]) + data[26:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each part of the file, to the last one; an end may lie beyond the file's."""
    start = len(SIGNATURE)
    while start + 8 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        name = data[start + 4 : start + 8]
        yield name, start, end
        start = len(data) if name == b"IEND" else end  # what some programs append is no part of it
