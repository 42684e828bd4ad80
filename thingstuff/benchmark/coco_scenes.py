"""Random scenes in COCO's formats that load an evaluator as COCO does: sizes, polygons, crowds, noisy detections."""

from __future__ import annotations

from typing import Any

import numpy as np

HEIGHT, WIDTH = 480, 640
CATEGORIES = 80
CROWD_SHARE = 0.01  # of the objects, as in COCO
FOUND_SHARE = 0.8  # of the objects, each once to three times
CLUTTER_AN_IMAGE = 10  # detections of nothing; a detector with a low threshold gives that many
_POLYGON_POINTS = (12, 40)

Record = dict[str, Any]


def random_coco(images: int, objects: float, seed: int) -> tuple[Record, list[Record]]:
    """Ground truth, and detections with both `bbox` and `segmentation` (RLE), with `objects` an image on average."""
    rng = np.random.default_rng(seed)
    annotations: list[Record] = []
    detections: list[Record] = []
    for image_id in range(1, images + 1):
        outlines = [_outline(rng) for _ in range(rng.poisson(objects))]
        labels = rng.integers(1, CATEGORIES + 1, len(outlines)).tolist()
        for outline, category_id in zip(outlines, labels, strict=True):
            place = {"image_id": image_id, "category_id": category_id}
            annotations.append({"id": len(annotations) + 1, **place, **_truth(outline, rng)})
            detections += [{**place, **d} for d in _found(outline, rng)]
        detections += [{"image_id": image_id, **_clutter(rng)} for _ in range(rng.poisson(CLUTTER_AN_IMAGE))]
    truth = {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, images + 1)],
        "categories": [{"id": i, "name": f"class {i}"} for i in range(1, CATEGORIES + 1)],
        "annotations": annotations,
    }
    return truth, detections


def _outline(rng: np.random.Generator) -> np.ndarray:
    """P x 2 points (x, y) around a random centre; sizes are log-normal with COCO's mix of small, medium and large."""
    points = int(rng.integers(*_POLYGON_POINTS))
    radius = np.exp(rng.normal(np.log(30), 0.9)) * rng.uniform(0.7, 1.3, (points, 1))
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)[:, None]
    centre, stretch = rng.uniform([0, 0], [WIDTH, HEIGHT]), rng.uniform(0.5, 1.5, 2)
    outline = centre + radius * stretch * np.hstack([np.cos(angle), np.sin(angle)])
    return np.clip(outline, 0, [WIDTH, HEIGHT]).round(2)


def _truth(outline: np.ndarray, rng: np.random.Generator) -> Record:
    from pycocotools import mask as mask_utils

    rle = _rle(outline)
    crowd = bool(rng.random() < CROWD_SHARE)
    area = float(mask_utils.area(rle))
    segmentation = _text(rle) if crowd else [outline.ravel().tolist()]
    return {"bbox": _box(outline), "area": area, "iscrowd": int(crowd), "segmentation": segmentation}


def _found(outline: np.ndarray, rng: np.random.Generator) -> list[Record]:
    if rng.random() > FOUND_SHARE:
        return []
    return [_detection(_moved(outline, rng), rng.beta(4, 2)) for _ in range(rng.integers(1, 4))]


def _moved(outline: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shifted and ruffled, in proportion to its size, so that the IoU with the truth spreads from 0.4 to 1."""
    noise = np.ptp(outline, axis=0) * rng.exponential(0.05)
    moved = outline + rng.normal(0, noise + 0.1, 2) + rng.normal(0, noise / 2 + 0.1, outline.shape)
    return np.clip(moved, 0, [WIDTH, HEIGHT])


def _clutter(rng: np.random.Generator) -> Record:
    return {"category_id": int(rng.integers(1, CATEGORIES + 1)), **_detection(_outline(rng), rng.beta(1, 6))}


def _detection(outline: np.ndarray, score: float) -> Record:
    return {"bbox": _box(outline), "segmentation": _text(_rle(outline)), "score": round(float(score), 3)}


def _box(outline: np.ndarray) -> list[float]:
    low = outline.min(axis=0)
    return [*low.tolist(), *(outline.max(axis=0) - low).tolist()]


def _rle(outline: np.ndarray) -> Record:
    from pycocotools import mask as mask_utils

    return mask_utils.frPyObjects([outline.ravel().tolist()], HEIGHT, WIDTH)[0]


def _text(rle: Record) -> Record:
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}
