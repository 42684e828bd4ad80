"""What limits the AP of boxes or masks: what mending one kind of error would win, and which classes are confused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from thingstuff.errors import ConfigError
from thingstuff.evaluation.coco_backends import open_hotcoco
from thingstuff.evaluation.coco_input import CocoInput, Record

IntArray = npt.NDArray[np.int64]

# our name -> hotcoco's
_CAUSES = {
    "class": "Cls",
    "localisation": "Loc",
    "both": "Both",
    "duplicate": "Dupe",
    "background": "Bkg",
    "missed": "Miss",
}
_SUMS = {"false_positives": "FP", "false_negatives": "FN"}
CAUSES = tuple(_CAUSES)
SUMS = tuple(_SUMS)


@dataclass(frozen=True, eq=False)
class ApCauses:
    """AP at one IoU threshold, what each of `CAUSES` takes from it, and the confusion matrix (TIDE, Bolya et al. 2020).

    `gains` are AP after mending one cause minus `ap`, as fractions; `counts` say how many detections or objects it
    concerns. Errors hide each other, so gains do not add up. With t = `iou_thresh` and b = `background_iou`, s the
    highest IoU of a false detection with an object of its class and o that with an object of another, the first of
    these that holds is its cause:

    - `localisation`: b <= s <= t. Mended, it finds the object of s.
    - `class`: o >= t. Mended, it finds the object of o, in that object's class.
    - `duplicate`: s >= t, so that another detection has found the object. Mended, it is gone.
    - `background`: max(s, o) <= b. Mended, it is gone.
    - `both`, too little overlap and with the wrong class: all others. Mended, it is gone.

    An object that is found is not found again: of the false detections that aim at one object, the one with the
    highest score finds it, unless a true detection has; the others are gone.

    - `missed`: objects that nothing finds and at which no `localisation` or `class` error aims. Mended, they are gone
      from the truth, as if the detector were as precise on them as on the others.
    - `false_positives`, one of `SUMS`: the five above together, gone: perfect precision at the same recall.
    - `false_negatives`, the other: all objects that nothing finds, gone from the truth: perfect recall.

    A category in `never_found` has AP 0 however many of its objects are gone, so its missed objects gain nothing.
    All of it is NaN without an object in the truth.
    """

    iou_type: str
    iou_thresh: float
    ap: float
    gains: Mapping[str, float]
    counts: Mapping[str, int]
    never_found: tuple[str, ...]  # categories with objects, none of which is found
    category_names: tuple[str, ...]  # K, in the order of the category ids
    confusion: IntArray  # (K + 1) x (K + 1) numbers of pairs; rows truth, columns prediction, the last is background
    min_score: float  # of the detections in `confusion`

    def largest_confusions(self, count: int) -> list[tuple[str, str, int]]:
        """(true name, predicted name, number of objects) of different categories, most first, none without objects."""
        pairs = self.confusion[:-1, :-1].copy()
        np.fill_diagonal(pairs, 0)
        largest = np.argsort(-pairs, axis=None, kind="stable")[:count]
        rows, columns = np.unravel_index(largest[pairs.ravel()[largest] > 0], pairs.shape)
        names = self.category_names
        return [(names[i], names[j], int(pairs[i, j])) for i, j in zip(rows.tolist(), columns.tolist(), strict=True)]


def ap_causes(
    data: CocoInput,
    *,
    iou_thresh: float = 0.5,
    background_iou: float = 0.1,
    max_dets: int = 100,
    min_score: float = 0.5,
) -> ApCauses:
    """The causes of lost AP at `iou_thresh`, and the confusion matrix of detections with at least `min_score`.

    Both are of the `max_dets` best detections of an image and category, as COCO's AP is. The confusion matrix pairs
    each detection, best first, with the free object of any class that it overlaps most, if IoU >= `iou_thresh`.
    Objects and detections without a partner are paired with background.

    hotcoco computes both. It takes a crowd region for an object that a `localisation` error may find, and for
    background in the confusion matrix; here crowds are taken out first, with the detections that they excuse. Unlike
    tidecv, which is TIDE's own program: `max_dets` is not for a whole image; a category without objects is left out
    of the mean instead of counting as 0, and one that loses all its objects to `missed` stays in it with AP 0; tidecv
    1.0.1 also counts detections that a crowd excuses as errors. Equal scores go by input order, and a detection that
    is mended into another class goes behind its equals there.
    """
    _check(data, iou_thresh, background_iou, max_dets, min_score)
    data = _without_crowds(replace(data, results=_best(data.results, max_dets)), iou_thresh, max_dets)
    evaluation = _evaluated(data, iou_thresh, max_dets)
    errors = evaluation.tide_errors(pos_thr=iou_thresh, bg_thr=background_iou)
    gains = {cause: errors["delta_ap"][theirs] for cause, theirs in (_CAUSES | _SUMS).items()}
    objects, found = _objects_and_found(data, evaluation)
    # without a limit of its own, which would be for a whole image
    pairs = evaluation.confusion_matrix(iou_thr=iou_thresh, max_det=len(data.results), min_score=min_score)
    names = tuple(str(category["name"]) for category in data.categories)
    return ApCauses(
        iou_type=data.iou_type,
        iou_thresh=iou_thresh,
        ap=float(errors["ap_base"]) if data.truths else math.nan,
        gains={cause: float(gain) if data.truths else math.nan for cause, gain in gains.items()},
        counts=_counts(errors["counts"], int((objects - found).sum())),
        never_found=tuple(names[k] for k in np.flatnonzero((objects > 0) & (found == 0)).tolist()),
        category_names=names,
        confusion=np.asarray(pairs["matrix"]).astype(np.int64),
        min_score=min_score,
    )


def _check(data: CocoInput, iou_thresh: float, background_iou: float, max_dets: int, min_score: float) -> None:
    if data.iou_type not in ("bbox", "segm"):
        raise ConfigError(f"causes of lost AP are known for bbox and segm only, not for {data.iou_type}")
    if not 0 <= background_iou < iou_thresh <= 1:
        stated = f"background_iou={background_iou}, iou_thresh={iou_thresh}"
        raise ConfigError(f"expected 0 <= background_iou < iou_thresh <= 1, got {stated}")
    if max_dets < 1:
        raise ConfigError(f"max_dets must be at least 1, got {max_dets}")
    if math.isnan(min_score):
        raise ConfigError("min_score is not a number")


def _best(results: list[Record], max_dets: int) -> list[Record]:
    """Those that COCO looks at: a limit for each image and category, equal scores by input order."""
    taken: Counter[tuple[int, int]] = Counter()
    kept = set()
    for i in sorted(range(len(results)), key=lambda i: -results[i]["score"]):
        place = results[i]["image_id"], results[i]["category_id"]
        taken[place] += 1
        if taken[place] <= max_dets:
            kept.add(i)
    return [r for i, r in enumerate(results) if i in kept]


def _without_crowds(data: CocoInput, iou_thresh: float, max_dets: int) -> CocoInput:
    """The same AP from less: crowds are gone, and from their images the detections that do not count."""
    crowded = sorted({t["image_id"] for t in data.truths if t["iscrowd"]})
    if not crowded:
        return data
    counting = set()
    for cell in _evaluated(data, iou_thresh, max_dets, crowded).eval_imgs:
        if cell is not None:
            ignored = np.asarray(cell["dtIgnore"], np.bool_)[0]
            counting |= {i for i, is_ignored in zip(cell["dtIds"], ignored, strict=True) if not is_ignored}
    apart = set(crowded)
    # hotcoco numbers detections from 1, in their order
    results = [r for i, r in enumerate(data.results, 1) if r["image_id"] not in apart or i in counting]
    return replace(data, truths=[t for t in data.truths if not t["iscrowd"]], results=results)


def _evaluated(data: CocoInput, iou_thresh: float, max_dets: int, image_ids: list[int] | None = None) -> Any:
    """hotcoco's evaluation of objects of all sizes at one threshold, matched but not accumulated."""
    evaluation = open_hotcoco(data, [max_dets])
    parameters = evaluation.params
    parameters.iou_thrs = [iou_thresh]
    parameters.area_rng, parameters.area_rng_lbl = [[0, 1e10]], ["all"]
    if image_ids is not None:
        parameters.img_ids = image_ids
    evaluation.evaluate()
    return evaluation


def _objects_and_found(data: CocoInput, evaluation: Any) -> tuple[IntArray, IntArray]:
    """K int64 numbers of objects and of those that a detection of their class has found."""
    evaluation.accumulate()
    recall = np.asarray(evaluation.eval["recall"])[0, :, 0, 0]  # -1 without objects
    positions = np.array([t["category_id"] - 1 for t in data.truths], np.int64)
    objects = np.bincount(positions, minlength=len(data.categories)).astype(np.int64)
    return objects, np.rint(objects * recall).astype(np.int64)


def _counts(theirs: Mapping[str, int], not_found: int) -> dict[str, int]:
    counts = {cause: int(theirs[name]) for cause, name in _CAUSES.items()}
    false = sum(number for cause, number in counts.items() if cause != "missed")
    return counts | {"false_positives": false, "false_negatives": not_found}
