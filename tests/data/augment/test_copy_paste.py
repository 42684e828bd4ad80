"""Copy-paste by hand: what is covered, kept, left out and labelled, with crowds, ties and nothing at all."""

import numpy as np
import pytest
from copy_paste_cases import check_cases, random_sample

from thingstuff.data.augment.copy_paste import PasteOptions, chances, paste
from thingstuff.data.augment.place import place
from thingstuff.data.augment.sample import Sample
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops

ALL = PasteOptions(share=1)
SIDE = 10


def sample(grey, *boxes, crowd=(), stuff=None, classes=None, side=SIDE):
    """A grey square image with rectangles x0, y0, x1, y1 as instances; without `classes` they are 0, 1, ..."""
    bitmaps = np.zeros((len(boxes), side, side), bool)
    for bitmap, (x0, y0, x1, y1) in zip(bitmaps, boxes, strict=True):
        bitmap[y0:y1, x0:x1] = True
    classes = np.array(range(len(boxes)) if classes is None else classes, np.int64)
    iscrowd = np.array([row in crowd for row in range(len(boxes))], bool)
    labels = None if stuff is None else np.where(bitmaps.any(axis=0), np.uint8(0), np.uint8(stuff))
    return Sample(np.full((side, side, 3), grey, np.uint8), MaskCrops.from_bitmaps(bitmaps), classes, iscrowd, labels)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_pixels_masks_and_stuff():
    target, source = sample(10, (0, 0, 4, 4), stuff=1), sample(20, (2, 2, 6, 6), stuff=2, classes=[5])
    result = paste(target, source, ALL, rng())
    inside = np.zeros((SIDE, SIDE), bool)
    inside[2:6, 2:6] = True
    assert (result.image == np.where(inside[..., None], 20, 10)).all()
    assert result.category_ids.tolist() == [0, 5]
    assert result.masks.areas_px().tolist() == [16 - 4, 16]
    assert result.masks.boxes_xyxy.tolist() == [[0, 0, 4, 4], [2, 2, 6, 6]]
    inside[0:4, 0:4] = True
    assert (result.stuff == np.where(inside, 0, 1)).all()


def test_a_box_shrinks_with_its_mask():
    result = paste(sample(10, (0, 0, 6, 2)), sample(20, (4, 0, 8, 2)), ALL, rng())
    assert result.masks.boxes_xyxy.tolist() == [[0, 0, 4, 2], [4, 0, 8, 2]]


@pytest.mark.parametrize(("min_visible", "stays"), [(0.1, True), (0.11, False), (0, True), (1, False)])
def test_what_keeps_too_little_is_left_out(min_visible, stays):
    """One column of ten is left: a tenth, which is not less than a tenth."""
    target, source = sample(10, (0, 0, 10, 3), stuff=1), sample(20, (1, 0, 10, 3), stuff=2)
    result = paste(target, source, PasteOptions(1, min_visible=min_visible), rng())
    assert result.masks.areas_px().tolist() == ([3, 27] if stays else [27])
    assert (result.stuff[:3] == 0).all(), "the rest is a thing nobody knows"


def test_the_rest_of_a_thing_is_no_stuff_even_where_the_labels_said_so():
    whole = sample(10, (0, 0, 10, 3), stuff=1)
    target = Sample(whole.image, whole.masks, whole.category_ids, whole.iscrowd, np.ones((SIDE, SIDE), np.uint8))
    result = paste(target, sample(20, (1, 0, 10, 3)), PasteOptions(1, min_visible=0.5), rng())
    assert (result.stuff[:3] == 0).all()
    assert (result.stuff[3:] == 1).all()


def test_what_is_covered_whole_is_left_out_in_any_case():
    result = paste(sample(10, (2, 2, 4, 4)), sample(20, (0, 0, 8, 8)), PasteOptions(1, min_visible=0), rng())
    assert result.masks.areas_px().tolist() == [64]


def test_what_is_not_touched_stays_at_any_threshold():
    result = paste(sample(10, (0, 0, 1, 1)), sample(20, (5, 5, 6, 6)), PasteOptions(1, min_visible=1), rng())
    assert result.masks.areas_px().tolist() == [1, 1]


def test_crowds_are_not_pasted_and_stay_as_far_as_they_are_seen():
    target, source = sample(10, (0, 0, 10, 2), crowd={0}), sample(20, (0, 0, 5, 5), (1, 0, 10, 2), crowd={0})
    result = paste(target, source, PasteOptions(1, min_visible=0.5), rng())
    assert result.masks.areas_px().tolist() == [2, 18]
    assert result.iscrowd.tolist() == [True, False]
    assert paste(target, sample(20, (0, 0, 5, 5), crowd={0}), ALL, rng()) is target


@pytest.mark.parametrize("source", [sample(20), sample(20, (0, 0, 4, 4))], ids=["no instances", "none chosen"])
def test_without_anything_to_paste_it_is_the_target(source):
    target = sample(10, (0, 0, 4, 4))
    assert paste(target, source, PasteOptions(share=0), rng()) is target


def test_onto_an_image_without_objects():
    result = paste(sample(10), sample(20, (0, 0, 4, 4), (6, 6, 8, 8)), ALL, rng())
    assert result.masks.areas_px().tolist() == [16, 4]
    assert result.stuff is None


