"""TIDE's causes of lost AP and a confusion matrix written out: one image, one detection, one object at a time."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from coco_scenes import SIDE
from pycocotools import mask as mask_utils

from thingstuff.evaluation.ap_causes import CAUSES


class Scene:
    """Every detection with its state and cause, every object with who finds it and who would."""

    def __init__(self, truth, results, iou_type, iou_thresh=0.5, background_iou=0.1, max_dets=100):
        self.categories = sorted(c["id"] for c in truth["categories"])
        self.detections, self.objects, self.pictures = [], [], []
        for image_id in sorted(i["id"] for i in truth["images"]):
            here = [dict(t, found=False, aims=[]) for t in truth["annotations"] if t["image_id"] == image_id]
            crowds, objects = [t for t in here if t["iscrowd"]], [t for t in here if not t["iscrowd"]]
            detections = []
            for c in self.categories:
                of = [dict(r, n=n) for n, r in enumerate(results) if (r["image_id"], r["category_id"]) == (image_id, c)]
                detections += sorted(of, key=lambda r: -r["score"])[:max_dets]
            iou = _ious(detections, objects, False, iou_type)
            in_crowd = _ious(detections, crowds, True, iou_type)
            for r, overlaps, crowded in zip(detections, iou, in_crowd, strict=True):
                r["state"] = self._state(r, objects, overlaps, crowds, crowded, iou_thresh)
            for r, overlaps in zip(detections, iou, strict=True):
                if r["state"] == "false":
                    self._explain(r, objects, overlaps, iou_thresh, background_iou)
            self.detections += detections
            self.objects += objects
            self.pictures.append((detections, objects, iou))

    @staticmethod
    def _state(r, objects, overlaps, crowds, crowded, iou_thresh):
        own = [j for j, t in enumerate(objects) if t["category_id"] == r["category_id"] and not t["found"]]
        best = max(own, key=lambda j: overlaps[j], default=None)
        if best is not None and overlaps[best] >= iou_thresh:
            objects[best]["found"] = True
            return "true"
        own_crowds = [j for j, t in enumerate(crowds) if t["category_id"] == r["category_id"]]
        return "ignored" if any(crowded[j] >= iou_thresh for j in own_crowds) else "false"

    @staticmethod
    def _explain(r, objects, overlaps, iou_thresh, background_iou):
        def best(same):
            of = [j for j, t in enumerate(objects) if (t["category_id"] == r["category_id"]) == same]
            return max(((overlaps[j], -j) for j in of), default=(0, None))

        (s, own), (o, other) = best(True), best(False)
        if background_iou <= s <= iou_thresh:
            r["cause"], r["target"] = "localisation", objects[-own]
        elif o >= iou_thresh:
            r["cause"], r["target"] = "class", objects[-other]
        else:
            few = max(s, o) <= background_iou
            r["cause"] = "duplicate" if s >= iou_thresh else "background" if few else "both"
        if "target" in r:
            r["target"]["aims"].append(r)

    def ap(self, mended=None, gone=lambda t: False, without_false=False):
        points, objects = {c: [] for c in self.categories}, Counter(t["category_id"] for t in self.objects)
        kept = Counter(t["category_id"] for t in self.objects if not gone(t))
        moved = {c: [] for c in self.categories}
        for r in self.detections:
            if r["state"] == "true":
                points[r["category_id"]].append((r["score"], True))
            elif r["state"] == "false" and not without_false:
                if r["cause"] != mended:
                    points[r["category_id"]].append((r["score"], False))
                elif "target" in r and self._is_the_one(r, r["target"]):
                    where = moved if mended == "class" else points
                    where[r["target"]["category_id"]].append((r["score"], True))
        for c, behind_equals in moved.items():
            points[c] += behind_equals
        areas = [_area(points[c], kept[c]) for c in self.categories if objects[c]]
        return np.mean(areas) if areas else math.nan

    @staticmethod
    def _is_the_one(r, target):
        return not target["found"] and max(target["aims"], key=lambda a: (a["score"], -a["n"])) is r

    def causes(self):
        """ap, gains and counts."""
        now = self.ap()
        missed = [t for t in self.objects if not t["found"] and not t["aims"]]
        gains = {c: self.ap(c) - now for c in CAUSES[:-1]}
        gains["missed"] = self.ap(gone=lambda t: not t["found"] and not t["aims"]) - now
        gains["false_positives"] = self.ap(without_false=True) - now
        gains["false_negatives"] = self.ap(gone=lambda t: not t["found"]) - now
        counts = {c: sum(r.get("cause") == c for r in self.detections) for c in CAUSES} | {"missed": len(missed)}
        counts["false_positives"] = sum(r["state"] == "false" for r in self.detections)
        counts["false_negatives"] = sum(not t["found"] for t in self.objects)
        return now, gains, counts

    def confusion(self, min_score, iou_thresh):
        size = len(self.categories) + 1
        matrix = np.zeros((size, size), np.int64)
        for detections, objects, iou in self.pictures:
            free = dict(enumerate(objects))
            for i in sorted(range(len(detections)), key=lambda i: -detections[i]["score"]):
                r = detections[i]
                if r["state"] == "ignored" or r["score"] < min_score:
                    continue
                best = max(free, key=lambda j: iou[i, j], default=None)
                row = -1
                if best is not None and iou[i, best] >= iou_thresh:
                    row = self.categories.index(free.pop(best)["category_id"])
                matrix[row, self.categories.index(r["category_id"])] += 1
            for t in free.values():
                matrix[self.categories.index(t["category_id"]), -1] += 1
        return matrix


def _area(points, objects):
    """COCO's AP of (score, is true): the mean of the best precision at or beyond the recalls 0, 0.01 ... 1."""
    true = np.cumsum([t for _, t in sorted(points, key=lambda p: -p[0])])
    if not objects or not points:
        return 0.0
    precision, recall = true / np.arange(1, len(true) + 1), true / objects
    return np.mean([precision[recall >= r].max(initial=0) for r in np.linspace(0, 1, 101)])


def _ious(detections, objects, crowd, iou_type):
    if not detections or not objects:
        return np.zeros((len(detections), len(objects)))
    shapes = [[_shape(record, iou_type) for record in records] for records in (detections, objects)]
    return np.asarray(mask_utils.iou(*shapes, [crowd] * len(objects)))


def _shape(record, iou_type):
    if iou_type == "bbox":
        return record["bbox"]
    mask = record["segmentation"]
    return mask_utils.merge(mask_utils.frPyObjects(mask, SIDE, SIDE)) if isinstance(mask, list) else mask
