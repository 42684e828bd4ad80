"""Copy-paste: instances of one training image are put onto another, and the truth of both agrees with the pixels.

Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation", 2021: instances are
chosen at random and pasted where they are in their own image, without blending. The paper drops instances of which
little is left; stuff and panoptic truth are treated in the same sense here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.augment.paste_panoptic import paste_panoptic
from thingstuff.data.augment.place import place
from thingstuff.data.augment.sample import IGNORED, Sample
from thingstuff.structures import MaskCrops


@dataclass(frozen=True)
class PasteOptions:
    """`share`: the chance of an instance. `favour_small` weighs it by size, see `chances`.

    An instance that is left with less than the part `min_visible` of its area, covered by others or cut off at the
    edge, is left out. `things_label` is what the stuff labels call a thing; None: each thing class has a label of its
    own there, which comes along from the source.
    """

    share: float = 0.5
    favour_small: bool = False
    min_visible: float = 0.1
    things_label: int | None = 0


def paste(target: Sample, source: Sample, options: PasteOptions, rng: np.random.Generator) -> Sample:
    """Some instances of the source on the target; the target itself where none were chosen.

    The instances of the target come first. Crowds are never pasted; those of the target stay without what covers
    them. What is left of an instance that is left out is a thing nobody knows: `things_label`, or void.
    """
    placed = place(source, target.height, target.width, rng)
    rows = _chosen(source, placed, options, rng)
    if not rows.size:
        return target
    pasted = placed.masks[rows].tight()
    covered = _union(pasted)
    cut = _without(target.masks, covered)
    stays = _stays(target, cut, options.min_visible)
    masks = MaskCrops.from_boxes([*cut[stays], *pasted], target.height, target.width)
    return Sample(
        image=np.where(covered[..., None], placed.image, target.image),
        masks=masks,
        category_ids=np.concatenate([target.category_ids[stays], source.category_ids[rows]]),
        iscrowd=np.concatenate([target.iscrowd[stays], source.iscrowd[rows]]),
        stuff=_stuff(target, placed, covered, _union(cut[~stays]), options),
        panoptic=paste_panoptic(target, source, stays, rows, pasted),
    )


def chances(areas_px: NDArray[np.int64], share: float, favour_small: bool) -> NDArray[np.float64]:
    """The chance of each of N instances: `share`, or `share` * w / mean(w), at most 1, where w is 1 / sqrt(area).

    Where that is cut off at 1, fewer than `share` of them are pasted in the mean.
    """
    if not favour_small or not areas_px.size:
        return np.full(areas_px.size, share, np.float64)
    weights = 1 / np.sqrt(areas_px)
    return np.minimum(share * weights / weights.mean(), 1)


def _chosen(source: Sample, placed: Sample, options: PasteOptions, rng: np.random.Generator) -> NDArray[np.int64]:
    """Row numbers of the instances to paste, of those of which enough lies on the target."""
    areas_px = placed.masks.areas_px()
    visible = areas_px / np.maximum(source.masks.areas_px(), 1)
    rows = np.flatnonzero(~source.iscrowd & (areas_px > 0) & (visible >= options.min_visible))
    return rows[rng.random(rows.size) < chances(areas_px[rows], options.share, options.favour_small)]


def _union(masks: MaskCrops) -> NDArray[np.bool_]:
    """H x W bool: inside one of the masks or more."""
    union = np.zeros((masks.height, masks.width), bool)
    for crop, (x0, y0, x1, y1) in masks:
        union[y0:y1, x0:x1] |= crop.view(bool)
    return union


def _without(masks: MaskCrops, covered: NDArray[np.bool_]) -> MaskCrops:
    left = ((crop & ~covered[y0:y1, x0:x1], (x0, y0, x1, y1)) for crop, (x0, y0, x1, y1) in masks)
    return MaskCrops.from_boxes(left, masks.height, masks.width).tight()


def _stays(target: Sample, cut: MaskCrops, min_visible: float) -> NDArray[np.bool_]:
    left_px = cut.areas_px()
    # divided, since 0.1 * 30 is more than 3
    visible = left_px / np.maximum(target.masks.areas_px(), 1)
    return (left_px > 0) & (target.iscrowd | (visible >= min_visible))


def _stuff(
    target: Sample, placed: Sample, covered: NDArray[np.bool_], left_over: NDArray[np.bool_], options: PasteOptions
) -> NDArray[np.uint8] | None:
    if target.stuff is None:
        return None
    if options.things_label is None:
        return np.where(covered, np.uint8(IGNORED) if placed.stuff is None else placed.stuff, target.stuff)
    return np.where(covered | left_over, np.uint8(options.things_label), target.stuff)
