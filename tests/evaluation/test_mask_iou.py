"""mask_iou and mask_ious against pycocotools and against fractions written out."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as oracle

from thingstuff.errors import DataError
from thingstuff.evaluation.mask_iou import mask_iou, mask_ious
from thingstuff.structures import MaskCrops


def box_bitmap(height, width, x0, y0, x1, y1):
    bitmap = np.zeros((height, width), bool)
    bitmap[y0:y1, x0:x1] = True
    return bitmap


def random_bitmaps(rng, height, width, count):
    """Boxes, speckles, whole images and nothing."""
    bitmaps = np.zeros((count, height, width), bool)
    for bitmap in bitmaps:
        x0, x1 = np.sort(rng.integers(0, width + 1, 2))
        y0, y1 = np.sort(rng.integers(0, height + 1, 2))
        bitmap[y0:y1, x0:x1] = rng.random((y1 - y0, x1 - x0)) < rng.choice([0.1, 0.6, 1])
        bitmap[:] |= rng.random() < 0.05
    return bitmaps


def random_polygons(rng, height, width):
    """One or two polygons of 3 to 7 corners, partly outside the image."""
    sizes = 2 * rng.integers(3, 8, rng.integers(1, 3))
    return [np.resize(rng.uniform(-4, max(height, width) + 4, size), size).tolist() for size in sizes]


def oracle_rles(bitmaps):
    return [oracle.encode(np.asfortranarray(bitmap.astype(np.uint8))) for bitmap in bitmaps]


def oracle_ious(first, second, crowd):
    """pycocotools gives a list without shape when one set is empty."""
    return np.reshape(oracle.iou(first, second, [int(c) for c in crowd]), (len(first), len(second)))


@pytest.mark.parametrize("seed", range(300))
def test_equals_pycocotools_on_random_sets(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 40, 2))
    first, second = (random_bitmaps(rng, height, width, rng.integers(0, 7)) for _ in range(2))
    second = np.concatenate([second, first[: rng.integers(0, 3)]])  # some are identical
    crowd = rng.random(len(second)) < 0.3
    rles = oracle_rles(first), oracle_rles(second)
    sets = [
        [MaskCrops.from_bitmaps(bitmaps) for bitmaps in (first, second)],
        [MaskCrops.from_rles(records, height, width) for records in rles],
        [whole_image_crops(first), MaskCrops.from_bitmaps(second.astype(np.uint8) * 255)],
    ]
    for a, b in sets:
        np.testing.assert_array_equal(mask_ious(a, b, crowd=crowd.tolist()), oracle_ious(*rles, crowd))
        np.testing.assert_array_equal(mask_ious(a, b), oracle_ious(*rles, 0 * crowd))


def whole_image_crops(bitmaps):
    """Boxes far larger than the masks, and crops that are not contiguous in memory."""
    count, height, width = bitmaps.shape
    crops = tuple(np.asfortranarray(bitmap.astype(np.uint8)[::-1, ::-1])[::-1, ::-1] for bitmap in bitmaps)
    return MaskCrops(crops, np.array([[0, 0, width, height]] * count, np.int32).reshape(-1, 4), height, width)


@pytest.mark.parametrize("seed", range(200))
def test_polygons_equal_pycocotools(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(8, 60, 2))
    first, second = ([random_polygons(rng, height, width) for _ in range(rng.integers(1, 5))] for _ in range(2))
    crowd = rng.random(len(second)) < 0.3
    rles = [[oracle.merge(oracle.frPyObjects(p, height, width)) for p in polygons] for polygons in (first, second)]
    masks = [MaskCrops.from_polygons(polygons, height, width) for polygons in (first, second)]
    np.testing.assert_array_equal(mask_ious(*masks, crowd=crowd), oracle_ious(*rles, crowd))
    expected = oracle_ious([rles[0][0]], [rles[1][0]], [False])[0, 0]
    assert mask_iou(first[0], second[0], height=height, width=width) == expected


def forms(bitmap, polygons):
    """One mask in every form that mask_iou reads."""
    (rle,) = oracle_rles([bitmap])
    text = {"size": list(rle["size"]), "counts": rle["counts"].decode()}
    runs = np.flatnonzero(np.diff(bitmap.ravel(order="F"), prepend=False)).tolist()
    uncompressed = {"size": text["size"], "counts": np.diff([0, *runs, bitmap.size]).tolist()}
    return [bitmap, bitmap.astype(np.uint8) * 7, rle, text, uncompressed, polygons]


def test_example_written_out_in_every_pair_of_forms():
    """4 x 3 and 3 x 4 pixels with 2 x 2 in common: 4 / (12 + 12 - 4)."""
    a = forms(box_bitmap(9, 10, 1, 1, 5, 4), [[1, 1, 5, 1, 5, 4, 1, 4]])
    b = forms(box_bitmap(9, 10, 3, 2, 6, 6), [[3, 2, 6, 2, 6, 6, 3, 6]])
    for one in a:
        for other in b:
            iou = mask_iou(one, other, height=9, width=10)
            assert iou == mask_iou(other, one, height=9, width=10) == 4 / (12 + 12 - 4)
            assert type(iou) is float
    for one in a[:-1]:  # of which each has a size, so that the other needs none
        assert [mask_iou(one, other) for other in b] == [mask_iou(other, one) for other in b] == [4 / 20] * 6
        assert mask_iou(one, b[-1], width=10) == 4 / 20


def test_sets_in_every_form():
    """Masks of one set may differ in form; any mask with a size says it for the polygons of both sets."""
    boxes = [(1, 1, 5, 4), (3, 2, 6, 6), (0, 0, 10, 9)]
    bitmaps = np.stack([box_bitmap(9, 10, *box) for box in boxes])
    polygons = [[[x0, y0, x1, y0, x1, y1, x0, y1]] for x0, y0, x1, y1 in boxes]
    rles, masks = oracle_rles(bitmaps), MaskCrops.from_bitmaps(bitmaps)
    expected = [[1, 4 / 20, 12 / 90], [4 / 20, 1, 12 / 90], [12 / 90, 12 / 90, 1]]
    sized = [masks, bitmaps, bitmaps.astype(np.uint8) * 9, list(bitmaps), rles, (rles[0], polygons[1], bitmaps[2])]
    for first in sized:
        for second in [*sized, polygons]:
            assert mask_ious(first, second).tolist() == mask_ious(second, first).tolist() == expected
            assert mask_ious(first, second, height=9, width=10).tolist() == expected
    assert mask_ious(polygons, polygons, height=9, width=10).tolist() == expected
    crowd = [[1, 4 / 12, 12 / 12], [4 / 12, 1, 12 / 12], [12 / 90, 12 / 90, 1]]
    assert mask_ious(polygons, rles, crowd=[1, 1, 1]).tolist() == crowd


def test_empty_lists_are_sets_without_masks():
    bitmaps = np.ones((2, 4, 5), bool)
    for full in (bitmaps, list(bitmaps), MaskCrops.from_bitmaps(bitmaps), oracle_rles(bitmaps)):
        assert mask_ious([], full).shape == (0, 2)
        assert mask_ious(full, ()).shape == (2, 0)
    assert mask_ious([], [POLYGON], height=4, width=5).shape == (0, 1)
    assert mask_ious([POLYGON], bitmaps[:0]).shape == (1, 0)
    assert mask_ious([], []).shape == mask_ious([], [], height=4, width="5").shape == (0, 0)
    assert mask_ious([[]], bitmaps).tolist() == [[0, 0]]  # one mask, of no polygons


def test_crowd_divides_by_the_area_of_the_first():
    small, large = box_bitmap(6, 6, 0, 0, 2, 2), box_bitmap(6, 6, 1, 0, 6, 6)
    both = MaskCrops.from_bitmaps(np.stack([small, large]))
    expected = [[4 / 4, 2 / (4 + 30 - 2)], [2 / 30, 30 / 30]]
    assert mask_ious(both, both).tolist() == [[4 / 4, 2 / 32], [2 / 32, 30 / 30]]
    assert mask_ious(both, both, crowd=[True, False]).tolist() == expected
    assert mask_ious(both, both, crowd=[1, 0]).tolist() == expected
    assert mask_ious(both, both, crowd=np.array([False, True])).tolist() == [[4 / 4, 2 / 4], [2 / 32, 30 / 30]]


def test_empty_masks_have_zero_with_everything():
    bitmaps = np.stack([np.zeros((4, 5), bool), np.ones((4, 5), bool)])
    rles = oracle_rles(bitmaps)
    for crowd in ([False, False], [True, True]):
        for masks in (MaskCrops.from_bitmaps(bitmaps), whole_image_crops(bitmaps)):
            assert mask_ious(masks, masks, crowd=crowd).tolist() == [[0, 0], [0, 1]]
        assert oracle_ious(rles, rles, crowd).tolist() == [[0, 0], [0, 1]]
    assert mask_iou(bitmaps[0], bitmaps[0]) == 0
    assert mask_iou([], bitmaps[1], height=4, width=5) == 0
    assert mask_iou(np.zeros((0, 5), bool), np.zeros((0, 5), bool)) == 0


@pytest.mark.parametrize("counts", [(0, 0), (0, 3), (2, 0)])
def test_empty_sets_keep_their_shape(counts):
    first, second = (MaskCrops.from_bitmaps(np.ones((count, 3, 4), bool)) for count in counts)
    ious = mask_ious(first, second, crowd=[True] * counts[1])
    assert ious.shape == counts
    assert ious.dtype == np.float64


@pytest.mark.parametrize("other", [(4, 0, 8, 6), (0, 3, 4, 6), (4, 3, 8, 6)], ids=["side", "below", "corner"])
def test_touching_masks_share_nothing(other):
    assert mask_iou(box_bitmap(6, 8, 0, 0, 4, 3), box_bitmap(6, 8, *other)) == 0


def test_boxes_that_overlap_without_a_common_pixel():
    checks = np.indices((7, 7)).sum(axis=0) % 2 == 0
    assert mask_iou(checks, ~checks) == 0
    assert mask_iou(checks, checks) == 1


def test_nothing_is_modified_and_read_only_masks_serve():
    bitmap = box_bitmap(6, 8, 1, 1, 5, 5)
    bitmap.setflags(write=False)
    masks = MaskCrops.from_bitmaps(bitmap[None])
    masks.crops[0].setflags(write=False)
    assert mask_ious(masks, masks).tolist() == [[1]]
    assert mask_iou(bitmap, bitmap) == 1


def test_a_large_image_costs_only_the_objects():
    """Two columns of 20 pixels against the second alone; a bitmap of this image would take 10 GB."""
    side, high = 100_000, 20
    before, rest = 10 * side + 5, side - high
    both = {"size": [side, side], "counts": [before, high, rest, high, side * side - before - side - high]}
    one = {"size": [side, side], "counts": [before + side, high, side * side - before - side - high]}
    assert mask_iou(both, both) == 1
    assert mask_iou(both, one) == 20 / 40


BITMAP = np.ones((4, 5), bool)
POLYGON = [[0, 0, 3, 0, 3, 3]]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.ones((5, 4), bool), "one size, but these have 4 x 5 and 5 x 4"),
        ({"size": [5, 4], "counts": [0, 20]}, "one size, but these have 4 x 5 and 5 x 4"),
        (np.ones((1, 4, 5), bool), "second mask: expected a bool or uint8 bitmap, H x W, got bool of shape (1, 4, 5)"),
        (np.ones((4, 5)), "second mask: expected a bool or uint8 bitmap, H x W, got float64 of shape (4, 5)"),
        ({"counts": [0, 20]}, "second mask: RLE: expected a mapping with size and counts"),
        ({"size": [4, 5], "counts": [0, 19]}, "second mask: RLE: expected runs of 4 x 5 = 20 pixels, got 19"),
        ("PYB0", "second mask: expected a bitmap (numpy array), a COCO RLE or a list of polygons, got str"),
        (None, "second mask: expected a bitmap (numpy array), a COCO RLE or a list of polygons, got NoneType"),
    ],
)
def test_bad_mask(other, message):
    with pytest.raises(DataError) as error:
        mask_iou(BITMAP, other)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([0, 0, 3, 0, 3, 3], "first mask: polygon: expected x, y of 3 corners or more"),
        ([[0, 0, 3, 0]], "first mask: polygon: expected x, y of 3 corners or more"),
        (np.ones((5, 4), bool), "first mask: it has 5 x 4 pixels, but height=4, width=5 was given"),
    ],
)
def test_bad_mask_of_a_stated_size(mask, message):
    with pytest.raises(DataError) as error:
        mask_iou(mask, BITMAP, height=4, width=5)
    assert message in str(error.value)


def test_two_masks_of_polygons_need_the_size():
    for call in (lambda: mask_iou(POLYGON, POLYGON), lambda: mask_ious([POLYGON], [])):
        with pytest.raises(DataError, match=r"^first masks?(\[0\])?: polygons do not say how large .* got height=None"):
            call()


@pytest.mark.parametrize("height", [None, -4, 4.0, "4"])
def test_polygons_need_both_sides_in_whole_pixels(height):
    with pytest.raises(DataError, match=f"first mask: polygons .* got height={height!r}, width=5"):
        mask_iou(POLYGON, POLYGON, height=height, width=5)
    assert mask_iou(POLYGON, POLYGON, height=np.int64(4), width=5) == 1


@pytest.mark.parametrize(
    ("crowd", "message"),
    [
        ([True], "crowd: expected one flag for each of the 2 second masks, got shape (1,)"),
        (True, "crowd: expected one flag for each of the 2 second masks, got shape ()"),
        ([0, 2], "crowd: expected true and false, or 1 and 0, got [0, 2]"),
        ([None, True], "crowd: expected true and false, or 1 and 0, got [None, True]"),
        (["1", "0"], "crowd: expected true and false, or 1 and 0, got ['1', '0']"),
    ],
)
def test_bad_crowd(crowd, message):
    masks = MaskCrops.from_bitmaps(np.ones((2, 4, 5), bool))
    with pytest.raises(DataError) as error:
        mask_ious(masks, masks, crowd=crowd)
    assert message in str(error.value)


def test_sets_of_different_sizes():
    first, second = (MaskCrops.from_bitmaps(np.ones((1, *size), bool)) for size in ((4, 5), (4, 6)))
    with pytest.raises(DataError, match="one size, but these have 4 x 5 and 4 x 6"):
        mask_ious(first, second)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (
            [BITMAP, "PYB0"],
            "second masks[1]: expected a bitmap (numpy array), a COCO RLE or a list of polygons, got str",
        ),
        (
            [BITMAP, BITMAP[:3]],
            "second masks[0] and [1]: masks of one image have one size, but these have 4 x 5 and 3 x 5",
        ),
        ([BITMAP[:3]], "one size, but these have 4 x 5 and 3 x 5"),
        ([{"size": [4, 5], "counts": [0, 19]}], "second masks[0]: RLE: expected runs of 4 x 5 = 20 pixels, got 19"),
        (POLYGON, "second masks[0]: polygon: expected x, y of 3 corners or more"),
        (BITMAP, "second masks: bitmaps: expected bool or uint8, N x H x W, got bool of shape (4, 5)"),
        (
            {"size": [4, 5], "counts": [0, 20]},
            "second masks: expected MaskCrops, an array (N x H x W) or a list of masks",
        ),
        (None, "second masks: expected MaskCrops, an array (N x H x W) or a list of masks, got NoneType"),
    ],
)
def test_bad_set(masks, message):
    with pytest.raises(DataError) as error:
        mask_ious(BITMAP[None], masks)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("masks", [BITMAP[None], MaskCrops.from_bitmaps(BITMAP[None]), [BITMAP]])
def test_a_set_of_another_size_than_stated(masks):
    with pytest.raises(
        DataError, match=r"^first masks(\[0\])?: it has 4 x 5 pixels, but height=5, width=None was given"
    ):
        mask_ious(masks, masks, height=5)
