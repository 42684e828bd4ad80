"""PNG files: the numbers come back, other kinds are refused, no half file is left."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from thingstuff.errors import DataError
from thingstuff.structures import read_png, write_png

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("mode", "image"), [("RGB", RGB), ("grey8", RGB[..., 0]), ("grey16", RGB[..., 0].astype(np.uint16) * 257)]
)
def test_round_trip(tmp_path, mode, image):
    path = tmp_path / "a.png"
    write_png(path, image)
    read = read_png(path, mode)
    assert read.dtype == image.dtype
    np.testing.assert_array_equal(read, image)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), image)
    assert list(tmp_path.iterdir()) == [path]


def test_other_kinds_are_refused_with_their_name(tmp_path):
    path = tmp_path / "a.png"
    grey = Image.fromarray(RGB[..., 0])
    for image, kind in [
        (grey, "8-bit grey"),
        (grey.convert("P"), "8-bit palette"),
        (grey.convert("1"), "1-bit grey"),
        (Image.fromarray(RGB).convert("RGBA"), "8-bit RGB with alpha"),
        (grey.convert("LA"), "8-bit grey with alpha"),
    ]:
        image.save(path)
        with pytest.raises(DataError, match=rf"a\.png: expected an 8-bit RGB PNG, got {kind}"):
            read_png(path, "RGB")
    cv2.imwrite(str(path), RGB.astype(np.uint16))
    with pytest.raises(DataError, match="got 16-bit RGB"):
        read_png(path, "RGB")


def test_missing_damaged_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(DataError, match=r"a\.png: cannot be read: No such file"):
        read_png(path, "RGB")
    with pytest.raises(DataError, match="cannot be read"):
        read_png(tmp_path, "RGB")
    path.write_bytes(b"GIF89a")
    with pytest.raises(DataError, match="got no PNG at all"):
        read_png(path, "RGB")
    write_png(path, RGB)
    whole = path.read_bytes()
    for length in range(26, len(whole) - 8):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"a\.png: the PNG is damaged or cut off"):
            read_png(path, "RGB")


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_png(path, RGB)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_png(path, 255 - RGB)
    np.testing.assert_array_equal(read_png(path, "RGB"), RGB)
    assert list(tmp_path.iterdir()) == [path]
