"""Records and configs for the mappers of a training."""

import numpy as np
import pytest


@pytest.fixture
def tiny_cfg(tiny_cfg):
    """The shared one, with values of any type."""
    plain = ("INPUT.COPY_PASTE.ENABLED", "False")
    return lambda recipe, *overrides: tiny_cfg(recipe, *plain, *map(str, overrides))


@pytest.fixture
def records(small_shapes):
    """Those of `shapes_train`."""
    from detectron2.data import DatasetCatalog

    from thingstuff.data.catalog import require_datasets

    require_datasets(["shapes_train"])
    return DatasetCatalog.get("shapes_train")


@pytest.fixture
def polygon_records(records):
    """The same images with three polygons each, one of them of two parts, and a crowd as RLE."""
    from detectron2.structures import BoxMode

    def note(*polygons, category_id=0):
        corners = np.concatenate([np.reshape(p, (-1, 2)) for p in polygons])
        box = [*corners.min(axis=0), *corners.max(axis=0)]
        whole = {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "iscrowd": 0, "category_id": category_id}
        return {**whole, "segmentation": [list(p) for p in polygons]}

    def shifted(points, by):
        return [value + by for value in points]

    crowd = next(n for r in records for n in r["annotations"] if n["iscrowd"])
    triangle, square = [10.5, 12.0, 50.25, 20.0, 30.0, 60.75], [80.0, 90.0, 120.0, 90.0, 120.0, 130.0, 80.0, 130.0]
    return [
        {**r, "annotations": [note(shifted(triangle, i)), note(square, shifted(triangle, 90), category_id=2), crowd]}
        for i, r in enumerate(records)
    ]