def test_ignored_pixels_are_known_where_something_was_pasted():
    result = paste(sample(10, stuff=255), sample(20, (0, 0, 4, 4)), ALL, rng())
    assert (result.stuff == 255).sum() == SIDE**2 - 16


def test_thing_classes_with_labels_of_their_own_come_along():
    options = PasteOptions(share=1, min_visible=0.5, things_label=None)
    target, source = sample(10, (0, 0, 2, 2), stuff=3), sample(20, (0, 0, 2, 1), (0, 1, 1, 2), stuff=4)
    named = Sample(source.image, source.masks, source.category_ids, source.iscrowd, np.full((SIDE, SIDE), 7, np.uint8))
    result = paste(target, named, options, rng())
    assert result.stuff[:2, :2].tolist() == [[7, 7], [7, 0]], "what is left of a thing keeps its label"
    unknown = Sample(source.image, source.masks, source.category_ids, source.iscrowd)
    assert paste(target, unknown, options, rng()).stuff[:2, :2].tolist() == [[255, 255], [255, 0]]


def test_share_is_the_chance_of_each():
    boxes = [(x, y, x + 1, y + 1) for x in range(SIDE) for y in range(SIDE)]
    source = sample(20, *boxes)
    counts = [len(paste(sample(10), source, PasteOptions(share=0.3), rng(seed)).masks) for seed in range(40)]
    deviation = (0.3 * 0.7 * 100 * 40) ** 0.5
    assert abs(sum(counts) - 0.3 * 100 * 40) < 4 * deviation


def test_small_ones_are_favoured():
    areas = np.array([1, 4, 16])  # 1 / sqrt: 1, 1/2, 1/4, in the mean 7/12
    np.testing.assert_allclose(chances(areas, 0.35, True), [0.35 * 12 / 7, 0.35 * 6 / 7, 0.35 * 3 / 7])
    np.testing.assert_allclose(chances(areas, 0.7, True), [1, 0.7 * 6 / 7, 0.7 * 3 / 7])
    np.testing.assert_allclose(chances(areas, 0.35, False), [0.35] * 3)
    assert chances(areas[:0], 0.5, True).size == 0


# ---- another size --------------------------------------------------------------------------------------------------


def test_a_smaller_source_lies_somewhere_on_the_target():
    source, seen = sample(20, (1, 1, 3, 3), side=4, stuff=1), set()
    for seed in range(200):
        placed = place(source, SIDE, SIDE, rng(seed))
        x0, y0, x1, y1 = placed.masks.boxes_xyxy[0].tolist()
        assert (x1 - x0, y1 - y0) == (2, 2)
        assert (placed.image[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] == 20).all()
        assert (placed.image == 20).sum() == 3 * 16
        assert (placed.stuff == 255).sum() == SIDE**2 - 16
        seen.add((x0, y0))
    assert seen == {(x, y) for x in range(1, 8) for y in range(1, 8)}


def test_of_a_larger_source_a_part_is_taken():
    source = sample(20, (0, 0, SIDE, SIDE))
    placed = place(source, 4, SIDE + 2, rng())
    assert placed.image.shape == (4, SIDE + 2, 3)
    assert placed.masks.areas_px().tolist() == [4 * SIDE]


def test_what_the_edge_cuts_off_is_not_pasted():
    """The left half of the source lies beyond the target for some seed, and with it its only instance."""
    source = sample(20, (0, 0, 1, SIDE))
    target = Sample(
        np.zeros((SIDE, 5, 3), np.uint8), MaskCrops.from_boxes((), SIDE, 5), np.zeros(0, np.int64), np.zeros(0, bool)
    )
    lengths = {len(paste(target, source, ALL, rng(seed)).masks) for seed in range(60)}
    assert lengths == {0, 1}


def test_of_which_too_little_is_on_the_target_is_not_pasted():
    """Of ten columns four fit."""
    target, source = sample(10, side=4), sample(20, (0, 0, SIDE, 1), (0, 1, SIDE, SIDE))
    for seed in range(9):
        assert paste(target, source, PasteOptions(1, min_visible=0.41), rng(seed)) is target
        whole = paste(target, source, PasteOptions(1, min_visible=0), rng(seed))
        assert whole.masks.areas_px().sum() == 16


# ---- panoptic ------------------------------------------------------------------------------------------------------


def test_a_source_without_a_panoptic_map_is_refused():
    target = random_sample(rng(), SIDE, SIDE, panoptic=True)
    with pytest.raises(DataError, match="expected a panoptic map of the image to paste from"):
        paste(target, sample(20, (0, 0, 4, 4)), ALL, rng())


def test_a_sample_refuses_a_map_of_other_things():
    one = random_sample(rng(1), SIDE, SIDE, panoptic=True)
    assert len(one.masks)
    none = MaskCrops.from_boxes((), SIDE, SIDE)
    with pytest.raises(DataError, match="expected the 0 instances as things of the panoptic map"):
        Sample(one.image, none, np.zeros(0, np.int64), np.zeros(0, bool), None, one.panoptic)


def test_two_hundred_random_pastes():
    """The slow tier has ten thousand."""
    assert check_cases(200, seed=1) > 80
