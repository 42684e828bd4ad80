"""Random scenes in COCO's formats that load an evaluator as COCO does: sizes, polygons, crowds, 60 noisy detections."""

from __future__ import annotations

from typing import Any

import numpy as np

HEIGHT, WIDTH = 480, 640
CATEGORIES = 80
CROWD_SHARE = 0.01  # of the objects, as in COCO
FOUND_SHARE = 0.8  # of the objects, each once to six times, as a detector without a high threshold does
MOST_COPIES = 6
CLUTTER_AN_IMAGE = 42  # detections of nothing, on average: about 60 detections an image in all for 7 objects
MOST_DETECTIONS = 100  # an image, the best by score
WRONG_CLASS_SHARE = 0.1  # of the detections of objects
TIED_SHARE = 0.3  # of the scores, which have two digits only
_CLUTTER_SHAPE = 4  # of the gamma distribution of clutter: some images have little, some reach the limit
_POINTS = (12, 40)  # of an outline, before the second
_MEDIAN_RADIUS_PX, _RADIUS_SPREAD = 30, 0.9  # COCO's mix of small, medium and large
_WAVES = 5  # around an outline

Record = dict[str, Any]


def random_coco(images: int, objects: float, seed: int) -> tuple[Record, list[Record]]:
    """Ground truth, and detections with both `bbox` and `segmentation` (RLE), with `objects` an image on average."""
    rng = np.random.default_rng(seed)
    annotations: list[Record] = []
    detections: list[Record] = []
    for image_id in range(1, images + 1):
        truths, found = _image(objects, rng)
        first = len(annotations) + 1
        annotations += [{"id": first + n, "image_id": image_id, **truth} for n, truth in enumerate(truths)]
        detections += [{"image_id": image_id, **detection} for detection in found]
    truth = {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, images + 1)],
        "categories": [{"id": i, "name": f"class {i}"} for i in range(1, CATEGORIES + 1)],
        "annotations": annotations,
    }
    return truth, detections


def _image(objects: float, rng: np.random.Generator) -> tuple[list[Record], list[Record]]:
    """The objects of one image and its detections, the best first."""
    present = _frequent_labels(1 + rng.poisson(2), rng)
    outlines = _outlines(rng.poisson(objects), rng)
    labels = rng.choice(present, len(outlines))
    copies = rng.integers(1, MOST_COPIES + 1, len(outlines)) * (rng.random(len(outlines)) < FOUND_SHARE)
    rows = np.repeat(np.arange(len(outlines)), copies)
    clutter = _outlines(rng.poisson(rng.gamma(_CLUTTER_SHAPE, CLUTTER_AN_IMAGE / _CLUTTER_SHAPE)), rng)
    seen_labels = np.where(rng.random(rows.size) < WRONG_CLASS_SHARE, rng.choice(present, rows.size), labels[rows])
    # half of what is seen wrongly is of a kind that is in the image
    other_labels = _frequent_labels(len(clutter), rng)
    clutter_labels = np.where(rng.random(len(clutter)) < 0.5, rng.choice(present, len(clutter)), other_labels)
    shapes = [*_moved(outlines[rows], rng), *clutter]
    scores = _with_ties(np.concatenate([rng.beta(4, 2, rows.size), rng.beta(1, 6, len(clutter))]), rng)
    best = np.argsort(-scores, kind="stable")[:MOST_DETECTIONS]
    found_labels = np.concatenate([seen_labels, clutter_labels])[best]
    return _truths(outlines, labels, rng), _detections([shapes[i] for i in best], found_labels, scores[best])


def _frequent_labels(count: int, rng: np.random.Generator) -> np.ndarray:
    """Labels of which the n-th is n times as rare as the first: COCO's are about as uneven."""
    weights = 1 / np.arange(1, CATEGORIES + 1)
    return np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(count)) + 1


def _outlines(count: int, rng: np.random.Generator) -> np.ndarray:
    """N x P x 2 points (x, y) around random centres, blobs with bays and a slightly ragged edge."""
    points = int(rng.integers(*_POINTS))
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    waves, phases = np.arange(1, _WAVES + 1), rng.uniform(0, 2 * np.pi, (count, _WAVES, 1))
    heights = rng.normal(0, 0.25, (count, _WAVES, 1)) / waves[:, None]
    shape = 1 + (heights * np.cos(waves[:, None] * angle + phases)).sum(axis=1) + rng.normal(0, 0.03, (count, points))
    radius_px = np.maximum(np.exp(rng.normal(np.log(_MEDIAN_RADIUS_PX), _RADIUS_SPREAD, (count, 1))), 2)
    radii = (radius_px * np.maximum(shape, 0.2))[..., None] * rng.uniform(0.6, 1.4, (count, 1, 2))
    centres = rng.uniform([0, 0], [WIDTH, HEIGHT], (count, 1, 2))
    return _inside(centres + radii * np.stack([np.cos(angle), np.sin(angle)], axis=-1))


def _moved(outlines: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shifted and ruffled, in proportion to their size, so that the IoU with the truth spreads from 0.4 to 1."""
    noise = np.ptp(outlines, axis=1, keepdims=True) * rng.exponential(0.05, (len(outlines), 1, 1)) + 0.1
    shift = rng.normal(0, 1, (len(outlines), 1, 2)) * noise
    return _inside(outlines + shift + rng.normal(0, 0.5, outlines.shape) * noise)


def _inside(outlines: np.ndarray) -> np.ndarray:
    return np.clip(outlines, 0, [WIDTH, HEIGHT]).round(2)


def _with_ties(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scores as a model gives them, float32, of which a share has two digits."""
    tied = rng.random(scores.size) < TIED_SHARE
    return np.where(tied, scores.round(2), scores.astype(np.float32).astype(float))


def _truths(outlines: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> list[Record]:
    from pycocotools import mask as mask_utils

    rles = _rles(outlines)
    areas = mask_utils.area(rles).tolist() if rles else []
    crowds = (rng.random(len(rles)) < CROWD_SHARE).tolist()
    return [
        {
            "category_id": label,
            "bbox": _box(outline),
            "area": float(area),
            "iscrowd": int(crowd),
            "segmentation": _text(rle) if crowd else [outline.ravel().tolist()],
        }
        for outline, label, rle, area, crowd in zip(outlines, labels.tolist(), rles, areas, crowds, strict=True)
    ]


def _detections(outlines: list[np.ndarray], labels: np.ndarray, scores: np.ndarray) -> list[Record]:
    columns = zip(outlines, labels.tolist(), _rles(outlines), scores.tolist(), strict=True)
    return [
        {"category_id": label, "bbox": _box(outline), "segmentation": _text(rle), "score": score}
        for outline, label, rle, score in columns
    ]


def _box(outline: np.ndarray) -> list[float]:
    low = outline.min(axis=0)
    return [*low.tolist(), *(outline.max(axis=0) - low).tolist()]


def _rles(outlines: Any) -> list[Record]:
    from pycocotools import mask as mask_utils

    polygons = [outline.ravel().tolist() for outline in outlines]
    return mask_utils.frPyObjects(polygons, HEIGHT, WIDTH) if polygons else []


def _text(rle: Record) -> Record:
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}
