"""Stores of a small image, refiners that are easily foreseen, and masks that fill boxes."""

import numpy as np

from thingstuff.store import Store, StoreMeta, StoreWriter
from thingstuff.structures import Categories, Category, Detections, MaskCrops

CATEGORIES = Categories((Category(1, "dog"), Category(7, "cat"), Category(9, "sky", isthing=False)))
HEIGHT, WIDTH = 30, 40


def write_image(folder, name, seed=0):
    from PIL import Image

    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)).save(path)
    return path


def boxes_of(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def filled(boxes_xyxy, height=HEIGHT, width=WIDTH):
    """A mask for each box: the pixels of which a corner is in it."""
    bitmaps = np.zeros((len(boxes_xyxy), height, width), bool)
    for bitmap, (x0, y0, x1, y1) in zip(bitmaps, boxes_xyxy.round().astype(int).clip(0).tolist(), strict=True):
        bitmap[y0:y1, x0:x1] = True
    return MaskCrops.from_bitmaps(bitmaps)


def detections(boxes, scores=None, masks=True):
    count = len(boxes)
    scores = np.linspace(0.9, 0.3, count).astype(np.float32) if scores is None else np.array(scores, np.float32)
    ids = np.array([1, 7] * count, np.int64)[:count]
    return Detections(filled(boxes) if masks else None, boxes, scores, ids, HEIGHT, WIDTH)


def write_store(folder, images, root, categories=CATEGORIES, dataset=None):
    with StoreWriter.open(folder, StoreMeta("c", "w", categories, {}, dataset, str(root))) as writer:
        for image in images:
            writer.append(image)
    return Store.open(folder)


def shrunk(_, boxes):
    """A refiner: a mask a pixel within its box."""
    return filled(np.add(boxes, [1, 1, -1, -1]))
