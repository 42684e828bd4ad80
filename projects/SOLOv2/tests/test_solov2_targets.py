"""Which cells of which level learn hand-placed rectangles."""

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from solov2.levels import Level
from solov2.targets import NOBODY, Truth, assign, mass_centers

from thingstuff.errors import ConfigError, DataError

FINE = Level("p2", 8, 20, 1, 30)  # cells of 8 pixels in an image of 160
COARSE = Level("p3", 8, 10, 20, 90)  # of 16


def rectangles(*boxes_xyxy, height=160, width=160, classes=None):
    """A truth whose masks fill their boxes."""
    masks = torch.zeros(len(boxes_xyxy), height, width, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes_xyxy, strict=True):
        mask[top:bottom, left:right] = True
    classes = range(len(boxes_xyxy)) if classes is None else classes
    boxes = torch.tensor(boxes_xyxy, dtype=torch.float32).reshape(-1, 4)
    return Truth(boxes, torch.tensor(list(classes), dtype=torch.long), masks)


def cells_of(levels, truth, share=0.2, learnable=None):
    """Level -> (row, column) -> the object's number, of the positive cells."""
    if learnable is None:
        learnable = torch.ones(len(truth.classes), dtype=torch.bool)
    owners = assign(levels, share, truth, learnable).owners
    parts = owners.split([level.grid**2 for level in levels])
    found = []
    for level, part in zip(levels, parts, strict=True):
        grid = part.view(level.grid, level.grid)
        found.append({tuple(cell): int(grid[tuple(cell)]) for cell in (grid != NOBODY).nonzero().tolist()})
    return found


def test_the_cells_into_which_the_centre_region_reaches():
    """32 x 16 pixels around (48, 104), scale 22.6: the region spans x from 44.8 to 51.2 and y from 102.4 to 105.6."""
    fine, coarse = cells_of([FINE, COARSE], rectangles((32, 96, 64, 112)))
    assert fine == dict.fromkeys([(12, 5), (12, 6), (13, 5), (13, 6)], 0)
    assert coarse == dict.fromkeys([(6, 2), (6, 3)], 0)


@pytest.mark.parametrize(
    ("side", "in_fine", "in_coarse"),
    [(16, True, False), (20, True, True), (24, True, True), (30, True, True), (40, False, True), (100, False, False)],
)
def test_an_object_is_learnt_by_the_levels_for_its_scale(side, in_fine, in_coarse):
    fine, coarse = cells_of([FINE, COARSE], rectangles((20, 20, 20 + side, 20 + side)))
    assert (bool(fine), bool(coarse)) == (in_fine, in_coarse)


