"""Merged images whose every instance has a known fate, and random ones, with their truth and pycocotools' numbers."""

from __future__ import annotations

import numpy as np
from coco_scenes import NAMES, SIDE, random_scene, run_pycocotools
from pycocotools import mask as mask_utils

from thingstuff.evaluation.merge_cost import MergeCostOptions
from thingstuff.evaluation.merged_instances import MergedImage
from thingstuff.merge import Greedy, merge
from thingstuff.structures import Categories, Category, Detections, MaskCrops

CAT, SKY, DOG = 7, 40, 3
CATEGORIES = Categories((Category(CAT, "cat"), Category(SKY, "sky", isthing=False), Category(DOG, "dog")))
LETTERS = {
    "a": (CAT, (0, 0, 40, 40)),
    "b": (DOG, (0, 0, 40, 30)),
    "c": (DOG, (30, 0, 60, 40)),
    "d": (CAT, (0, 60, 50, 90)),
}
SCORES = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.3}
FEW_DRAWS = MergeCostOptions(draws=20)


def bitmap(box):
    """H x W bool of a box x0, y0, x1, y1."""
    x0, y0, x1, y1 = box
    pixels = np.zeros((SIDE, SIDE), bool)
    pixels[y0:y1, x0:x1] = True
    return pixels


def detected(letters, scores=SCORES):
    masks = np.array([bitmap(LETTERS[one][1]) for one in letters], bool).reshape(-1, SIDE, SIDE)
    crops = MaskCrops.from_bitmaps(masks)
    return Detections(
        crops,
        crops.boxes_xyxy.astype(np.float32),
        np.array([scores[one] for one in letters], np.float32),
        np.array([LETTERS[one][0] for one in letters], np.int64),
    )


def merged(image_id, detections, categories=CATEGORIES, rule=None):
    stuff_map = np.ones((SIDE, SIDE), np.uint16)
    panoptic, ledger = merge(detections, stuff_map, categories, rule)
    return MergedImage(image_id, detections.to_coco(image_id), panoptic, list(ledger.records()))


def truth_of(letters_of):
    """Everything as it was detected: {image id: letters}."""
    images = [{"id": i, "height": SIDE, "width": SIDE} for i in letters_of]
    records = [r for i, letters in letters_of.items() for r in detected(letters).to_coco(i)]
    annotations = [
        {**r, "id": number, "area": float(mask_utils.area(r["segmentation"])), "iscrowd": 0}
        for number, r in enumerate(records, 1)
    ]
    for annotation in annotations:
        del annotation["score"]
    return {"images": images, "categories": CATEGORIES.to_coco(), "annotations": annotations}


def fields_of(records, iou_type):
    """With a box, pycocotools takes its area for that of the mask; Detectron2 takes it out too."""
    return [{k: v for k, v in r.items() if k != "bbox" or iou_type == "bbox"} for r in records]


def numbers_of(truth, records, iou_type="segm"):
    """pycocotools' numbers, NaN for its -1."""
    stats = run_pycocotools(truth, fields_of(records, iou_type), iou_type)[0].stats
    return dict(zip(NAMES[iou_type], np.where(stats == -1, np.nan, stats).tolist(), strict=True))


TRUTH = truth_of({1: "abcd", 2: "a", 3: ""})
# a stays, b lies in a and so goes, c loses a third to a, d scores too little; image 2 finds nothing, 3 has nothing
IMAGES = [merged(1, detected("abcd")), merged(2, detected("")), merged(3, detected(""))]


def random_images(seed):
    """Crowds, ties, images with nothing, categories without truth. The records have the float32 scores of the rule."""
    truth, results = random_scene(seed, "segm")
    categories = Categories((*Categories.from_coco(truth["categories"]).all, Category(99, "stuff", isthing=False)))
    images = []
    for image in truth["images"]:
        own = [r for r in results if r["image_id"] == image["id"]]
        detections = Detections.from_coco(own, SIDE, SIDE)
        images.append(merged(image["id"], detections, categories, Greedy(0.6, 0, 0.3)))
    return truth, images
