"""What becomes of the logits of a mask decoder, for logits that are written down."""

import numpy as np
import pytest
import torch
from sam_cases import WrittenNetwork, image_processor, picture
from sam_masks import upscale
from sam_masks.everything import GridOptions, find_everything, stability_of
from sam_masks.frame import Frame
from sam_masks.prompts import Prompts
from sam_masks.segmenter import MaskOptions, Segmenter, best_of_each

from thingstuff.errors import DataError, SetupError

BOX = np.array([[0, 0, 4, 4]], np.float32)


def square(height, width, *boxes, inside=5.0, outside=-5.0):
    """H x W logits: `inside` within the half-open boxes and `outside` elsewhere."""
    logits = np.full((height, width), outside, np.float32)
    for x0, y0, x1, y1 in boxes:
        logits[y0:y1, x0:x1] = inside
    return logits


def test_the_mask_with_the_highest_predicted_iou_is_taken():
    three = np.stack([square(8, 8, (0, 0, 2, 2)), square(8, 8, (2, 3, 6, 7)), square(8, 8, (0, 0, 8, 8))])
    network = WrittenNetwork([three], [[0.3, 0.9, 0.2]], side=8)
    answers = Segmenter(network)(picture(8, 8), Prompts(BOX))
    assert answers.masks.boxes_xyxy.tolist() == [[2, 3, 6, 7]]
    assert answers.masks.areas_px().tolist() == [16]
    assert answers.ious.tolist() == [np.float32(0.9)]
    assert network.asked[0][1] is True


def test_of_equal_predicted_ious_the_first_counts():
    logits, ious = best_of_each(torch.arange(6.0).view(2, 3, 1, 1), torch.tensor([[1.0, 1, 0], [0, 2, 2]]))
    assert (logits.flatten().tolist(), ious.tolist()) == ([0, 4], [1, 2])


def test_the_threshold_is_of_logits_and_excludes_itself():
    logits = np.array([[[-1.0, 0.0], [0.5, 2.0]]], np.float32)
    for thresh, area in ((-1.0, 3), (0.0, 2), (0.5, 1), (2.0, 0)):
        network = WrittenNetwork([logits], [[1.0]], side=2)
        assert Segmenter(network, MaskOptions(mask_thresh=thresh))(picture(2, 2), Prompts(BOX)).masks.areas_px() == area


def test_logits_are_interpolated_before_they_are_compared():
    # from 2 to 4 pixels without aligned corners: 1, then 3/4 and 1/4 of each neighbour, and the edge as it is
    network = WrittenNetwork([np.array([[[1.0, -3.0], [1.0, -3.0]]])], [[1.0]], side=4)
    masks = Segmenter(network)(picture(4, 4), Prompts(BOX)).masks
    assert masks.bitmap(0).tolist() == [[True, False, False, False]] * 4  # 1, 0, -2, -3


def test_padding_is_cut_off_before_the_image_gets_its_size():
    # an image of 4 x 8 fills the upper half of the square, so the lower half of the logits says nothing of it
    logits = square(8, 8, (0, 0, 8, 4))[None]
    kept = WrittenNetwork([logits], [[1.0]], side=8)
    assert Segmenter(kept)(picture(4, 8), Prompts(BOX)).masks.areas_px().tolist() == [32]
    squeezed = WrittenNetwork([logits], [[1.0]], side=8, keeps_proportions=False)
    assert Segmenter(squeezed)(picture(4, 8), Prompts(BOX)).masks.areas_px().tolist() == [16]


def test_an_image_is_encoded_once_for_all_its_prompts():
    network = WrittenNetwork([square(8, 8, (0, 0, 4, 4))[None]] * 5, [[1.0]] * 5, side=8)
    answers = Segmenter(network, MaskOptions(batch=2))(picture(8, 8), Prompts(np.repeat(BOX, 5, 0)))
    assert network.encoded == 1
    assert [len(prompts) for prompts, _ in network.asked] == [2, 2, 1]
    assert (len(answers.masks), len(answers.ious)) == (5, 5)


