"""Polygons are measured as their masks are, without drawing them."""

import numpy as np
import pytest

from thingstuff.data.formats.instance_records import polygon_shape
from thingstuff.structures import MaskCrops

SIZE_HW = (20, 24)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_bbox_and_area_are_those_of_the_union(count):
    rng = np.random.default_rng(count)
    for _ in range(60):
        polygons = [rng.uniform(-6, 30, 2 * rng.integers(3, 8)).round(2).tolist() for _ in range(count)]
        shape = polygon_shape(polygons, SIZE_HW)
        masks = MaskCrops.from_polygons([polygons], *SIZE_HW)
        assert shape["segmentation"] == polygons
        assert shape["area"] == masks.areas_px()[0]
        assert shape["bbox"] == masks.bboxes_xywh()[0].tolist()


def test_whole_columns_and_nothing():
    whole = [0, 0, 24, 0, 24, 20, 0, 20]
    inner = [2, 3, 5, 3, 5, 6, 2, 6]
    assert polygon_shape([inner, whole, inner], SIZE_HW)["bbox"] == [0, 0, 24, 20]
    outside = polygon_shape([[30, 30, 40, 30, 40, 40]], SIZE_HW)
    assert (outside["bbox"], outside["area"]) == ([0, 0, 0, 0], 0)


@pytest.mark.parametrize(
    "polygons",
    [
        *([[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5]], [[1, 2, 3, float("nan"), 5, 6]], []),
        *([[0, 0, 1e308, 0, 0, -1e308]], [[0, 0, 2e6, 0, 0, 1]], [[0, 0, 9e5, 0, 0, 1]]),
    ],
)
def test_what_is_no_polygon_is_left_to_the_checks(polygons):
    assert polygon_shape(polygons, SIZE_HW) == {"segmentation": polygons}


def test_without_the_size_of_the_image_nothing_is_measured():
    assert polygon_shape([[0, 0, 1, 0, 1, 1]], None) == {"segmentation": [[0, 0, 1, 0, 1, 1]]}
