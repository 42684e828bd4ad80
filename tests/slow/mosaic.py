"""Large images of many scenes: `python mosaic.py WEIGHTS COUNT ACROSS` compares tiles with the whole by mask AP."""

import sys

import cv2
import numpy as np

import thingstuff
from thingstuff.evaluation.coco_ap import evaluate_coco
from thingstuff.structures import Detections, MaskCrops

SIDE = 160  # of a scene
RECIPE = "thingstuff://shapes/mask_rcnn.yaml"
# as many proposals and detections for the whole as its scenes together have
WIDE = (
    "MODEL.RPN.PRE_NMS_TOPK_TEST",
    "9600",
    "MODEL.RPN.POST_NMS_TOPK_TEST",
    "2400",
    "TEST.DETECTIONS_PER_IMAGE",
    "1600",
)


def mosaics(count, across):
    """`count` images of across x across scenes each, with their true instances."""
    from detectron2.data import DatasetCatalog

    from thingstuff.data.catalog import require_datasets
    from thingstuff.data.shapes import CATEGORIES
    from thingstuff.report.pictures import true_detections

    require_datasets(["shapes_val"])
    records = DatasetCatalog.get("shapes_val")
    for number in range(count):
        chosen = [records[(number * across * across + i) % len(records)] for i in range(across * across)]
        places = [divmod(i, across) for i in range(len(chosen))]
        image = np.zeros((across * SIDE, across * SIDE, 3), np.uint8)
        truths = []
        for record, (row, column) in zip(chosen, places, strict=True):
            x, y = column * SIDE, row * SIDE
            image[y : y + SIDE, x : x + SIDE] = cv2.imread(record["file_name"])
            truths.append(moved(true_detections(record, CATEGORIES), x, y, across * SIDE))
        yield image, joined(truths)


def moved(detections, x, y, side):
    """Into an image of side x side pixels."""
    offset = np.array([x, y, x, y], np.int32)
    masks = MaskCrops(detections.masks.crops, detections.masks.boxes_xyxy + offset, side, side)
    boxes = detections.boxes_xyxy + offset.astype(np.float32)
    return Detections(masks, boxes, detections.scores, detections.category_ids)


def joined(parts):
    crops = tuple(crop for part in parts for crop in part.masks.crops)
    boxes = np.concatenate([part.masks.boxes_xyxy for part in parts])
    columns = [np.concatenate([getattr(p, n) for p in parts]) for n in ("boxes_xyxy", "scores", "category_ids")]
    return Detections(MaskCrops(crops, boxes, parts[0].height, parts[0].width), *columns)


def as_scenes(detections, across):
    """Detections of a mosaic by the scene in which the middle of their box lies: COCO counts 100 an image at most."""
    middles = (detections.boxes_xyxy[:, :2] + detections.boxes_xyxy[:, 2:]) / 2 // SIDE
    scenes = (middles[:, 1] * across + middles[:, 0]).astype(int)
    return {scene: detections[scenes == scene] for scene in range(across * across)}


def mask_ap(predicted, truths, across):
    """COCO's mask AP in percent of detections of mosaics, each against those of the whole mosaic in its scene."""
    images, notes, results = [], [], []
    for number, (found, truth) in enumerate(zip(predicted, truths, strict=True)):
        found_in, true_in = as_scenes(found, across), as_scenes(truth, across)
        for scene in range(across * across):
            image_id = number * across * across + scene + 1
            images.append({"id": image_id, "height": truth.height, "width": truth.width})
            results += found_in[scene].to_coco(image_id)
            areas = true_in[scene].masks.areas_px().tolist()
            for record, area in zip(true_in[scene].to_coco(image_id), areas, strict=True):
                notes.append(record | {"id": len(notes) + 1, "iscrowd": 0, "area": area})
    ids = sorted({note["category_id"] for note in notes})
    data = {"images": images, "annotations": notes, "categories": [{"id": i, "name": str(i)} for i in ids]}
    return evaluate_coco(data, results, "segm").percent()["AP"]


def compare(weights, count, across):
    """Way of predicting -> mask AP: scenes alone, the whole mosaic at its own size, tiles of one and of two scenes."""
    pairs = list(mosaics(count, across))
    truths = [truth for _, truth in pairs]
    whole_px = str(across * SIDE)
    own_size = ("INPUT.MIN_SIZE_TEST", whole_px, "INPUT.MAX_SIZE_TEST", whole_px)
    two = ("INPUT.MIN_SIZE_TEST", str(2 * SIDE))
    ways = {
        "scenes alone": load(weights, tile=SIDE, tile_overlap=0),
        "whole": load(weights, *own_size, *WIDE),
        "tiles of 160": load(weights, tile=SIDE, tile_overlap=64),
        "tiles of 320": load(weights, *two, *WIDE, tile=2 * SIDE, tile_overlap=80),
    }
    return {
        name: mask_ap([model(image).detections for image, _ in pairs], truths, across) for name, model in ways.items()
    }


def load(weights, *overrides, **tiles):
    return thingstuff.load(RECIPE, weights, overrides=overrides, device="cpu", **tiles)


if __name__ == "__main__":
    for way, ap in compare(sys.argv[1], count=int(sys.argv[2]), across=int(sys.argv[3])).items():
        print(f"{way:14} {ap:6.2f}")
