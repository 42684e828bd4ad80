"""Which detections hit and which miss, image by image: all that AP on other draws of the same images depends on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from thingstuff.evaluation.coco_ap import MAX_DETS
from thingstuff.evaluation.coco_backends import COCO_IOU_THRESHS, match_images
from thingstuff.evaluation.coco_input import CocoInput, Record

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

_BLOCK_IMAGES = 500  # each image's matches take a few dozen KiB as Python objects
_HIGHEST_AREA = 1e10  # where COCO's area range "all" ends

SIZES = ("all", "small", "medium", "large")  # COCO's area ranges of boxes and masks


@dataclass(frozen=True)
class CategoryMatches:
    """One category's n detections in COCO's order: by descending score, equal ones by image, then as they are listed.

    At each of T IoU thresholds a detection is a true positive (`tp`), or counts neither way (`ignored`, as one on a
    crowd), or is a false positive.
    """

    image: IntArray  # n positions in the data set's images
    tp: BoolArray  # T x n
    ignored: BoolArray  # T x n, never where `tp` is
    truths: IntArray  # as many as there are images: the objects that count
    scores: FloatArray  # n, descending

    def __post_init__(self) -> None:
        shapes = (self.image.shape, self.scores.shape, self.tp.shape, self.ignored.shape)
        if self.tp.shape != self.ignored.shape or {self.tp.shape[1:], self.scores.shape} != {self.image.shape}:
            raise ValueError(f"expected n images and scores, T x n tp and ignored, got {', '.join(map(str, shapes))}")


@dataclass(frozen=True)
class ApMatches:
    """Each category's detections at COCO's ten IoU thresholds, by the category's name."""

    images: int
    categories: Mapping[str, CategoryMatches]


@dataclass(frozen=True)
class _Found:
    """The N results of a data set as columns, in their order."""

    image: IntArray  # positions
    category: IntArray  # positions
    score: FloatArray

    @classmethod
    def of(cls, data: CocoInput) -> _Found:
        image = {record["id"]: position for position, record in enumerate(data.images)}
        return cls(
            image=np.array([image[r["image_id"]] for r in data.results], np.int64),
            category=np.array([r["category_id"] - 1 for r in data.results], np.int64),
            score=np.array([r["score"] for r in data.results], np.float64),
        )


@dataclass(frozen=True)
class _Matched:
    """The verdicts on N results, in their order, and the K x images truth that counts."""

    tp: BoolArray  # N x T
    ignored: BoolArray  # N x T
    truths: IntArray


def ap_matches(data: CocoInput, max_dets: int | None = None, size: str = "all") -> ApMatches:
    """The matches behind COCO's AP of objects of one of `SIZES`.

    Of at most `max_dets` detections an image and category, by default 100, of keypoints 20.
    """
    limit = MAX_DETS[data.iou_type][-1] if max_dets is None else max_dets
    found = _Found.of(data)
    matched = _match(data, limit, SIZES.index(size))
    ranked = _rank(found, limit)
    ends = np.searchsorted(found.category[ranked], np.arange(len(data.categories) + 1))
    categories = {}
    for k, category in enumerate(data.categories):
        own = ranked[ends[k] : ends[k + 1]]
        tp, ignored = (np.ascontiguousarray(bits[own].T) for bits in (matched.tp, matched.ignored))
        categories[category["name"]] = CategoryMatches(
            found.image[own], tp, ignored, matched.truths[k], found.score[own]
        )
    return ApMatches(len(data.images), categories)


def _match(data: CocoInput, max_dets: int, area: int) -> _Matched:
    position = {record["id"]: p for p, record in enumerate(data.images)}
    tp, ignored = np.zeros((2, len(data.results), len(COCO_IOU_THRESHS)), bool)
    truths = np.zeros((len(data.categories), len(data.images)), np.int64)
    for block, numbers in _blocks(data, is_of_all_sizes=area == 0):
        for record in match_images(block, max_dets, area):
            own = numbers[np.array(record["dtIds"], np.int64) - 1]
            ignored[own] = np.array(record["dtIgnore"], bool).T
            tp[own] = np.array(record["dtMatched"], bool).T & ~ignored[own]
            truths[record["category_id"] - 1, position[record["image_id"]]] = record["gtIgnore"].count(False)
    return _Matched(tp, ignored, truths)


def _blocks(data: CocoInput, *, is_of_all_sizes: bool) -> Iterator[tuple[CocoInput, IntArray]]:
    """Data sets of a few images each, and the positions of their results in `data.results`.

    Results that cannot be but false positives are left out: those in an image without truth of their category, unless
    they can be of another size.
    """
    truths, results = defaultdict(list), defaultdict(list)
    for truth in data.truths:
        truths[truth["image_id"]].append(truth)
    with_truth = {_image_and_category(t) for t in data.truths}
    for number, result in enumerate(data.results):
        if not is_of_all_sizes or _image_and_category(result) in with_truth or _may_be_ignored(result):
            results[result["image_id"]].append(number)
    for start in range(0, len(data.images), _BLOCK_IMAGES):
        images = data.images[start : start + _BLOCK_IMAGES]
        numbers = [n for i in images for n in results[i["id"]]]
        own_truths = [t for i in images for t in truths[i["id"]]]
        block = replace(data, images=images, truths=own_truths, results=[data.results[n] for n in numbers])
        yield block, np.array(numbers, np.int64)


def _image_and_category(record: Record) -> tuple[int, int]:
    return record["image_id"], record["category_id"]


def _may_be_ignored(result: Record) -> bool:
    """COCO ignores an unmatched detection whose area is out of all ranges, as that of a box of negative width."""
    if "keypoints" in result:
        return True
    return "bbox" in result and not 0 <= result["bbox"][2] * result["bbox"][3] <= _HIGHEST_AREA


def _rank(found: _Found, max_dets: int) -> IntArray:
    """The results that count, category by category in COCO's order; `lexsort` keeps the order of equal ones."""
    by_image = np.lexsort((-found.score, found.category, found.image))
    group = np.stack([found.image, found.category])[:, by_image]
    starts = np.flatnonzero(np.any(np.diff(group, axis=1, prepend=-1), axis=0))
    sizes = np.diff(starts, append=len(by_image))
    kept = by_image[np.arange(len(by_image)) - np.repeat(starts, sizes) < max_dets]
    return kept[np.lexsort((-found.score[kept], found.category[kept]))]