def test_without_prompts_nothing_is_encoded():
    network = WrittenNetwork([], [], side=8)
    answers = Segmenter(network)(picture(6, 8), Prompts(np.zeros((0, 4), np.float32)))
    assert (network.encoded, len(answers.masks), answers.masks.height, answers.masks.width) == (0, 0, 6, 8)


def test_full_size_masks_are_held_a_few_at_a_time(monkeypatch):
    frame = Frame(30, 40, 16, True)
    logits = torch.randn(7, 4, 4, generator=torch.Generator().manual_seed(0))
    whole = upscale.masks_above(logits, frame, 0.0)
    monkeypatch.setattr(upscale, "MOST_FLOATS", 3 * 30 * 40)
    chunks = [chunk.shape for chunk in upscale.upscaled(logits, frame)]
    assert chunks == [(3, 30, 40), (3, 30, 40), (1, 30, 40)]
    assert np.array_equal(upscale.masks_above(logits, frame, 0.0).to_bitmaps(), whole.to_bitmaps())
    monkeypatch.setattr(upscale, "MOST_FLOATS", 1)
    assert len(list(upscale.upscaled(logits, frame))) == 7


def test_running_out_of_memory_names_a_smaller_batch():
    class Full(WrittenNetwork):
        def decode(self, encoded, prompts, *, multimask):
            raise torch.OutOfMemoryError("CUDA out of memory")

    segmenter = Segmenter(Full([], [], side=8), MaskOptions(batch=32))
    with pytest.raises(SetupError, match="out of memory .* try --batch 16"):
        segmenter(picture(8, 8), Prompts(BOX))


# ---- everything in an image ----------------------------------------------------------------------------------------


def grid_of(logits, ious, per_side=1, **options):
    network = WrittenNetwork(logits, ious, side=logits[0].shape[-1])
    segmenter = Segmenter(network, MaskOptions(batch=3))
    return find_everything(segmenter, picture(*logits[0].shape[-2:]), GridOptions(per_side, **options)), network


def test_a_grid_has_its_points_in_the_middles_of_cells():
    assert Prompts.grid(2, 20, 40).points_xy.tolist() == [[[10, 5]], [[30, 5]], [[10, 15]], [[30, 15]]]
    assert Prompts.grid(2, 20, 40).labels.tolist() == [[1]] * 4


def test_masks_of_a_low_predicted_iou_go():
    three = np.stack([square(8, 8, (0, 0, 2, 2)), square(8, 8, (4, 4, 8, 8)), square(8, 8, (0, 5, 3, 8))])
    found, network = grid_of([three], [[0.88, 0.95, 0.9]])
    assert found.masks.boxes_xyxy.tolist() == [[4, 4, 8, 8], [0, 5, 3, 8]]  # 0.88 is not above 0.88
    assert found.ious.tolist() == [np.float32(0.95), np.float32(0.9)]
    assert network.asked[0][1] is True


def test_where_no_mask_is_good_nothing_is_found():
    found, _ = grid_of([square(8, 8, (0, 0, 2, 2))[None]] * 4, [[0.5]] * 4, per_side=2)
    assert (len(found.masks), found.masks.height, found.masks.width) == (0, 8, 8)
    assert len(found.ious) == len(found.stabilities) == 0


def test_stability_is_the_area_of_the_higher_over_that_of_the_lower_threshold():
    # four pixels above 1, and four more between -1 and 1
    logits = torch.full((1, 4, 4), -9.0)
    logits[0, 0], logits[0, 1] = 3.0, 0.5
    assert stability_of(logits, 0.0, 1.0).tolist() == [0.5]
    found, _ = grid_of([logits.numpy()], [[1.0]], stability_thresh=0.5)
    assert len(found.masks) == 0
    found, _ = grid_of([logits.numpy()], [[1.0]], stability_thresh=0.49)
    assert (found.stabilities.tolist(), found.masks.areas_px().tolist()) == ([0.5], [8])


def test_of_masks_in_one_place_the_expected_best_stays():
    four = [square(12, 12, box)[None] for box in ((0, 0, 10, 10), (0, 0, 10, 11), (2, 2, 6, 6), (8, 8, 12, 12))]
    found, _ = grid_of(four, [[0.9], [0.99], [0.95], [0.91]], per_side=2)
    assert found.masks.boxes_xyxy.tolist() == [[0, 0, 10, 11], [2, 2, 6, 6], [8, 8, 12, 12]]


