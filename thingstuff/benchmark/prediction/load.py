"""What the heads of every program are fed, alike, in place of the random outputs of random weights.

A network with random weights finds nothing, or the same thing everywhere, so that its heads and all that follows them
would be measured idle. Here D objects in COCO's mix of sizes lie in the image. Around each of them several proposals
are classified as its class; the rest is background. Score filter and NMS then do their work and leave D detections.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thingstuff.benchmark.paste_scenes import random_boxes, random_probs
from thingstuff.errors import ConfigError

COPIES = 5  # proposals of an object, of which NMS leaves one
PROPOSAL_SHIFT, BOX_SHIFT = (
    0.08,
    0.02,
)  # how far the edges of proposals and of their boxes stray, in sides of the object
MOST_SHARED = 0.2  # IoU of two objects of one class, which NMS must not take for one
OTHER_LOGIT = -8.0  # of a class that is not the proposal's, where the background has 0
BLOBS = 16  # outlines of masks, one for each class in turn
_BEST, _COPY_BELOW = (0.6, 0.98), (0.05, 0.35)  # scores of objects, and how far below them their other copies are
_TRIES = 200  # places that an object may try before its class is given up
_SHARPEST = 1e-4  # probabilities of masks stay this far from 0 and 1, so that they have logits


@dataclass(frozen=True, eq=False)
class Load:
    """P proposals of one image; `boxes` and `targets` are P x 4 float64 in fractions of its width and height (xyxy).

    `labels` are P int64 contiguous classes, -1 for background; `scores` P float64, 0 for background. `targets` are the
    boxes that the regression gives.
    """

    boxes: np.ndarray
    targets: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    detections: int

    def proposals(self, height: int, width: int) -> np.ndarray:
        """P x 4 float32 in pixels of a network input of this size."""
        return (self.boxes * [width, height, width, height]).astype(np.float32)

    def logits(self, classes: int, background_first: bool = False) -> np.ndarray:
        """P x (classes + 1) float32 whose softmax gives `scores`, and next to nothing to other classes."""
        logits = np.full((len(self.labels), classes + 1), OTHER_LOGIT, np.float32)
        background, first = (0, 1) if background_first else (classes, 0)
        logits[:, background] = 0
        rows = np.flatnonzero(self.labels >= 0)
        scores = self.scores[rows]
        logits[rows, first + self.labels[rows]] = np.log(scores / (1 - scores))
        return logits

    def deltas(self, weights: tuple[float, ...]) -> np.ndarray:
        """P x 4 float32: R-CNN's regression from `boxes` to `targets`, times the coder's weights."""
        sides, centres = _sides(self.boxes), _centres(self.boxes)
        shifts = (_centres(self.targets) - centres) / sides
        return (np.concatenate([shifts, np.log(_sides(self.targets) / sides)], axis=1) * weights).astype(np.float32)


def random_load(height: int, width: int, detections: int, classes: int, proposals: int, seed: int) -> Load:
    """A load for an H x W image; the same for the same numbers."""
    if detections > proposals:
        raise ConfigError(f"{detections} detections do not come from {proposals} proposals: ask for fewer")
    rng = np.random.default_rng([seed, height, width, detections])
    objects, labels = _objects(height, width, detections, classes, rng)
    copies = min(COPIES, proposals // max(detections, 1))
    rows = np.repeat(np.arange(detections), copies)
    clutter = random_boxes(height, width, proposals - len(rows), rng) / [width, height, width, height]
    boxes = np.concatenate([_shifted(objects[rows], PROPOSAL_SHIFT, rng), clutter])
    targets = np.concatenate([_shifted(objects[rows], BOX_SHIFT, rng), clutter])
    order = rng.permutation(proposals)
    return Load(
        boxes[order],
        targets[order],
        np.concatenate([labels[rows], np.full(len(clutter), -1)])[order],
        np.concatenate([_scores(detections, copies, rng), np.zeros(len(clutter))])[order],
        detections,
    )


def blob_probs(cells: int, seed: int = 0) -> np.ndarray:
    """BLOBS x cells x cells float32 probabilities of masks: soft outlines that fill their boxes."""
    probs = random_probs(BLOBS, np.random.default_rng([seed, cells]), cells)
    return np.clip(probs, _SHARPEST, 1 - _SHARPEST)


def _objects(height: int, width: int, count: int, classes: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """N x 4 boxes in fractions, and classes, of which no two of one class overlap much."""
    boxes, labels = np.zeros((count, 4)), rng.integers(0, classes, count)
    for number in range(count):
        for _ in range(_TRIES):
            one = random_boxes(height, width, 1, rng)[0] / [width, height, width, height]
            others = boxes[:number][labels[:number] == labels[number]]
            if _ious(one, others).max(initial=0) <= MOST_SHARED:
                boxes[number] = one
                break
            labels[number] = rng.integers(0, classes)
        else:
            raise ConfigError(f"{count} detections of {classes} classes find no room in an image: ask for fewer")
    return boxes, labels


def _shifted(boxes: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Every edge moved by at most `share` of the box's side, inside the image."""
    sides = np.tile(_sides(boxes), 2)
    return np.clip(boxes + sides * rng.uniform(-share, share, boxes.shape), 0, 1)


def _scores(count: int, copies: int, rng: np.random.Generator) -> np.ndarray:
    """Copies of one object stand together, the best first; the best ones of all objects are distinct."""
    best = np.linspace(*_BEST, count)[rng.permutation(count)]
    below = rng.uniform(*_COPY_BELOW, (count, copies))
    below[:, :1] = 0
    return (best[:, None] - below).ravel()


def _ious(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    return shared / (np.prod(_sides(box[None])) + np.prod(_sides(others), axis=1) - shared)


def _sides(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, 2:] - boxes[:, :2]


def _centres(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] + boxes[:, :2]) / 2
