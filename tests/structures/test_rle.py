"""RLE against pycocotools, and the damage it must refuse."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as oracle

from thingstuff.errors import DataError
from thingstuff.structures import rle
from thingstuff.structures.rle_string import compress, decompress


def oracle_encode(bitmap):
    record = oracle.encode(np.asfortranarray(bitmap.astype(np.uint8)))
    return {"size": [int(n) for n in record["size"]], "counts": record["counts"].decode()}


def masks(seed, number):
    rng = np.random.default_rng(seed)
    for _ in range(number):
        height, width = rng.integers(0, 14, 2)
        yield rng.random((height, width)) < rng.choice([0, 0.05, 0.5, 0.95, 1])


def special_masks():
    corner, last, column, row = (np.zeros((7, 9), bool) for _ in range(4))
    corner[0, 0] = last[-1, -1] = column[:, 3:5] = row[2] = True
    big = np.zeros((700, 1300), bool)
    big[1:, 1:1299] = True
    shapes = [(0, 0), (0, 5), (5, 0), (1, 1), (7, 9)]
    return [corner, last, column, row, big, *(np.zeros(s, bool) for s in shapes), *(np.ones(s, bool) for s in shapes)]


ALL_MASKS = [*special_masks(), *masks(seed=1, number=300)]


def test_encode_equals_pycocotools():
    for bitmap in ALL_MASKS:
        assert rle.encode(bitmap) == oracle_encode(bitmap)


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_decode_gives_the_bitmap_back(dtype):
    for bitmap in ALL_MASKS:
        decoded = rle.decode(oracle_encode(bitmap.astype(dtype)))
        assert decoded.dtype == np.uint8
        np.testing.assert_array_equal(decoded, bitmap)


def test_area_and_box_equal_pycocotools():
    for bitmap in ALL_MASKS:
        record = oracle_encode(bitmap)
        assert rle.area(record) == int(oracle.area(record)) == bitmap.sum()
        assert list(rle.bbox_xywh(record)) == oracle.toBbox(record).tolist()


def test_encode_crop_equals_encoding_the_pasted_crop():
    rng = np.random.default_rng(2)
    for crop in masks(seed=3, number=300):
        left, top, right, bottom = rng.integers(0, 3, 4)
        pasted = np.pad(crop, ((top, bottom), (left, right)))
        assert rle.encode_crop(crop, left, top, *pasted.shape) == oracle_encode(pasted)


def test_decode_crop_is_tight_and_in_place():
    for bitmap in ALL_MASKS:
        crop, (x0, y0, x1, y1) = rle.decode_crop(oracle_encode(bitmap))
        pasted = np.zeros_like(bitmap, np.uint8)
        pasted[y0:y1, x0:x1] = crop
        np.testing.assert_array_equal(pasted, bitmap)
        rows, columns = np.nonzero(bitmap)
        if rows.size:
            assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        else:
            assert (x0, y0, x1, y1) == (0, 0, 0, 0)


def test_any_non_zero_value_is_inside():
    bitmap = np.array([[0, 1, 2], [255, 7, 0]], np.uint8)
    assert rle.encode(bitmap) == oracle_encode(bitmap > 0)


def test_encode_leaves_its_input_alone_and_takes_any_memory_order():
    bitmap = np.random.default_rng(4).random((30, 40)) < 0.5
    before = bitmap.copy()
    assert rle.encode(np.asfortranarray(bitmap)) == rle.encode(bitmap) == rle.encode(bitmap[::-1][::-1])
    np.testing.assert_array_equal(bitmap, before)


def test_an_image_too_large_for_a_bitmap():
    height = width = 60_000
    record = rle.encode_crop(np.ones((2, 3), np.uint8), 59_990, 7, height, width)
    start = 59_990 * height + 7
    gaps = [start, 2, height - 2, 2, height - 2, 2, height * width - start - 2 * height - 2]
    assert decompress(record["counts"]).tolist() == gaps
    crop, box = rle.decode_crop(record)
    assert box == (59_990, 7, 59_993, 9) and crop.all() and crop.shape == (2, 3)
    assert rle.area(record) == int(oracle.area(record)) == 6


def test_strings_equal_pycocotools_for_every_length_of_number():
    rng = np.random.default_rng(5)
    for _ in range(200):
        counts = (2 ** rng.uniform(0, 24, rng.integers(1, 9))).astype(np.int64)
        total = int(counts.sum())
        record = oracle.frPyObjects({"size": [total, 1], "counts": counts.tolist()}, total, 1)
        assert compress(counts) == record["counts"].decode()
        assert decompress(record["counts"]).tolist() == counts.tolist()


def test_strings_hold_every_32_bit_count():
    counts = [0, 2**32 - 1, 0, 0, 2**32 - 1, 15, 16, 17, 2**31, 1]
    assert decompress(compress(counts)).tolist() == counts
    assert decompress("").tolist() == [] and compress([]) == ""


def test_reads_bytes_strings_and_uncompressed_lists():
    bitmap = np.array([[1, 0, 1], [1, 1, 0]], bool)
    text = oracle_encode(bitmap)["counts"]
    for counts in (text, text.encode(), [0, 2, 1, 2, 1], (0, 2, 1, 2, 1), np.array([0, 2, 1, 2, 1])):
        np.testing.assert_array_equal(rle.decode({"size": (2, 3), "counts": counts}), bitmap)


def test_empty_runs_in_the_middle_are_read():
    record = {"size": [3, 3], "counts": [2, 0, 1, 2, 0, 1, 3]}
    expected = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0]).reshape(3, 3).T
    np.testing.assert_array_equal(rle.decode(record), expected)
    assert rle.decode_crop(record)[1] == (1, 0, 2, 3)
    assert rle.bbox_xywh({"size": [2, 2], "counts": [1, 0, 3]}) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"size": [2, 2], "counts": "é4"}, "ASCII"),
        ({"size": [2, 2], "counts": "4 "}, "characters '0' to 'o'"),
        ({"size": [2, 2], "counts": b"\xff4"}, "characters '0' to 'o'"),
        ({"size": [2, 2], "counts": "4o"}, "whole last number"),
        ({"size": [2, 2], "counts": "oooooooooo0"}, "at most 7 characters"),
        ({"size": [2, 2], "counts": "O5"}, "got -1"),
        ({"size": [2, 2], "counts": "5"}, "expected runs of 2 x 2 = 4 pixels, got 5"),
        ({"size": [2, 2], "counts": ""}, "got 0"),
        ({"size": [2, 2], "counts": [5, -1]}, "got -1"),
        ({"size": [2, 2], "counts": [1.5, 2.5]}, "list of integers"),
        ({"size": [2, 2], "counts": None}, "list of integers"),
        ({"size": [2], "counts": "4"}, "height, width"),
        ({"size": [-2, -2], "counts": "4"}, "height, width"),
        ({"size": [2.0, 2.0], "counts": "4"}, "height, width"),
        ({"size": 4, "counts": "4"}, "height, width"),
        ({"counts": "4"}, "size and counts"),
        ([[0, 0, 1, 1, 2, 0]], "size and counts"),
    ],
)
def test_damaged_records_are_refused(record, message):
    for read in (rle.decode, rle.decode_crop, rle.area, rle.bbox_xywh):
        with pytest.raises(DataError, match=message):
            read(record)


def test_random_strings_are_read_or_refused_and_nothing_else():
    rng = np.random.default_rng(6)
    refused = 0
    for _ in range(2000):
        text = bytes(rng.integers(40, 120, rng.integers(0, 12)).astype(np.uint8))
        try:
            counts = decompress(text)
        except DataError:
            refused += 1
            continue
        assert (counts >= 0).all() and decompress(compress(counts)).tolist() == counts.tolist()
    assert 0 < refused < 2000


@pytest.mark.parametrize("corner", [(-1, 0), (0, -1), (4, 0), (0, 4)])
def test_a_crop_outside_the_image_is_refused(corner):
    with pytest.raises(DataError, match="inside 5 x 5"):
        rle.encode_crop(np.ones((2, 2), bool), *corner, 5, 5)


def test_what_is_no_mask_is_refused():
    with pytest.raises(DataError, match="got float64"):
        rle.encode_crop(np.ones((2, 2)), 0, 0, 5, 5)
    with pytest.raises(DataError, match=r"shape \(2, 2, 1\)"):
        rle.encode_crop(np.ones((2, 2, 1), bool), 0, 0, 5, 5)
    with pytest.raises(DataError, match="got 4294967296"):
        compress([2**32])


def test_real_coco_masks(panoptic_coco_dir):
    import json

    records = json.loads((panoptic_coco_dir / "panoptic_coco_detection_format.json").read_text())["annotations"]
    assert records
    for record in records:
        written = record["segmentation"]
        crop, (x0, y0, x1, y1) = rle.decode_crop(written)
        assert rle.encode_crop(crop, x0, y0, *written["size"]) == written
        assert int(crop.sum()) == rle.area(written) == record["area"]
        assert [x0, y0, x1 - x0, y1 - y0] == list(rle.bbox_xywh(written)) == record["bbox"]


@pytest.mark.parametrize(
    "counts", [[2**63 - 1, 2**63 - 1, 50], [2**63, 2**63, 48], [2**32, 48], [2**32 - 1] * 3, ["48"], [1e30]]
)
def test_run_lengths_that_would_run_over_are_refused(counts):
    """Their sum in 64 bits can be that of the image, and decoding would fill the memory."""
    with pytest.raises(DataError, match="RLE: expected"):
        rle.decode_crop({"size": [6, 8], "counts": counts})