def test_boxes_are_measured_to_their_last_pixel():
    # 11 and 8 x 11 pixels: 7 * 10 / (10 * 10) by the last pixels, which is not above 0.7, and 8 / 11 by edges
    two = [square(12, 12, box)[None] for box in ((0, 0, 11, 11), (0, 0, 8, 11))]
    found, _ = grid_of([*two, *[square(12, 12)[None]] * 2], [[0.9], [0.99], [0.9], [0.9]], per_side=2)
    assert len(found.masks) == 2


def test_empty_masks_go_whatever_the_thresholds():
    found, _ = grid_of([square(8, 8)[None]], [[1.0]], iou_thresh=0.0, stability_thresh=0.0)
    assert len(found.masks) == len(found.ious) == len(found.stabilities) == 0
    found, _ = grid_of([square(8, 8, (1, 1, 3, 3))[None]], [[-0.5]], iou_thresh=0.0, stability_thresh=0.0)
    assert found.masks.boxes_xyxy.tolist() == [[1, 1, 3, 3]]


@pytest.mark.parametrize("size", [(24, 36), (36, 24)])
def test_a_grid_gives_the_masks_of_the_reference(size):
    """transformers' own filter and NMS, on logits of blobs and noise."""
    processor = image_processor("SamImageProcessor", pad_size={"height": 36, "width": 36})
    rng = np.random.default_rng(4)
    coarse = torch.tensor(rng.normal(0, 6, (40, 3, 3, 3)), dtype=torch.float32)
    logits = torch.nn.functional.interpolate(coarse, (36, 36), mode="bilinear").numpy()
    ious = rng.uniform(0.6, 1, (40, 3)).astype(np.float32)
    options = GridOptions(6, iou_thresh=0.7, stability_thresh=0.6)
    network = WrittenNetwork(logits[:36], ious[:36].tolist(), side=36)
    found = find_everything(Segmenter(network, MaskOptions(batch=7)), picture(*size), options)

    height, width = size
    masks = processor.post_process_masks([torch.tensor(logits[:36])], [size], [size], binarize=False)[0]
    passed = processor.filter_masks(masks, torch.tensor(ious[:36]), size, [0, 0, width, height], 0.7, 0.6)
    left, scores, _, boxes = processor.post_process_for_mask_generation(*passed, 0.7)
    assert len(left) > 5
    assert len(left) < len(passed[1])
    assert np.array_equal(found.masks.to_bitmaps(), np.stack(left))
    assert np.array_equal(found.ious, scores.numpy())
    assert np.array_equal(found.masks.boxes_xyxy - [0, 0, 1, 1], boxes.numpy())


def test_grid_points_are_those_of_the_reference():
    processor = image_processor("SamImageProcessor")
    image = torch.zeros(3, 60, 100, dtype=torch.uint8)
    _, points, _, _ = processor.generate_crop_boxes(image, 100, points_per_crop=5)
    ours = Prompts.grid(5, 60, 100).points_xy
    np.testing.assert_allclose(points.numpy().reshape(-1, 1, 2), ours, atol=1e-4)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "boxes or points"),
        ({"boxes_xyxy": BOX, "points_xy": np.zeros((1, 1, 2))}, "one of the two"),
        ({"boxes_xyxy": np.zeros((2, 3))}, "shape N x 4, got \\(2, 3\\)"),
        ({"boxes_xyxy": BOX + np.nan}, "finite"),
        ({"points_xy": np.zeros((1, 2))}, "N x P x 2"),
        ({"points_xy": np.zeros((1, 0, 2)), "labels": np.zeros((1, 0))}, "N x P x 2"),
        ({"points_xy": np.zeros((1, 1, 2))}, "a label for every point"),
        ({"points_xy": np.zeros((1, 1, 2)), "labels": np.array([[2]])}, "a label for every point"),
    ],
)
def test_prompts_that_mean_nothing_are_refused(parts, said):
    with pytest.raises(DataError, match=said):
        Prompts(**parts)
