"""LVIS v1, written by hand after "LVIS data format" on lvisdataset.org: no `file_name` and no `iscrowd`."""

from __future__ import annotations

import json

from thingstuff.data.formats import Source
from thingstuff.data.formats.lvis import LVIS

POLYGON = [2.5, 2.0, 9.25, 2.0, 9.25, 8.0]
URL = "http://images.cocodataset.org/"


def content():
    """Category ids in no order, with a gap, from 0 on; the first is one that nothing uses."""
    return {
        "info": {"version": "v1"},
        "annotations": [
            {"id": 11, "image_id": 9, "category_id": 4, "segmentation": [POLYGON], "bbox": [2, 2, 7, 6], "area": 20.25},
            {"id": 7, "image_id": 3, "category_id": 1, "segmentation": [POLYGON], "bbox": [2, 2, 7, 6], "area": 20.25},
        ],
        "images": [
            image(9, "train2017/000000391895.jpg", [1], [4]),
            image(3, "val2017/000000000042.jpg", [0, 4], []),
        ],
        "licenses": [],
        "categories": [
            category(0, "background", "r"),
            category(4, "cat", "f"),
            category(1, "dog", "c"),
        ],
    }


def image(own, name, negative, unfinished):
    lists = {"neg_category_ids": negative, "not_exhaustive_category_ids": unfinished}
    return {"id": own, "width": 30, "height": 20, "coco_url": URL + name, "license": 1, "date_captured": "x", **lists}


def category(own, name, frequency):
    counts = {"image_count": 1, "instance_count": 1}
    return {"id": own, "name": name, "synset": f"{name}.n.01", "synonyms": [name], "frequency": frequency, **counts}


def written(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def read(path, **more):
    return LVIS.read(Source(path, **more))