def test_the_region_lies_around_the_centre_of_mass_not_of_the_box():
    """An L of 24 x 24 with arms of 8: three blocks of 8 x 8 down the left side and two more along the bottom."""
    truth = rectangles((40, 40, 64, 64))
    truth.masks[0, 40:56, 48:64] = False
    x = (3 * 44 + 52 + 60) / 5
    y = (44 + 52 + 3 * 60) / 5
    torch.testing.assert_close(mass_centers(truth.masks), torch.tensor([[x, y]]))
    (fine,) = cells_of([FINE], truth)
    rows = {int((y - 2.4) // 8), int((y + 2.4) // 8)}
    columns = {int((x - 2.4) // 8), int((x + 2.4) // 8)}
    assert set(fine) == {(row, column) for row in rows for column in columns}


def test_cells_are_as_oblong_as_the_image():
    """64 high and 128 wide, 8 x 8 cells of 8 by 16 pixels; the region of 4 x 4 lies around (72, 20)."""
    (found,) = cells_of([Level("p2", 8, 8, 1, 99)], rectangles((62, 10, 82, 30), height=64, width=128))
    assert set(found) == {(2, 4)}


def test_the_smaller_object_has_the_cell_that_two_claim():
    level = Level("p2", 8, 10, 1, 999)
    (found,) = cells_of([level], rectangles((0, 0, 160, 160), (74, 74, 86, 86)), share=0.2)
    assert {cell for cell, owner in found.items() if owner == 1} == {(4, 4), (4, 5), (5, 4), (5, 5)}
    assert {cell for cell, owner in found.items() if owner == 0} == {
        (row, column) for row in range(4, 7) for column in range(4, 7)
    } - {(4, 4), (4, 5), (5, 4), (5, 5)}


def test_a_region_that_leaves_the_image_is_cut_off():
    (found,) = cells_of([FINE], rectangles((0, 0, 4, 4)), share=3.0)
    assert set(found) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_what_cannot_be_learnt_has_no_cell():
    truth = rectangles((32, 32, 48, 48), (80, 80, 96, 96))
    (found,) = cells_of([FINE], truth, learnable=torch.tensor([False, True]))
    assert set(found.values()) == {1}


def test_no_object_has_no_cell_and_no_class():
    truth = rectangles()
    targets = assign([FINE, COARSE], 0.2, truth, torch.ones(0, dtype=torch.bool))
    assert targets.owners.tolist() == [NOBODY] * 500
    assert targets.one_hot(truth.classes, 3).sum() == 0


def test_a_positive_cell_has_the_class_of_its_object_alone():
    truth = rectangles((32, 32, 48, 48), classes=[2])
    targets = assign([FINE], 0.2, truth, torch.ones(1, dtype=torch.bool))
    wanted = targets.one_hot(truth.classes, 4)
    assert wanted[targets.positive].tolist() == [[0, 0, 1, 0]] * int(targets.positive.sum())
    assert wanted.sum() == targets.positive.sum() > 0


def test_half_of_a_pixel_of_the_mask_features_is_enough():
    masks = torch.zeros(3, 4, 8, dtype=torch.bool)
    masks[0, :2, :4] = True  # 8 of 16
    masks[1, :2, :4] = True
    masks[1, 0, 0] = False  # 7 of 16
    masks[2, :, 4:] = True
    small = Truth(torch.zeros(3, 4), torch.zeros(3), masks).small_masks(4)
    assert small.tolist() == [[[True, False]], [[False, False]], [[False, True]]]


# ---- from Detectron2's training inputs ---------------------------------------------------------------------------


def training_instances(masks, classes=(0,)):
    truth = Instances((20, 30))
    truth.gt_boxes = Boxes(torch.tensor([[4.0, 2, 12, 10]]))
    truth.gt_classes = torch.tensor(classes)
    truth.gt_masks = masks
    return truth


@pytest.mark.parametrize("kind", ["polygon", "bitmask"])
def test_masks_are_padded_to_the_batch(kind):
    bitmap = torch.zeros(1, 20, 30, dtype=torch.bool)
    bitmap[0, 2:10, 4:12] = True
    polygon = PolygonMasks([[np.array([4.0, 2, 12, 2, 12, 10, 4, 10])]])
    truth = Truth.of(training_instances(polygon if kind == "polygon" else BitMasks(bitmap)), (32, 32), 1)
    assert truth.masks.shape == (1, 32, 32)
    assert torch.equal(truth.masks[:, :20, :30], bitmap)
    assert truth.masks.sum() == bitmap.sum()


def test_a_class_too_many_is_named():
    truth = training_instances(BitMasks(torch.ones(1, 20, 30, dtype=torch.bool)), classes=(6,))
    with pytest.raises(ConfigError, match=r"a class 6, counted from 0, but MODEL.ROI_HEADS.NUM_CLASSES is 6"):
        Truth.of(truth, (32, 32), 6)


def test_objects_without_masks_are_refused():
    truth = training_instances(BitMasks(torch.ones(1, 20, 30, dtype=torch.bool)))
    truth.remove("gt_masks")
    with pytest.raises(DataError, match="has objects without"):
        Truth.of(truth, (32, 32), 6)


def test_a_crowd_is_never_positive(tiny_cfg, tmp_path):
    """One object on the left and a crowd on the right, through the toolkit's own training mapper."""
    from thingstuff.data.mappers import build_mapper

    cfg = tiny_cfg("base/shapes.yaml", "INPUT.RANDOM_FLIP", "none", "INPUT.MASK_FORMAT", "polygon")
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((160, 160, 3), np.uint8))
    notes = [square_note(16, iscrowd=0), square_note(112, iscrowd=1)]
    record = {"file_name": str(tmp_path / "image.png"), "height": 160, "width": 160, "annotations": notes}
    instances = build_mapper(cfg, [record])(record)["instances"]
    (found,) = cells_of([FINE], Truth.of(instances, (160, 160), 6))
    assert set(found) == {(row, column) for row in (2, 3) for column in (2, 3)}


def square_note(left, iscrowd):
    corners = [left, 16, left + 16, 16, left + 16, 32, left, 32]
    return {
        "bbox": [left, 16, 16, 16],
        "bbox_mode": 1,  # x, y, width, height
        "category_id": 0,
        "segmentation": [[float(value) for value in corners]],
        "iscrowd": iscrowd,
    }
