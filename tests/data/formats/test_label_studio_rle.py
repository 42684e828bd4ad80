"""Label Studio's brush masks, bit by bit as https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack packs."""

from __future__ import annotations

import time

import numpy as np
import pytest

from thingstuff.data.formats.bounded_masks import bounded_mask
from thingstuff.data.formats.label_studio_rle import decode_brush, encode_brush
from thingstuff.structures import MaskCrops


def values_of(data):
    """The description, bit by bit."""
    bits, at = "".join(f"{byte:08b}" for byte in data), 0

    def number(count):
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    total, word_bits = number(32), number(5) + 1
    sizes, values = [number(4) + 1 for _ in range(4)], []
    while len(values) < total:
        is_run = number(1)
        length = number(sizes[number(2)]) + 1
        values += [number(word_bits)] * length if is_run else [number(word_bits) for _ in range(length)]
    return values


def packed(values, rng, sizes=(3, 4, 8, 16)):
    """Values as units of any kind and length, as another program might pack them."""
    bits, at = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in sizes), 0
    while at < len(values):
        which = rng.integers(4)
        length = int(min(rng.integers(1, (1 << min(8, sizes[which])) + 1), len(values) - at))
        part = values[at : at + length]
        is_run = len(set(part)) == 1 and rng.random() < 0.7
        bits += f"{int(is_run)}{which:02b}{length - 1:0{sizes[which]}b}"
        bits += "".join(f"{value:08b}" for value in (part[:1] if is_run else part))
        at += length
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[n : n + 8], 2) for n in range(0, len(bits), 8))


def cropped(bitmap):
    return bounded_mask(MaskCrops.from_bitmaps(bitmap[None]).to_rles()[0], *bitmap.shape)


def pasted(crop, box, size_hw):
    bitmap = np.zeros(size_hw, bool)
    bitmap[box[1] : box[3], box[0] : box[2]] = crop
    return bitmap


def masks(rng):
    for number in range(60):
        size_hw = tuple(int(n) for n in rng.integers(1, 30, 2))
        mask = rng.random(size_hw) < (0, 1, 0.5, 0.05, 0.95)[number % 5]
        if number % 3 == 0:
            mask = np.repeat(mask, 9, axis=1)
        yield mask


def test_written_masks_are_what_the_description_reads():
    for mask in masks(np.random.default_rng(0)):
        crop, box = cropped(mask)
        data = encode_brush(crop, box, mask.shape)
        np.testing.assert_array_equal(
            np.reshape(values_of(data), (*mask.shape, 4)), 255 * np.repeat(mask[..., None], 4, 2)
        )
        again, place = decode_brush(bytes(data), mask.shape, "")
        assert place == (box if mask.any() else (0, 0, 0, 0))
        np.testing.assert_array_equal(pasted(again, place, mask.shape), mask)


@pytest.mark.parametrize("sizes", [(3, 4, 8, 16), (1, 2, 5, 11), (16, 1, 9, 3)])
def test_units_of_all_kinds_are_read(sizes):
    """Runs and single values by turns, colours, pixels that a unit begins in; the mask is where alpha is above 0."""
    rng = np.random.default_rng(1)
    for mask in masks(rng):
        values = rng.integers(0, 256, (*mask.shape, 4))
        if rng.random() < 0.5:
            values[..., :] = rng.integers(1, 256)
        values[..., 3] = np.where(mask, np.maximum(values[..., 3], 1), 0)
        crop, box = decode_brush(packed(values.ravel().tolist(), rng, sizes), mask.shape, "")
        np.testing.assert_array_equal(pasted(crop, box, mask.shape), mask)


def test_the_head_of_an_export():
    """The first bytes of a mask of 3332 x 2527 pixels that Label Studio itself wrote, all of it empty."""
    data = encode_brush(np.zeros((0, 0), np.uint8), (0, 0, 0, 0), (2527, 3332))
    assert data[:12] == [2, 1, 233, 240, 57, 27, 255, 255, 255, 0, 255, 255]
    assert decode_brush(bytes(data), (2527, 3332), "")[0].size == 0


def test_a_megapixel_takes_no_second():
    y, x = np.mgrid[:1000, :1000]
    crop, box = cropped((x - 500) ** 2 + (y - 500) ** 2 < 400**2)
    start = time.process_time()
    for _ in range(5):
        again, place = decode_brush(bytes(encode_brush(crop, box, (1000, 1000))), (1000, 1000), "")
    assert time.process_time() - start < 2.5
    assert place == box
    np.testing.assert_array_equal(again, crop)
