"""Small random COCO data with everything that makes AP hard: crowds, ties, empty images, categories without truth."""

from __future__ import annotations

import contextlib
import copy
import io

import numpy as np
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIDE = 160
NAMES = {
    "bbox": ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
    "segm": ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
    "keypoints": ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"),
}


def random_scene(seed, iou_type, crowd_share=0.2, largest=SIDE):
    """Ground truth and results. Ids have gaps and no order; the last category never has truth, some images nothing."""
    rng = np.random.default_rng(seed)
    categories = [{"id": int(c), "name": f"c{c}"} for c in rng.permutation(np.arange(1, 40))[:4]]
    images = [{"id": int(i), "height": SIDE, "width": SIDE} for i in rng.permutation(np.arange(1, 100))[:5]]
    annotations, results = [], []
    for image in images:
        for _ in range(rng.integers(0, 7)):
            truth, box = _truth(rng, iou_type, crowd_share, largest)
            label = {"image_id": image["id"], "category_id": categories[rng.integers(0, 3)]["id"]}
            annotations.append({"id": len(annotations) + 1, **label, **truth})
            for _ in range(rng.integers(0, 4)):
                other = {"category_id": categories[rng.integers(0, 4)]["id"]} if rng.random() < 0.2 else {}
                results.append({**label, **other, **_detection(rng, iou_type, truth, box)})
    rng.shuffle(results)
    return {"images": images, "categories": categories, "annotations": annotations}, results


def _truth(rng, iou_type, crowd_share, largest):
    x, y = rng.uniform(0, SIDE - 4, 2)
    width, height = np.minimum(rng.uniform(2, largest, 2), (SIDE - x, SIDE - y))
    crowd = int(rng.random() < crowd_share)
    box = [float(v) for v in (x, y, width, height)]
    polygon = [x, y, x + width, y, x + width / 2, y + height]
    rle = mask_utils.frPyObjects([polygon], SIDE, SIDE)[0]
    mask = text_rle(rle) if crowd or rng.random() < 0.5 else [[float(v) for v in polygon]]
    truth = {"bbox": box, "area": float(mask_utils.area(rle)), "iscrowd": crowd, "segmentation": mask}
    if iou_type == "keypoints":
        truth |= _keypoints(rng, box)
    return truth, np.array(box)


def _keypoints(rng, box):
    points = np.c_[rng.uniform(box[0], box[0] + box[2], 17), rng.uniform(box[1], box[1] + box[3], 17)].round()
    visible = np.zeros(17) if rng.random() < 0.15 else rng.integers(0, 3, 17)
    return {"keypoints": np.c_[points, visible].ravel().tolist(), "num_keypoints": int((visible > 0).sum())}


def _detection(rng, iou_type, truth, box):
    moved = box + rng.choice([0, 0.05, 0.2]) * box[[2, 3, 2, 3]] * rng.normal(0, 1, 4)
    moved = np.r_[np.clip(moved[:2], 0, SIDE - 2), np.maximum(moved[2:], 1)]
    score = {"score": round(float(rng.random()), 1)}  # one decimal, hence many ties
    if iou_type == "bbox":
        return {**score, "bbox": moved.tolist()}
    if iou_type == "segm":
        return {**score, "segmentation": box_rle(moved)}
    points = np.reshape(truth["keypoints"], (17, 3)) + rng.choice([0, 1, 4]) * rng.normal(0, 1, (17, 3))
    return {**score, "keypoints": points.ravel().tolist(), "bbox": moved.tolist()}


def box_rle(box, side=SIDE):
    """COCO RLE of the pixels that a box x, y, w, h covers."""
    x, y, width, height = (int(v) for v in box)
    bitmap = np.zeros((side, side), np.uint8, order="F")
    bitmap[y : y + height, x : x + width] = 1
    return text_rle(mask_utils.encode(bitmap))


def text_rle(rle):
    return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode()}


def run_pycocotools(truth, results, iou_type, image_ids=None, max_dets=None):
    """pycocotools alone, on copies, since it changes what it is given: (its evaluation, the lines that it prints)."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), iou_type)
        evaluation.params.imgIds = image_ids or evaluation.params.imgIds
        evaluation.params.maxDets = max_dets or evaluation.params.maxDets
        evaluation.evaluate()
        evaluation.accumulate()
        with contextlib.redirect_stdout(printed):
            evaluation.summarize()
    return evaluation, tuple(printed.getvalue().splitlines())
