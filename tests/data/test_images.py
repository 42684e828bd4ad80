"""Reading images: Detectron2's answer bit for bit where it is right, the right one elsewhere, one line for a wreck."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from detectron2.data.detection_utils import read_image
from PIL import Image, ImageOps

from thingstuff.data.images import as_bgr, read_image_bgr
from thingstuff.errors import DataError

SUFFIXES = ("jpg", "png", "bmp", "tif", "webp", "gif", "ppm", "jp2")
ORIENTATION = 274


def noise(channels: int | None = 3) -> np.ndarray:
    shape = (24, 35) if channels is None else (24, 35, channels)
    return np.random.default_rng(5).integers(0, 256, shape, np.uint8)


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


def damaged(path, change):
    """The file with its bytes changed."""
    path.write_bytes(change(path.read_bytes()))
    return path


def assert_refused(path, *parts):
    with pytest.raises(DataError) as caught:
        read_image_bgr(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("channels", [3, None])
def test_equals_detectron2(tmp_path, suffix, channels):
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(noise(channels)).save(path)
    ours = read_image_bgr(path)
    np.testing.assert_array_equal(ours, read_image(str(path), format="BGR"))
    assert ours.dtype == np.uint8 and ours.flags.c_contiguous


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_mode_equals_detectron2(tmp_path, mode):
    path = tmp_path / ("image.tif" if mode in ("CMYK", "YCbCr", "LAB") else "image.png")
    Image.fromarray(noise(4 if mode in ("LA", "RGBA") else 3)).convert(mode).save(path)
    with Image.open(path) as image:
        assert image.mode == mode
    np.testing.assert_array_equal(read_image_bgr(path), read_image(str(path), format="BGR"))


def test_cmyk_jpeg_and_transparent_palette_equal_detectron2(tmp_path):
    cmyk, palette = tmp_path / "cmyk.jpg", tmp_path / "palette.png"
    Image.fromarray(noise()).convert("CMYK").save(cmyk)
    Image.fromarray(noise()).quantize(16).save(palette, transparency=3)
    for path in (cmyk, palette):
        np.testing.assert_array_equal(read_image_bgr(path), read_image(str(path), format="BGR"))


def test_16_bit_colour_equals_detectron2(tmp_path):
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 65536, (9, 8, 3), np.uint16))
    np.testing.assert_array_equal(read_image_bgr(path), read_image(str(path), format="BGR"))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_equals_detectron2(tmp_path, suffix, orientation):
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(noise()).save(path, exif=oriented(orientation))
    ours = read_image_bgr(path)
    np.testing.assert_array_equal(ours, read_image(str(path), format="BGR"))
    assert ours.shape == ((35, 24, 3) if orientation > 4 else (24, 35, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_is_turned_once(tmp_path, orientation):
    """Pillow turns it while it is decoded; Detectron2 asked before, and turns it again."""
    path, same = tmp_path / "image.tif", tmp_path / "image.png"
    for file in (path, same):
        Image.fromarray(noise()).save(file, exif=oriented(orientation))
    np.testing.assert_array_equal(read_image_bgr(path), read_image_bgr(same))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm", "jp2"])
def test_16_bit_grey_is_scaled(tmp_path, suffix):
    values = np.arange(65536).astype(np.uint16).reshape(256, 256)
    path = tmp_path / f"grey.{suffix}"
    Image.fromarray(values).save(path)
    expected = np.rint(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(read_image_bgr(path), np.dstack([expected] * 3))


def test_floats_and_32_bit_integers_are_refused(tmp_path):
    for dtype, word in ((np.float32, "floats"), (np.int32, "32-bit")):
        path = tmp_path / f"{word}.tif"
        Image.fromarray(noise(None).astype(dtype)).save(path)
        assert_refused(path, word, "convert it")


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (6, 5), color) for color in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert (read_image_bgr(tmp_path / "moving.gif") == (0, 0, 255)).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(noise()).save(path)
    assert_refused(damaged(path, lambda data: data[: len(data) // 2]), "repair or remove it")


def test_a_png_with_a_changed_byte_is_refused(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(noise()).save(path)
    middle = path.stat().st_size // 2
    assert_refused(damaged(path, lambda d: d[:middle] + bytes([d[middle] ^ 255]) + d[middle + 1 :]), "checksum")


def test_a_damaged_exif_block_does_not_cost_the_image(tmp_path):
    path = tmp_path / "image.jpg"
    Image.fromarray(noise()).save(path, exif=oriented(6))
    damaged(
        path, lambda data: data.replace(b"Exif\0\0MM\0*", b"Exif\0\0MM\0!").replace(b"Exif\0\0II*\0", b"Exif\0\0II!\0")
    )
    assert read_image_bgr(path).shape == (24, 35, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes"),
        (b"<html>not found</html>", "no image"),
        (b"P6 0 0 255\n", "no image"),
        (b"\xff\xd8\xff", "no image"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, content, words):
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    assert_refused(path, words)


def png_of_size(width: int, height: int) -> bytes:
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_impossible_sizes_are_refused(tmp_path):
    for name, size, word in (("zero", (0, 0), "no image"), ("bomb", (60_000, 60_000), "too large")):
        (tmp_path / f"{name}.png").write_bytes(png_of_size(*size))
        assert_refused(tmp_path / f"{name}.png", word)


def test_folders_and_missing_files_are_refused(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    assert_refused(tmp_path / "folder.jpg", "folder")
    assert_refused(tmp_path / "missing.jpg", "no image at")


def test_damaged_bytes_never_end_otherwise(tmp_path):
    """Either the image of Detectron2's reader, or one line."""
    rng = np.random.default_rng(1)
    for suffix in ("jpg", "png", "bmp", "gif", "webp", "jp2", "ppm"):
        path = tmp_path / f"image.{suffix}"
        Image.fromarray(noise()).save(path)
        original = path.read_bytes()
        for _ in range(60):
            data = bytearray(original)
            for place in rng.integers(0, len(data), 3):
                data[place] = rng.integers(256)
            path.write_bytes(bytes(data))
            try:
                ours = read_image_bgr(path)
            except DataError as error:
                assert "\n" not in str(error)
            else:
                np.testing.assert_array_equal(ours, read_image(str(path), format="BGR"))


def test_pil_images(tmp_path):
    rgb = noise()
    np.testing.assert_array_equal(as_bgr(Image.fromarray(rgb)), rgb[:, :, ::-1])
    grey = np.array([[0, 257, 65535]], np.uint16)
    np.testing.assert_array_equal(as_bgr(Image.fromarray(grey))[..., 0], [[0, 1, 255]])
    with pytest.raises(DataError, match="floats"):
        as_bgr(Image.fromarray(np.zeros((2, 2), np.float32)))


def test_a_path_and_its_array_are_the_same_image(tmp_path):
    Image.fromarray(noise()).save(tmp_path / "image.png")
    np.testing.assert_array_equal(as_bgr(str(tmp_path / "image.png")), as_bgr(noise(), "RGB"))


def test_turning_is_what_pillow_calls_upright(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(noise()).save(path, exif=oriented(6))
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(read_image_bgr(path), upright[:, :, ::-1])
