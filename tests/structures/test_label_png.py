"""PNGs of labels and of masks: every kind gives its numbers, and what would fill the memory is refused at once."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from thingstuff.errors import DataError
from thingstuff.structures import png, read_png, write_png

LABELS = np.random.default_rng(0).integers(0, 200, (5, 7)).astype(np.uint8)


def saved(path, array, bits=8, palette=False, **more):
    """PIL writes what OpenCV cannot: palettes, and fewer bits."""
    image = Image.frombytes("P" if palette else "L", array.shape[::-1], array.tobytes())
    if palette:
        image.putpalette(bytes(range(255, -1, -1)) * 3)
        more["bits"] = bits
    image.save(path, **more)
    return path


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparency", [{}, {"transparency": 0}])
def test_a_palette_gives_its_indices(tmp_path, bits, transparency):
    indices = LABELS % (2**bits - 1 if bits > 1 else 2)
    path = saved(tmp_path / "a.png", indices, bits, palette=True, **transparency)
    assert png.png_kind(path) == f"{bits}-bit palette"
    read = png.read_label_png(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, indices)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_not_spread(tmp_path, bits):
    """Written by hand, since PIL has one bit alone."""
    indices = LABELS % (2**bits)
    (tmp_path / "a.png").write_bytes(few_bits(indices, bits))
    np.testing.assert_array_equal(png.read_label_png(tmp_path / "a.png"), indices)
    with pytest.raises(DataError, match=f"expected an 8-bit grey PNG, got {bits}-bit grey"):
        read_png(tmp_path / "a.png", "grey8")


def few_bits(values, bits):
    height, width = values.shape
    rows = [np.packbits(((row[:, None] >> np.arange(bits)[::-1]) & 1).reshape(-1)).tobytes() for row in values]
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    return file_of(header(width, height, bits, 0), (b"IDAT", content), (b"IEND", b""))


def header(width, height, depth, color):
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)


def file_of(*chunks):
    parts = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    return png.SIGNATURE + b"".join(parts)


def test_grey_and_rgb(tmp_path):
    path = tmp_path / "a.png"
    for array in (LABELS, LABELS.astype(np.uint16) * 300):
        write_png(path, array)
        read = png.read_label_png(path)
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)
    rgb = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    write_png(path, rgb)
    with pytest.raises(DataError, match=r"a\.png: expected a PNG of numbers \(grey, palette\), got 8-bit RGB"):
        png.read_label_png(path)
    red, green, blue = np.moveaxis(rgb.astype(np.uint32), 2, 0)
    read = png.read_label_png(path, rgb_ids=True)
    assert read.dtype == np.uint32
    np.testing.assert_array_equal(read, red + 256 * green + 65536 * blue)


def test_transparency_is_refused(tmp_path):
    path = tmp_path / "a.png"
    for mode in ("LA", "RGBA"):
        Image.fromarray(LABELS).convert(mode).save(path)
        with pytest.raises(DataError, match="with alpha"):
            png.read_label_png(path, rgb_ids=True)
    Image.fromarray(np.dstack([LABELS] * 3)).save(path, transparency=(1, 2, 3))
    with pytest.raises(DataError, match="got a picture with transparency"):
        png.read_label_png(path, rgb_ids=True)


def test_masks_are_what_is_neither_black_nor_transparent(tmp_path):
    mask = (LABELS > 100).astype(np.uint8)
    path = tmp_path / "a.png"
    for mode in ("1", "L", "P", "LA", "RGB", "RGBA"):
        Image.fromarray(mask * 255).convert(mode).save(path)
        read = png.read_mask_png(path)
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, mask)
    four = np.dstack([np.full_like(mask, 255)] * 3 + [mask])
    Image.fromarray(four).save(path)
    np.testing.assert_array_equal(png.read_mask_png(path.read_bytes(), "here"), mask)
    with pytest.raises(DataError, match="^here: expected a PNG, got no PNG at all"):
        png.read_mask_png(b"GIF", "here")


def test_what_a_header_announces_is_not_believed(tmp_path):
    path = tmp_path / "a.png"
    little = zlib.compress(bytes(1000))
    for width, height, message in [
        (60_000, 60_000, "60000 x 60000 pixels are more than the 268435456 that are read"),
        (2**32 - 1, 2**32 - 1, "are more than"),
        (16_000, 16_000, r"bytes cannot hold the 16000 x 16000 pixels"),
        (300, 200, "damaged or cut off"),
    ]:
        path.write_bytes(file_of(header(width, height, 8, 0), (b"IDAT", little), (b"IEND", b"")))
        for read in (
            lambda: read_png(path, "grey8"),
            lambda: png.read_label_png(path),
            lambda: png.read_mask_png(path),
        ):
            with pytest.raises(DataError, match=message):
                read()
    file = io.BytesIO()
    Image.fromarray(LABELS).save(file, "PNG")
    whole = file.getvalue()
    at = whole.index(b"IDAT") - 4
    path.write_bytes(whole[:at] + struct.pack(">I", 2**31 - 1) + whole[at + 4 :])
    with pytest.raises(DataError, match="damaged or cut off"):
        png.read_label_png(path)
    path.write_bytes(whole + b"something that a program appended")
    np.testing.assert_array_equal(png.read_label_png(path), LABELS)


def test_the_kind_of_no_png(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "a.png", "a\0b"):
        assert png.png_kind(path) == "no PNG at all"


def test_a_palette_is_written_and_read(tmp_path):
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4)
    palette = np.random.default_rng(0).integers(0, 256, (16, 3)).astype(np.uint8)
    png.write_palette_png(tmp_path / "a.png", indices, palette)
    assert png.png_kind(tmp_path / "a.png") == "8-bit palette"
    np.testing.assert_array_equal(png.read_palette(tmp_path / "a.png"), palette)
    np.testing.assert_array_equal(png.read_label_png(tmp_path / "a.png"), indices)
    image = Image.open(tmp_path / "a.png")
    np.testing.assert_array_equal(np.array(image), indices)
    np.testing.assert_array_equal(np.array(image.convert("RGB")), palette[indices])


def test_what_has_no_palette(tmp_path):
    png.write_png(tmp_path / "a.png", np.zeros((3, 4), np.uint8))
    assert png.read_palette(tmp_path / "a.png").shape == (0, 3)
    png.write_palette_png(tmp_path / "a.png", np.zeros((3, 4), np.uint8), np.zeros((2, 3), np.uint8))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole.replace(b"PLTE", b"PLTX"))
    with pytest.raises(DataError, match=r"a\.png: the PNG is damaged or cut off"):
        png.read_palette(tmp_path / "a.png")
