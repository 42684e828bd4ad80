"""A small sound data set for the tests of the checks, and ways to plant one mistake into it."""

from dataclasses import replace

import cv2
import numpy as np

from thingstuff.data.truth import SplitTruth
from thingstuff.structures import rle

SIZES_HW = ((48, 64), (64, 40), (40, 40))  # of the images of each split, in order
REMOVED = object()
KEYPOINT_NAMES = ["nose", "left hand", "right hand"]
CATEGORIES = (
    {"id": 3, "name": "person", "supercategory": "animal", "keypoints": KEYPOINT_NAMES, "skeleton": [[1, 2]]},
    {"id": 7, "name": "car", "supercategory": "vehicle"},
)
# image number, category id, x0, y0, x1, y1 and how the mask is written
INSTANCES = (
    *((0, 3, 4, 6, 24, 36, "polygon"), (0, 7, 30, 20, 60, 40, "polygon"), (0, 7, 2, 40, 12, 46, "two polygons")),
    *((1, 3, 2, 10, 20, 50, "rle"), (1, 7, 22, 30, 38, 60, "polygon"), (1, 7, 24, 2, 36, 22, "crowd")),
    *((2, 7, 5, 5, 25, 17, "rle"), (2, 3, 28, 6, 38, 36, "polygon")),
)


def sound_splits(folder):
    """{"train": SplitTruth, "val": SplitTruth}: 3 images (PNG, one in a folder of its own) and 8 instances each.

    Images are noise, so no two are alike. Instances do not touch; masks are polygons, RLE and one crowd.
    """
    return {split: sound_split(folder, split, seed) for seed, split in enumerate(("train", "val"))}


def sound_split(folder, split, seed=0):
    root = folder / split
    images = [_image(root, split, number, seed) for number in range(len(SIZES_HW))]
    annotations = [_annotation(number, *instance) for number, instance in enumerate(INSTANCES)]
    return SplitTruth(f"{split}.json", root, [dict(c) for c in CATEGORIES], images, annotations)


def changed(truth, kind, number, **values):
    """The split with other values in the record `number` of `kind` ("images", "annotations", "categories")."""
    records = list(getattr(truth, kind))
    record = {**records[number], **values}
    records[number] = {key: value for key, value in record.items() if value is not REMOVED}
    return replace(truth, **{kind: records})


def added(truth, kind, **values):
    """The split with one more record, at the end."""
    return replace(truth, **{kind: [*getattr(truth, kind), values]})


def found(check, splits, is_quick=False, **more):
    """All findings of one check."""
    from thingstuff.data.checks.check import Checked

    return list(check.run(Checked(splits, is_quick=is_quick, **more)))


def the_only(check, splits, code, is_quick=False, **more):
    """The one finding there is, which must be of this code, and say in one line what is wrong."""
    findings = found(check, splits, is_quick, **more)
    assert [one.code.name for one in findings] == [code], findings
    assert findings[0].code in check.codes
    assert findings[0].message and "\n" not in findings[0].message
    return findings[0]


def rectangle(x0, y0, x1, y1):
    """A COCO polygon along pixel edges: its mask is (y1 - y0) x (x1 - x0) pixels."""
    return [float(v) for v in (x0, y0, x1, y0, x1, y1, x0, y1)]


def rectangle_rle(x0, y0, x1, y1, height, width):
    bitmap = np.zeros((height, width), np.uint8)
    bitmap[y0:y1, x0:x1] = 1
    return rle.encode(bitmap)


def _image(root, split, number, seed):
    height, width = SIZES_HW[number]
    name = f"{split}_{number}.png" if number else f"first/{split}_{number}.png"
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([seed, number]).integers(0, 256, (height, width, 3), np.uint8)
    cv2.imwrite(str(root / name), noise)
    return {"id": 10 * (number + 1), "file_name": name, "width": width, "height": height}


def _annotation(number, image, category_id, x0, y0, x1, y1, kind):
    record = {
        "id": 100 + number,
        "image_id": 10 * (image + 1),
        "category_id": category_id,
        "segmentation": _segmentation((x0, y0, x1, y1), *SIZES_HW[image], kind),
        "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
        "area": float((x1 - x0) * (y1 - y0)),
        "iscrowd": int(kind == "crowd"),
    }
    if category_id == 3:
        points = [x0 + 2.0, y0 + 2.0, 2, x0 + 4.0, y0 + 5.0, 1, 0, 0, 0]
        record |= {"keypoints": points, "num_keypoints": 2}
    return record


def _segmentation(box_xyxy, height, width, kind):
    x0, y0, x1, y1 = box_xyxy
    if kind == "polygon":
        return [rectangle(*box_xyxy)]
    if kind == "two polygons":
        middle = (x0 + x1) // 2
        return [rectangle(x0, y0, middle, y1), rectangle(middle, y0, x1, y1)]
    encoded = rectangle_rle(*box_xyxy, height, width)
    return _uncompressed(encoded) if kind == "crowd" else encoded


def _uncompressed(encoded):
    flat = rle.decode(encoded).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    return {"size": encoded["size"], "counts": np.diff(edges, prepend=0, append=flat.size).tolist()}
