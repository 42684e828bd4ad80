"""AP near zero though the objects are found: which mistake of ids or boxes explains it, proved by undoing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from thingstuff.evaluation.box_formats import boxes_in_other_formats, look_like_fractions
from thingstuff.evaluation.coco_ap import MAX_DETS, average_precision
from thingstuff.evaluation.coco_backends import open_hotcoco
from thingstuff.evaluation.coco_input import CocoInput

LOW_AP = 0.1  # a model above it may be bad, but its ids are right
GAIN, RATIO = 0.1, 3  # by how much, and how many times, AP must become higher
FOLLOWED_SHARE = 0.8  # of the detections that lie on an object: as many must follow the rule
_FEWEST_PAIRS = 20  # of fewer, chance could make a rule
_SAMPLE_IMAGES = 300  # enough to choose between suspicions; the chosen one is then proved on all


@dataclass(frozen=True)
class _Suspicion:
    """`says` what seems to be wrong, and with what `remedy` the results would be `mended`."""

    name: str
    says: str
    remedy: str
    mended: CocoInput


def find_id_mistake(data: CocoInput, ap: float) -> str | None:
    """One line that says what is probably wrong with the ids or the boxes of the results, or None.

    `ap` is the AP of `data`, a fraction. A suspicion is told only if AP becomes three times as high, and by 10 points,
    once the mistake is undone. So a model that is merely bad, or guesses, is never accused.
    """
    if not ap < LOW_AP or not data.results or not data.truths:
        return None
    chances = [(_ap(s.mended), s.name) for s in _suspicions(_first_images(data))]
    likeliest = max(chances)[1] if chances and _is_proof(max(chances)[0], ap) else None
    for suspicion in _suspicions(data) if likeliest else ():
        if suspicion.name == likeliest and _is_proof(mended_ap := _ap(suspicion.mended), ap):
            says, remedy = suspicion.says, suspicion.remedy
            return f"AP is {100 * ap:.1f}, but {says}? AP would be {100 * mended_ap:.1f} with {remedy}"
    if look_like_fractions(data):
        return f"AP is {100 * ap:.1f}, and no box reaches beyond 1.5: are these fractions? COCO's boxes are in pixels"
    return None


def _first_images(data: CocoInput) -> CocoInput:
    kept = {image["id"] for image in data.images[:_SAMPLE_IMAGES]}
    return replace(
        data,
        images=data.images[:_SAMPLE_IMAGES],
        truths=[t for t in data.truths if t["image_id"] in kept],
        results=[r for r in data.results if r["image_id"] in kept],
    )


def _ap(data: CocoInput) -> float:
    ap = average_precision(data).numbers["AP"]
    return 0.0 if np.isnan(ap) else ap


def _is_proof(mended_ap: float, ap: float) -> bool:
    return mended_ap >= max(ap + GAIN, RATIO * ap)


def _suspicions(data: CocoInput) -> Iterator[_Suspicion]:
    if data.results and data.truths:
        yield from _of_one_category(data)
        yield from _of_other_categories(data)
        yield from _of_other_images(data)
        yield from _of_other_boxes(data)


def _of_one_category(data: CocoInput) -> Iterator[_Suspicion]:
    found, true = ({record["category_id"] for record in records} for records in (data.results, data.truths))
    if len(found) > 1 or len(true) < 2 or len(data.results) < _FEWEST_PAIRS:
        return
    name = data.categories[min(found) - 1]["name"]
    says = f"all {len(data.results)} detections are {name!r} and the truth has {len(true)} categories: were they lost"
    mended = replace(
        data,
        categories=[{"id": 1, "name": "object"}],
        truths=[{**truth, "category_id": 1} for truth in data.truths],
        results=[{**record, "category_id": 1} for record in data.results],
    )
    yield _Suspicion("one category", says, "the categories ignored", mended)


def _of_other_categories(data: CocoInput) -> Iterator[_Suspicion]:
    """All ids one too small or too large, or else another order of the names."""
    pairs = _pairs(data)
    if pairs.sum() < _FEWEST_PAIRS:
        return
    for step, which, question in (
        (-1, "before", "were the ids counted from 0"),
        (1, "after", "was the background counted as a category"),
    ):
        share = np.trace(pairs, step) / pairs.sum()
        if share >= FOLLOWED_SHARE:
            says = f"{_share(share)} carry the category {which} their own{_examples(pairs, step, data)}: {question}"
            true_ids = {category["id"] + step: category["id"] for category in data.categories}
            mended = _recategorized(data, true_ids)
            yield _Suspicion(f"step {step}", says, "the category ids shifted by one", mended)
            return
    yield from _of_another_order(pairs, data)


def _pairs(data: CocoInput) -> NDArray[np.int64]:
    """K x K: how many objects of a category (row) have a detection of a category (column) on them, IoU above 0.5.

    The detection with the highest score counts, whatever it says.
    """
    evaluation = open_hotcoco(data, [MAX_DETS[data.iou_type][-1]])
    matrix = np.asarray(evaluation.confusion_matrix(iou_thr=0.5)["matrix"])
    return matrix[:-1, :-1].astype(np.int64)


def _share(share: float) -> str:
    return f"{100 * share:.0f} % of the detections that lie on an object"


def _examples(pairs: NDArray[np.int64], step: int, data: CocoInput) -> str:
    counts = np.diagonal(pairs, step)
    rows = np.argsort(-counts, kind="stable")[:2] + max(0, -step)
    return _named([(row, row + step) for row in rows.tolist()], data)


def _named(pairs: list[tuple[int, int]], data: CocoInput) -> str:
    names = [category["name"] for category in data.categories]
    return f" ({', '.join(f'{names[found]!r} for {names[true]!r}' for true, found in pairs)}, ...)"


def _recategorized(data: CocoInput, true_ids: Mapping[int, int]) -> CocoInput:
    """With each detection's category id replaced; detections for whose there is no true one are dropped."""
    known = [record for record in data.results if record["category_id"] in true_ids]
    return replace(data, results=[{**r, "category_id": true_ids[r["category_id"]]} for r in known])


