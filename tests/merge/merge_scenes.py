"""Small random scenes with everything that makes a merge hard, and Detectron2's answer to them."""

from __future__ import annotations

import numpy as np
import torch

import thingstuff.config  # noqa: F401  mends Detectron2 before it is imported
from thingstuff.merge import Greedy, merge
from thingstuff.structures import VOID, Categories, Category, Detections, MaskCrops, PanopticMap

# data set ids without order, with gaps, things and stuff mixed
CATEGORIES = Categories(
    tuple(
        Category(category_id, f"c{category_id}", isthing)
        for category_id, isthing in [(9, True), (40, False), (3, True), (7, False), (1, True), (12, False), (5, False)]
    )
)
LIMITS = (0, 1, 0.01, 0.3, 20, 4096)


def random_scene(rng):
    """(N x H x W bool, N float32 scores, N thing indices, stuff map), and a rule with thresholds that they meet."""
    many = rng.random() < 0.03
    height, width = (int(n) for n in (rng.integers(1, 25, 2) if not many else rng.integers(20, 40, 2)))
    count = 300 if many else int(rng.choice([0, 1, 2, 5, 12]))
    bitmaps = np.zeros((count, height, width), bool)
    for number in range(count):
        bitmaps[number] = random_mask(rng, bitmaps[:number], height, width)
    scores = rng.choice([0.3, 0.5, 0.7, 0.9, 1.0], count) if rng.random() < 0.5 else rng.random(count)
    scores = scores.astype(np.float32)
    classes = rng.integers(0, len(CATEGORIES.things), count)
    confidence = rng.choice(scores).item() if count and rng.random() < 0.3 else rng.choice([0, 0.5, 0.7, 1])
    rule = Greedy(float(rng.choice([0, 0.25, 0.5, 1])), rng.choice(LIMITS).item(), float(confidence))
    return (bitmaps, scores, classes, random_stuff_map(rng, height, width)), rule


def random_mask(rng, earlier, height, width):
    """Nothing, one pixel, the whole image, one that was there before, or a box with holes, often at the border."""
    mask = np.zeros((height, width), bool)
    kind = rng.choice(["empty", "pixel", "whole", "again", "box"], p=[0.05, 0.1, 0.05, 0.15, 0.65])
    if kind == "again" and len(earlier):
        return earlier[rng.integers(len(earlier))]
    if kind == "pixel":
        mask[rng.integers(height), rng.integers(width)] = True
    if kind == "whole":
        mask[:] = True
    if kind == "box":
        y0, y1 = np.sort(rng.integers(0, height + 1, 2))
        x0, x1 = np.sort(rng.integers(0, width + 1, 2))
        mask[y0:y1, x0:x1] = rng.random((y1 - y0, x1 - x0)) < rng.choice([0.3, 0.9, 1])
    return mask


def random_stuff_map(rng, height, width):
    kind = rng.choice(["noise", "blocks", "void", "things"], p=[0.3, 0.5, 0.1, 0.1])
    if kind in ("void", "things"):
        return np.full((height, width), {"void": VOID, "things": 0}[kind], np.uint16)
    labels = np.array([0, 1, 2, 3, 4, VOID], np.uint16)
    side = 1 if kind == "noise" else 5
    coarse = rng.choice(labels, (height // side + 1, width // side + 1))
    return coarse.repeat(side, axis=0).repeat(side, axis=1)[:height, :width].copy()


def loose_crops(rng, bitmaps):
    """Crops that are larger than their masks, some without a pixel, some not contiguous."""
    tight = MaskCrops.from_bitmaps(bitmaps)
    _, height, width = bitmaps.shape
    pairs = []
    for bitmap, (x0, y0, x1, y1) in zip(bitmaps, tight.boxes_xyxy.tolist(), strict=True):
        if x1 > x0:
            x0, y0 = int(rng.integers(0, x0 + 1)), int(rng.integers(0, y0 + 1))
            x1, y1 = int(rng.integers(x1, width + 1)), int(rng.integers(y1, height + 1))
        crop = bitmap[y0:y1, x0:x1].view(np.uint8)
        pairs.append((crop if rng.random() < 0.5 else np.asfortranarray(crop), (x0, y0, x1, y1)))
    return MaskCrops.from_boxes(pairs, height, width)


def detections_of(masks, scores, classes):
    boxes = masks.boxes_xyxy.astype(np.float32)
    return Detections(masks, boxes, scores, CATEGORIES.thing_ids(classes))


def by_detectron2(bitmaps, scores, classes, stuff_map, rule, monkeypatch):
    """Ids and segments_info of Detectron2, with a stable sort; void is nothing to it, as "things" is."""
    from detectron2.modeling.meta_arch.panoptic_fpn import combine_semantic_and_instance_outputs
    from detectron2.structures import Instances

    instances = Instances(stuff_map.shape)
    instances.scores, instances.pred_classes = torch.tensor(scores), torch.tensor(classes)
    instances.pred_masks = torch.tensor(bitmaps)
    limit = rule.stuff_area_limit
    limit_px = limit * stuff_map.size if limit < 1 else limit
    semantic = torch.tensor(np.where(stuff_map == VOID, 0, stuff_map).astype(np.int64))
    argsort = torch.argsort
    with monkeypatch.context() as patch:
        patch.setattr(torch, "argsort", lambda values: argsort(values, stable=True))
        ids, segments_info = combine_semantic_and_instance_outputs(
            instances, semantic, rule.overlap_thresh, limit_px, rule.instances_confidence_thresh
        )
    return ids.numpy(), segments_info


def assert_as_detectron2(rng, monkeypatch):
    """One random scene: the same map and segments, and a map that passes all checks. Returns its ledger."""
    (bitmaps, scores, classes, stuff_map), rule = random_scene(rng)
    panoptic, ledger = merge(detections_of(loose_crops(rng, bitmaps), scores, classes), stuff_map, CATEGORIES, rule)
    ids, segments_info = by_detectron2(bitmaps, scores, classes, stuff_map, rule, monkeypatch)
    np.testing.assert_array_equal(panoptic.ids, ids)
    PanopticMap(panoptic.ids, panoptic.segments)
    assert [stated(s) for s in panoptic.segments] == [expected(i) for i in segments_info if i["id"] in set(ids.flat)]
    # the one difference: a segment without a pixel, which is an entry here
    unseen = [info for info in segments_info if info["id"] not in set(ids.flat)]
    covered = [entry for entry in (*ledger.instances, *ledger.stuff) if entry.reason == "covered"]
    assert [info.get("instance_id") for info in unseen] == [getattr(entry, "index", None) for entry in covered]
    return ledger


def stated(segment):
    return segment.id, segment.isthing, segment.category_id, segment.score, None if segment.isthing else segment.area


def expected(info):
    kind = CATEGORIES.things if info["isthing"] else (None, *CATEGORIES.stuff)
    return info["id"], info["isthing"], kind[info["category_id"]].id, info.get("score"), info.get("area")
