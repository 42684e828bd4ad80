"""Random mask probabilities and boxes of every kind, and what Detectron2 and pycocotools make of them."""

import numpy as np
import torch
from pycocotools import mask as mask_utils

import thingstuff.config  # noqa: F401  mends Detectron2 before it is imported

CELLS = (28, 28, 14, 7, 1)
THRESHOLDS = (0.5, 0.5, 0.5, 0.5, 0.3, 0.05, 1.0, 0.0)


def random_case(rng):
    """(probs, boxes_xyxy, height, width, threshold) of a small image."""
    height, width = (int(length) for length in rng.integers(1, 100, 2))
    count, cells = int(rng.integers(0, 7)), int(rng.choice(CELLS))
    boxes = [_box(rng, height, width) for _ in range(count)]
    probs = [_probs(rng, cells) for _ in range(count)]
    threshold = float(rng.choice(THRESHOLDS))
    probs = np.array(probs, np.float32).reshape(count, cells, cells)
    return probs, np.array(boxes, np.float32).reshape(count, 4), height, width, threshold


def _box(rng, height, width):
    kind = rng.integers(8)
    centre = rng.uniform(0, 1, 2) * [width, height]
    size = np.exp(rng.normal(3, 1, 2))
    if kind == 1:  # partly or wholly outside
        centre = rng.uniform(-0.5, 1.5, 2) * [width, height]
    elif kind == 2:  # smaller than a pixel
        size = rng.uniform(0, 1, 2)
    elif kind == 3:  # much larger than the image
        size = np.exp(rng.normal(7, 2, 2))
    elif kind == 4:  # without extent, now and then between two pixel centres and now and then on one
        size = np.array([0, rng.integers(0, 2)])
        centre = np.round(centre * 2) / 2
    box = np.concatenate([centre - size / 2, centre + size / 2])
    if kind == 5:  # whole pixels, and cells that are whole pixels
        box = np.round(np.tile(centre, 2)) + np.array([0, 0, 28, 56])
    if kind == 6:  # the whole image
        box = np.array([0, 0, width, height])
    return box


def _probs(rng, cells):
    smooth = 1 / (1 + np.exp(-_smooth_logits(rng, cells)))
    kind = rng.integers(6)
    if kind == 1:  # saturated
        return np.round(smooth)
    if kind == 2:  # a plateau at the threshold
        return np.where(smooth > 0.7, 1, np.where(smooth < 0.3, 0, 0.5))
    if kind == 3:  # mixtures that are often 0.5 exactly
        return np.round(smooth * 4) / 4
    if kind == 4:  # all of it within rounding of the threshold
        return 0.5 + rng.integers(-3, 4, (cells, cells)) * 2.0**-25
    if kind == 5:
        return rng.random((cells, cells))
    return smooth


def _smooth_logits(rng, cells):
    y, x = np.mgrid[:cells, :cells] / cells - 0.5
    waves = [rng.normal() * np.cos(rng.normal(0, 8) * x + rng.normal(0, 8) * y + rng.uniform(0, 6)) for _ in range(4)]
    return 6 * sum(waves) + rng.normal(0, 0.1, (cells, cells))


def detectron2_bitmaps(probs, boxes_xyxy, height, width, threshold):
    """N x H x W bool of `paste_masks_in_image`; empty where it fails, which it does for boxes beyond the image."""
    from detectron2.layers.mask_ops import paste_masks_in_image

    bitmaps = np.zeros((len(probs), height, width), bool)
    for bitmap, prob, box in zip(bitmaps, torch.from_numpy(probs), torch.from_numpy(boxes_xyxy), strict=True):
        if not _beyond(box.numpy(), height, width):
            bitmap[:] = paste_masks_in_image(prob[None], box[None], (height, width), threshold)[0].numpy()
    return bitmaps


def _beyond(box, height, width):
    """Whether Detectron2 asks for a range of pixels that ends before it starts."""
    x0, y0 = np.maximum(np.floor(box[:2]) - 1, 0)
    x1, y1 = np.minimum(np.ceil(box[2:]) + 1, [width, height])
    return x1 < x0 or y1 < y0


def pycocotools_rles(bitmaps):
    """As Detectron2's `instances_to_coco_json` encodes them."""
    rles = [mask_utils.encode(np.array(bitmap[:, :, None], order="F", dtype="uint8"))[0] for bitmap in bitmaps]
    return [{"size": list(rle["size"]), "counts": rle["counts"].decode()} for rle in rles]


def check_cases(count, seed):
    """Compare so many cases: bitmaps, boxes that hold them, and RLE byte for byte. How many masks were not empty."""
    from thingstuff.modeling.paste import paste_masks
    from thingstuff.structures import MaskCrops

    rng = np.random.default_rng(seed)
    seen = 0
    for number in range(count):
        probs, boxes, height, width, threshold = random_case(rng)
        masks = paste_masks(probs, boxes, height, width, threshold)
        expected = detectron2_bitmaps(probs, boxes, height, width, threshold)
        assert np.array_equal(masks.to_bitmaps(), expected), (
            number,
            boxes[(masks.to_bitmaps() != expected).any((1, 2))],
        )
        assert masks.to_rles() == pycocotools_rles(expected), number
        MaskCrops(masks.crops, masks.boxes_xyxy, height, width)  # which checks what `trusted` does not
        seen += int(expected.any(axis=(1, 2)).sum())
    return seen
