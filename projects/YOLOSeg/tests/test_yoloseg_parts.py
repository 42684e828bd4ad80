"""Letterbox, cells, selection and masks, each against formulas or ultralytics' own function."""

import numpy as np
import pytest
import torch
from yoloseg.letterbox import GREY, Place, batch, places
from yoloseg.masks import crop_masks
from yoloseg.raw import RawPredictions
from yoloseg.selection import Selection
from yoloseg_cases import CLASSES, NAMES, picture, sharp_model

# ---- letterbox -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(160, 160), (120, 160), (160, 107), (97, 160), (160, 1), (33, 160)])
def test_padding_is_that_of_ultralytics_letterbox(size):
    from ultralytics.data.augment import LetterBox

    image = picture(*size)
    theirs = LetterBox(160, auto=True, stride=32)(image=np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    where = places([size], 32)
    ours = batch([image.float()], where, torch.full((3, 1, 1), GREY))[0]
    assert torch.equal(ours, torch.as_tensor(theirs).permute(2, 0, 1).float())


def test_images_of_several_sizes_are_each_in_the_middle():
    first, second = places([(64, 33), (30, 64)], 32)
    assert first == Place(top=0, left=15, size=(64, 33), padded_size=(64, 64))  # 15.5 to the left is 15
    assert second == Place(top=17, left=0, size=(30, 64), padded_size=(64, 64))
    assert first.sides == (15, 16, 0, 0)
    assert second.sides == (0, 0, 17, 17)


# ---- cells -----------------------------------------------------------------------------------------------------------


class Head:
    """Two levels with strides 8 and 16, distances of 0 to 3."""

    stride, reg_max, nc = torch.tensor([8.0, 16.0]), 4, 2

    @staticmethod
    def dfl(boxes):
        return torch.einsum("bsna,n->bsa", boxes.unflatten(1, (4, 4)).softmax(2), torch.arange(4.0))


def certain(distances, cells):
    """Logits that are certain of whole distances, the same for every cell: 1 x 16 x cells."""
    logits = torch.full((1, 4, 4, cells), -1000.0)
    for side, distance in enumerate(distances):
        logits[0, side, distance] = 0.0
    return logits.flatten(1, 2)


def answer(distances, dtype=torch.float32):
    levels = [torch.zeros(1, 3, 1, 2), torch.zeros(1, 3, 1, 1)]
    return {
        "feats": levels,
        "boxes": certain(distances, 3).to(dtype),
        "scores": torch.zeros(1, 2, 3),
        "mask_coefficient": torch.arange(6.0).view(1, 2, 3),
        "proto": torch.zeros(1, 2, 4, 8, dtype=dtype),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_boxes_are_distances_from_centres_in_strides(dtype):
    """Centres are (4, 4) and (12, 4) on the level of stride 8, and (8, 8) on that of 16."""
    raw = RawPredictions.of(answer((0, 1, 2, 3), dtype), Head)
    expected = [[4 - 0, 4 - 8, 4 + 16, 4 + 24], [12 - 0, 4 - 8, 12 + 16, 4 + 24], [8 - 0, 8 - 16, 8 + 32, 8 + 48]]
    assert raw.boxes_xyxy(0).tolist() == expected
    assert raw.boxes_xyxy(0).dtype == raw.prototypes.dtype == torch.float32


def test_the_answers_of_ultralytics_8_3_mean_the_same():
    new = answer((1, 1, 2, 2))
    cells = torch.cat([new["boxes"], new["scores"]], dim=1)
    old = (
        [cells[:, :, :2].view(1, 18, 1, 2), cells[:, :, 2:].view(1, 18, 1, 1)],
        new["mask_coefficient"],
        new["proto"],
    )
    first, second = RawPredictions.of(new, Head), RawPredictions.of(old, Head)
    for name in ("distances", "scores", "coefficients", "prototypes", "centres", "strides"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


@pytest.mark.parametrize("name", NAMES)
def test_boxes_are_those_that_the_network_decodes(name):
    model = sharp_model(name)
    with torch.inference_mode():
        (cells, _), parts = model.network((picture(96, 128) / 255)[None])
        raw = RawPredictions.of(parts, model.network.model[-1])
    x, y, width, height = cells[0, :4]
    theirs = torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], dim=1)
    torch.testing.assert_close(raw.boxes_xyxy(0), theirs, atol=1e-4, rtol=0)
    torch.testing.assert_close(raw.scores[0].sigmoid(), cells[0, 4 : 4 + CLASSES])


# ---- selection -------------------------------------------------------------------------------------------------------

BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 10, 10]])
SCORES = torch.tensor([[0.9, 0.3], [0.8, 0.0], [0.1, 0.2], [0.1, 0.7]])


