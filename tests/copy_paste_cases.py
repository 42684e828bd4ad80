"""Random samples for copy-paste, and what must hold of every paste."""

import numpy as np

from thingstuff.data.augment.copy_paste import PasteOptions, paste
from thingstuff.data.augment.paste_panoptic import measured_map
from thingstuff.data.augment.place import place
from thingstuff.data.augment.sample import Sample
from thingstuff.structures import MaskCrops, Segment

THING_CLASSES, STUFF_CLASSES = 3, 2


def check_cases(count, seed):
    """Check `count` random pastes; how many of them pasted something."""
    rng = np.random.default_rng(seed)
    return sum(_check_one(rng) for _ in range(count))


def random_sample(rng, height, width, panoptic=False):
    """Noise with 0 to 5 blobs, which overlap unless there is a panoptic map; now and then a crowd is among them."""
    bitmaps = _blobs(rng, int(rng.integers(0, 6)), height, width)
    if panoptic:
        above = np.cumsum(bitmaps[::-1], axis=0)[::-1] - bitmaps
        bitmaps = (bitmaps & (above == 0))[(bitmaps & (above == 0)).any(axis=(1, 2))]
    count = len(bitmaps)
    classes, crowds = rng.integers(0, THING_CLASSES, count), rng.random(count) < 0.2
    stuff = rng.integers(1, STUFF_CLASSES + 1, (height, width)).astype(np.uint8)
    stuff[rng.random((height, width)) < 0.1] = 255
    stuff[bitmaps.any(axis=0)] = 0
    truth = _panoptic(bitmaps, classes, crowds, stuff) if panoptic else None
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Sample(image, MaskCrops.from_bitmaps(bitmaps), classes, crowds, stuff, truth)


def _blobs(rng, count, height, width):
    y, x = np.indices((height, width))
    bitmaps = np.zeros((count, height, width), bool)
    for bitmap in bitmaps:
        middle_y, middle_x = rng.integers(0, height), rng.integers(0, width)
        radius_y, radius_x = rng.uniform(0.6, 0.5 * height + 1), rng.uniform(0.6, 0.5 * width + 1)
        bitmap[:] = ((y - middle_y) / radius_y) ** 2 + ((x - middle_x) / radius_x) ** 2 < 1
    return bitmaps


def _panoptic(bitmaps, classes, crowds, stuff):
    ids = np.where(stuff == 255, 0, 100 + stuff.astype(np.uint32)).astype(np.uint32)
    for number, bitmap in enumerate(bitmaps):
        ids[bitmap] = number + 1
    none = (0, 0, 0, 0)
    things = [Segment(n + 1, int(c), True, 0, none, iscrowd=bool(crowds[n])) for n, c in enumerate(classes)]
    kinds = [Segment(101 + k, THING_CLASSES + k, False, 0, none) for k in range(STUFF_CLASSES)]
    return measured_map(ids, [*things, *kinds])


def _check_one(rng):
    height, width = (int(length) for length in rng.integers(4, 40, 2))
    panoptic = rng.random() < 0.5
    other_size = (height, width) if rng.random() < 0.5 else tuple(int(length) for length in rng.integers(4, 40, 2))
    target, source = random_sample(rng, height, width, panoptic), random_sample(rng, *other_size, panoptic)
    options = PasteOptions(rng.uniform(0, 1), bool(rng.random() < 0.5), float(rng.choice([0, 0.1, 0.5, 1])))
    seed = int(rng.integers(2**31))
    placed = place(source, height, width, np.random.default_rng(seed))
    before = _bytes(target), _bytes(source)
    result = paste(target, source, options, np.random.default_rng(seed))
    assert (_bytes(target), _bytes(source)) == before, "what was handed in has changed"
    if result is target:
        return False
    check_paste(target, placed, result, options)
    return True


def _bytes(sample):
    return sample.image.tobytes(), sample.stuff.tobytes(), sample.masks.to_bitmaps().tobytes()


def check_paste(target, placed, result, options):
    """`placed` is the source as it lies on the target."""
    old, new = target.masks.to_bitmaps(), result.masks.to_bitmaps()
    from_source = _pasted_rows(placed, result, options)
    pasted = placed.masks.to_bitmaps()[from_source]
    covered = pasted.any(axis=0)
    # the pasted come last and are whole, the others are those of the target in their order, without what covers them
    left = old & ~covered
    shares = left.sum(axis=(1, 2)) / np.maximum(old.sum(axis=(1, 2)), 1)
    stays = left.any(axis=(1, 2)) & (target.iscrowd | (shares >= options.min_visible))
    assert (new == np.concatenate([left[stays], pasted])).all()
    assert (result.category_ids == [*target.category_ids[stays], *placed.category_ids[from_source]]).all()
    assert (result.iscrowd == [*target.iscrowd[stays], *np.zeros(len(pasted), bool)]).all()
    assert (new.sum(axis=(1, 2)) > 0).all()
    for bitmap, (x0, y0, x1, y1) in zip(new, result.masks.boxes_xyxy.tolist(), strict=True):
        ys, xs = np.nonzero(bitmap)
        assert (x0, y0, x1, y1) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    assert (result.image == np.where(covered[..., None], placed.image, target.image)).all()
    were_things = old.any(axis=0)
    assert ((result.stuff == 0) == (covered | were_things)).all()
    assert (result.stuff == np.where(covered, 0, target.stuff)).all()
    if target.panoptic is not None:
        _check_panoptic(target, result, left[~stays].any(axis=0), covered)


def _pasted_rows(placed, result, options):
    """Which of the source's instances are at the end of the result, found by their pixels in order."""
    rows, wanted = [], list(placed.masks.to_bitmaps())
    bitmaps = list(result.masks.to_bitmaps())
    for row in range(len(wanted) - 1, -1, -1):
        if bitmaps and (bitmaps[-1] == wanted[row]).all() and _is_pasted(placed, result, row, len(bitmaps) - 1):
            rows.insert(0, row)
            bitmaps.pop()
    assert rows, "nothing was pasted, but the result is another"
    assert not placed.iscrowd[rows].any(), "a crowd was pasted"
    return rows


def _is_pasted(placed, result, row, place_in_result):
    same_class = placed.category_ids[row] == result.category_ids[place_in_result]
    bitmap = placed.masks.bitmap(row)
    return not placed.iscrowd[row] and same_class and (result.image[bitmap] == placed.image[bitmap]).all()


def _check_panoptic(target, result, left_over, covered):
    panoptic = result.panoptic
    things = [segment for segment in panoptic.segments if segment.isthing]
    owners = result.masks.to_bitmaps().sum(axis=0)
    assert owners.max(initial=0) <= 1, "a pixel has two owners"
    for row, segment in enumerate(things):
        bitmap = result.masks.bitmap(row)
        assert (bitmap == (panoptic.ids == segment.id)).all()
        assert segment.category_id == result.category_ids[row]
        assert segment.iscrowd == result.iscrowd[row]
    for segment in panoptic.segments:
        assert segment.area == (panoptic.ids == segment.id).sum() > 0
    known = {segment.id for segment in panoptic.segments}
    assert set(np.unique(panoptic.ids).tolist()) - {0} == known
    assert len(known) == len(panoptic.segments)
    untouched = ~covered & ~left_over
    assert (panoptic.ids[untouched] == target.panoptic.ids[untouched]).all()
    assert (panoptic.ids[left_over] == 0).all()