def _of_another_order(pairs: NDArray[np.int64], data: CocoInput) -> Iterator[_Suspicion]:
    """Each true category has one found category of its own, which it does not share; most of them not itself."""
    order = _one_to_one(pairs)
    if not order:
        return
    followed = sum(pairs[true, found] for true, found in order.items())
    usual = [true for true, found in order.items() if pairs[true, found] > pairs[true].sum() / 2]
    moved = sorted((pair for pair in order.items() if pair[0] != pair[1]), key=lambda pair: -pairs[pair])
    if followed / pairs.sum() < FOLLOWED_SHARE or 2 * len(usual) <= np.count_nonzero(pairs.sum(1) > 1) or not moved:
        return
    says = f"{_share(followed / pairs.sum())} carry, for each category, one other{_named(moved[:2], data)}"
    back = {found + 1: true + 1 for true, found in order.items()}
    mended = _recategorized(data, back)
    says += ": are the names in another order than the ids"
    yield _Suspicion("order", says, "the categories put back in place", mended)


def _one_to_one(pairs: NDArray[np.int64]) -> dict[int, int]:
    """True row -> found column, the most frequent pairs first; what happened once only is no rule."""
    order: dict[int, int] = {}
    for flat in np.argsort(-pairs, axis=None, kind="stable").tolist():
        true, found = divmod(flat, len(pairs))
        if pairs[true, found] < 2:
            break
        if true not in order and found not in order.values():
            order[true] = found
    return order


def _of_other_images(data: CocoInput) -> Iterator[_Suspicion]:
    sizes = [[image.get("height"), image.get("width")] for image in data.images]
    row_of = {image["id"]: row for row, image in enumerate(data.images)}
    for step, which in ((-1, "before"), (1, "after")):
        results = []
        for record in data.results:
            row = row_of[record["image_id"]] - step
            if 0 <= row < len(sizes) and record.get("segmentation", {}).get("size", sizes[row]) == sizes[row]:
                results.append({**record, "image_id": data.images[row]["id"]})
        if results:
            says = f"the detections seem to be filed under the image {which} theirs: are the image ids one off"
            mended = replace(data, results=results)
            yield _Suspicion(f"images {step}", says, "the image ids shifted by one", mended)


def _of_other_boxes(data: CocoInput) -> Iterator[_Suspicion]:
    if data.iou_type != "bbox":
        return
    for name, boxes_xywh in boxes_in_other_formats(data):
        pairs = zip(data.results, boxes_xywh.tolist(), strict=True)
        mended = replace(data, results=[{**record, "bbox": box} for record, box in pairs])
        says = f"the boxes seem to be {name}, where COCO has x, y, width, height in pixels: were they converted"
        yield _Suspicion(name, says, "the boxes read so", mended)