@pytest.mark.parametrize(
    ("options", "rows", "classes"),
    [
        ({"score_thresh": 0.25, "iou_thresh": 0.5}, [0, 3], [0, 1]),  # IoU of the first two is 0.9
        ({"score_thresh": 0.25, "iou_thresh": 0.95}, [0, 1, 3], [0, 0, 1]),
        ({"score_thresh": 0.15, "iou_thresh": 0.5}, [0, 3, 2], [0, 1, 1]),
        ({"score_thresh": 0.2, "iou_thresh": 0.5}, [0, 3], [0, 1]),  # a score at the threshold is not above it
        ({"score_thresh": 0.25, "iou_thresh": 0.5, "max_detections": 1}, [0], [0]),
        ({"score_thresh": 0.95}, [], []),
        ({"score_thresh": 0.25, "iou_thresh": 1.0, "multi_label": True}, [0, 1, 3, 0], [0, 0, 1, 1]),
        ({"score_thresh": 0.25, "iou_thresh": 0.5, "multi_label": True}, [0, 3], [0, 1]),  # the third is the last's
    ],
)
def test_what_is_selected(options, rows, classes):
    found = Selection(**options)(BOXES, SCORES)
    assert found[0].tolist() == rows
    assert found[1].tolist() == classes
    assert found[2].tolist() == pytest.approx([SCORES[pair].item() for pair in zip(rows, classes, strict=True)])


def test_classes_stay_apart_in_images_of_any_size():
    wide = torch.tensor([[0.0, 0, 20000, 10], [-7680.0, 0, 12320, 10]])
    scores = torch.tensor([[0.0, 0.9], [0.8, 0.0]])
    assert Selection(0.1, 0.3)(wide, scores)[0].tolist() == [0, 1]


# ---- masks -----------------------------------------------------------------------------------------------------------


def prototypes_and_coefficients(count, height, width, seed=0):
    torch.manual_seed(seed)
    coarse = torch.randn(1, 5, 4, 4)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0]
    return smooth, torch.randn(count, 5)


def boxes(count, height, width, seed=1):
    torch.manual_seed(seed)
    corners = torch.rand(count, 2, 2) * torch.tensor([width, height])
    return torch.cat([corners.amin(1), corners.amax(1)], dim=1)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (160, 32)])
def test_masks_of_the_networks_size_are_ultralytics_process_mask(height, width):
    from ultralytics.utils.ops import process_mask

    prototypes, coefficients = prototypes_and_coefficients(30, height // 4, width // 4)
    where = boxes(30, height, width)
    theirs = process_mask(prototypes, coefficients, where, (height, width), upsample=True).bool()
    place = Place(0, 0, (height, width), (height, width))
    ours = crop_masks(prototypes, coefficients, where, place, (height, width)).to_bitmaps(torch.device("cpu"))
    assert (ours != theirs).sum() <= 1e-4 * theirs.sum()
    assert theirs.any(dim=0).float().mean() > 0.5


@pytest.mark.parametrize("size", [(128, 192), (96, 144), (40, 60)])
def test_masks_of_other_sizes_without_padding_are_ultralytics_process_mask_native(size):
    """But for its rounding: it goes by 2 or 4 times the prototypes where the padding asks for it, here not."""
    from ultralytics.utils.ops import process_mask_native

    prototypes, coefficients = prototypes_and_coefficients(30, 16, 24)
    where = boxes(30, *size)
    theirs = process_mask_native(prototypes, coefficients, where, size).bool()
    place = Place(0, 0, (64, 96), (64, 96))
    ours = crop_masks(prototypes, coefficients, where, place, size).to_bitmaps(torch.device("cpu"))
    assert (ours != theirs).sum() <= 1e-3 * theirs.sum()


def test_a_mask_has_the_pixels_from_the_left_and_upper_side_on():
    """One prototype that is 1 everywhere: the box alone counts. ultralytics takes x0 <= column < x1."""
    where = torch.tensor(
        [[1.0, 0.0, 3.0, 2.0], [0.5, 0.5, 2.5, 1.5], [1.2, 0, 1.9, 4], [-5, -5, 99, 99], [9, 9, 12, 12]]
    )
    place = Place(0, 0, (8, 8), (8, 8))
    crops = crop_masks(torch.ones(1, 2, 2), torch.ones(5, 1), where, place, (8, 8))
    assert crops.regions == [[1, 0, 3, 2], [1, 1, 3, 2], [2, 0, 2, 4], [0, 0, 8, 8], [8, 8, 8, 8]]
    assert crops.nonempty(torch.device("cpu")).tolist() == [True, True, False, True, False]


def test_crops_and_bitmaps_are_the_same_masks():
    prototypes, coefficients = prototypes_and_coefficients(12, 16, 24)
    crops = crop_masks(prototypes, coefficients, boxes(12, 64, 96), Place(0, 0, (64, 96), (64, 96)), (64, 96))
    bitmaps = crops.to_bitmaps(torch.device("cpu"))
    np.testing.assert_array_equal(crops.to_mask_crops().to_bitmaps(), bitmaps.numpy())
    assert torch.equal(crops.chosen([3, 1]).to_bitmaps(torch.device("cpu")), bitmaps[[3, 1]])


def test_no_masks():
    crops = crop_masks(torch.ones(1, 2, 2), torch.ones(0, 1), torch.zeros(0, 4), Place(0, 0, (8, 8), (8, 8)), (8, 8))
    assert crops.to_bitmaps(torch.device("cpu")).shape == (0, 8, 8)
    assert len(crops.to_mask_crops()) == 0
    assert crops.nonempty(torch.device("cpu")).tolist() == []
