"""SAM and SAM 2 answer as with transformers' own preparation and post-processing, to the last bit."""

import numpy as np
import pytest
import torch
from sam_cases import FAMILIES, SIDE, picture, processor_of, save, small_model
from sam_masks.frame import Frame, rgb_tensor
from sam_masks.prompts import Prompts
from sam_masks.segmenter import MaskOptions, Segmenter
from sam_masks.weights import load_network

BOXES = np.array([[3, 5, 40, 60], [30.5, 20.25, 100, 80], [1, 2, 89, 89], [50, 60, 52, 61]], np.float32)
SIZES = [(90, 140), (140, 90), (300, 200), (SIDE, SIDE), (61, 61)]


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request, tmp_path_factory):
    """family, transformers' model for images, and our network, both from one folder of weights."""
    transformers = pytest.importorskip("transformers", reason="the extra thingstuff[sam] is not installed")
    folder = save(small_model(request.param), tmp_path_factory.mktemp(request.param))
    model_class = transformers.SamModel if request.param == "sam" else transformers.Sam2Model
    return request.param, model_class.from_pretrained(folder).eval(), load_network(folder)


def theirs(family, model, image_bgr, multimask=True, **prompts):
    """N x M x H x W bool masks, N x M predicted IoUs, and what the processor made of the image."""
    processor = processor_of(family)
    inputs = processor(images=np.ascontiguousarray(image_bgr[:, :, ::-1]), return_tensors="pt", **prompts)
    sizes = [inputs.pop(name, None) for name in ("original_sizes", "reshaped_input_sizes")]
    sizes = sizes if family == "sam" else sizes[:1]
    with torch.inference_mode():
        out = model(**inputs, multimask_output=multimask)
    masks = processor.post_process_masks([out.pred_masks[0]], *[size.tolist() for size in sizes])[0]
    return masks.numpy(), out.iou_scores[0].numpy(), inputs["pixel_values"]


@pytest.mark.parametrize("size", SIZES)
def test_boxes_give_the_masks_of_the_reference(loaded, size):
    family, model, network = loaded
    image = picture(*size)
    masks, ious, pixels = theirs(family, model, image, input_boxes=[BOXES.tolist()])
    frame = network.encode(image).frame
    mean, std = (torch.tensor(numbers) * 255 for numbers in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert torch.equal(frame.pixels(rgb_tensor(image, "cpu"), mean, std), pixels)
    answers = Segmenter(network)(image, Prompts(BOXES))
    best = ious.argmax(1)
    rows = np.arange(len(BOXES))
    assert np.array_equal(answers.masks.to_bitmaps(), masks[rows, best])
    assert np.array_equal(answers.ious, ious[rows, best])
    assert 0 < answers.masks.to_bitmaps().mean() < 1


def test_the_single_mask_is_that_of_the_reference(loaded):
    family, model, network = loaded
    image = picture(90, 140, seed=3)
    masks, ious, _ = theirs(family, model, image, multimask=False, input_boxes=[BOXES.tolist()])
    answers = Segmenter(network, MaskOptions(multimask=False))(image, Prompts(BOXES))
    assert np.array_equal(answers.masks.to_bitmaps(), masks[:, 0])
    assert np.array_equal(answers.ious, ious[:, 0])


def test_points_give_the_masks_of_the_reference(loaded):
    family, model, network = loaded
    image = picture(90, 140, seed=1)
    points = np.array([[[10.0, 20.0], [100.0, 33.5]], [[70.25, 80.0], [5.0, 5.0]]])
    labels = np.array([[1, 0], [1, 1]])
    masks, ious, _ = theirs(family, model, image, input_points=[points.tolist()], input_labels=[labels.tolist()])
    answers = Segmenter(network)(image, Prompts(points_xy=points, labels=labels))
    assert np.array_equal(answers.masks.to_bitmaps(), masks[[0, 1], ious.argmax(1)])


def test_prompts_in_batches_give_what_they_give_together(loaded):
    _, _, network = loaded
    image = picture(120, 100, seed=5)
    together = Segmenter(network)(image, Prompts(BOXES))
    for batch in (1, 3):
        apart = Segmenter(network, MaskOptions(batch=batch))(image, Prompts(BOXES))
        # matrix products of another size round in another way
        np.testing.assert_allclose(apart.ious, together.ious, atol=1e-4)
        differing = apart.masks.to_bitmaps() ^ together.masks.to_bitmaps()
        assert differing.mean() < 1e-3


def test_the_prompts_make_a_difference(loaded):
    _, _, network = loaded
    masks = Segmenter(network)(picture(90, 140), Prompts(BOXES)).masks.to_bitmaps()
    assert all((masks[0] ^ other).any() for other in masks[1:])


def test_an_image_is_placed_by_its_longer_side_or_squeezed():
    # 200 x 100 into 64: the longer side is 64, the other 100 * 64 / 200 = 32
    kept, squeezed = Frame(100, 200, 64, True), Frame(100, 200, 64, False)
    assert (kept.inner_hw, squeezed.inner_hw) == ((32, 64), (64, 64))
    corner = torch.tensor([[200.0, 100.0], [50.0, 50.0]])
    assert kept.place(corner).tolist() == [[64, 32], [16, 16]]
    assert squeezed.place(corner).tolist() == [[64, 64], [16, 32]]
    assert corner.tolist() == [[200, 100], [50, 50]]


def test_a_very_thin_image_keeps_a_row():
    assert Frame(1, 5000, 1024, True).inner_hw == (1, 1024)
    assert Frame(1, 5000, 1024, True).unplace(torch.zeros(2, 16, 16)).shape == (2, 1, 5000)
