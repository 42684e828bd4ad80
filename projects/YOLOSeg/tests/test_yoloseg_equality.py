"""Predictions are those of ultralytics' own predictor with the same network: boxes, scores, classes and masks."""

import copy

import numpy as np
import pytest
import torch
from yoloseg.letterbox import places
from yoloseg_cases import NAMES, found_by, picture, sharp_model, ultralytics_results

MASK_TOLERANCE = 1e-5  # share of the pixels of all masks: logits that are 0 but for rounding


@pytest.fixture(params=NAMES, scope="module")
def model(request):
    return sharp_model(request.param)


def assert_same(ours, theirs, their_masks, tolerance=MASK_TOLERANCE):
    assert len(ours) == len(theirs.boxes) > 5
    torch.testing.assert_close(ours.pred_boxes.tensor, theirs.boxes.xyxy, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.scores, theirs.boxes.conf, atol=1e-6, rtol=0)
    assert torch.equal(ours.pred_classes, theirs.boxes.cls.long())
    differing = (ours.pred_masks != their_masks.bool()).sum().item()
    assert differing <= tolerance * their_masks.sum().item()


@pytest.mark.parametrize("size", [(160, 160), (96, 224), (192, 160)])
def test_a_tensor_of_whole_strides(model, size, tmp_path):
    image = picture(*size, seed=1)
    theirs = ultralytics_results(model, (image / 255)[None], tmp_path)[0]
    assert_same(found_by(model, image), theirs, theirs.masks.data)


def test_thresholds_and_the_number_of_detections_are_detectron2s_keys(tmp_path):
    model = sharp_model(
        MODEL__ROI_HEADS__SCORE_THRESH_TEST=0.4, MODEL__ROI_HEADS__NMS_THRESH_TEST=0.5, TEST__DETECTIONS_PER_IMAGE=20
    )
    image = picture(160, 160, seed=1)
    theirs = ultralytics_results(model, (image / 255)[None], tmp_path, conf=0.4, iou=0.5, max_det=20)[0]
    ours = found_by(model, image)
    assert_same(ours, theirs, theirs.masks.data)
    assert len(ours) <= 20


def test_an_image_that_is_letterboxed(model, tmp_path):
    """120 x 160 pixels become 128 x 160, four more above and below; the longer side has its size already."""
    size = (120, 160)
    image = picture(*size, seed=7)
    bgr = np.ascontiguousarray(image.flip(0).permute(1, 2, 0).numpy())
    theirs = ultralytics_results(model, bgr, tmp_path, imgsz=160)[0]
    assert theirs.masks.data.shape[1:] == (128, 160)
    place = places([size], 32)[0]
    assert (place.top, place.left) == (4, 0)
    inside = theirs.masks.data[:, 4:124].bool()
    seen = inside.flatten(1).any(1)  # what lies in the padding alone is no detection of the image
    assert_same(found_by(model, image), theirs[seen], inside[seen])


def test_masks_of_another_size_are_nearly_those_of_retina_masks(model, tmp_path):
    """ultralytics interpolates twice, first to whole pixels of the padding: edges move by less than a pixel."""
    image = picture(120, 160, seed=7)
    bgr = np.ascontiguousarray(image.flip(0).permute(1, 2, 0).numpy())
    theirs = ultralytics_results(model, bgr, tmp_path, imgsz=160, retina_masks=True)[0]
    ours = found_by(model, image)
    assert_same(ours, theirs, theirs.masks.data, tolerance=0.02)


class InDouble(torch.nn.Module):
    """A module of float64 that takes and gives what it is called with."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, values):
        return self.inner(values.double()).to(values.dtype)


def test_a_batch_of_images_of_one_size_is_as_each_alone(model):
    """In float64: random weights would blow up what the rounding of float32 changes from batch to batch."""
    exact = copy.deepcopy(model).double()
    head = exact.network.model[-1]
    head.dfl = InDouble(head.dfl)
    images = [picture(128, 160, seed).double() for seed in (1, 2)]
    with torch.inference_mode():
        together = [one["instances"] for one in exact([{"image": image} for image in images])]
    for image, found in zip(images, together, strict=True):
        alone = found_by(exact, image)
        torch.testing.assert_close(found.pred_boxes.tensor, alone.pred_boxes.tensor, atol=1e-4, rtol=0)
        torch.testing.assert_close(found.scores, alone.scores, atol=1e-6, rtol=0)


def test_boxes_and_masks_come_in_the_size_that_is_asked_for(model):
    image = picture(128, 160, seed=3)
    same, large = found_by(model, image), found_by(model, image, height=256, width=480)
    assert large.image_size == large.pred_masks.shape[1:] == (256, 480)
    factors = torch.tensor([3.0, 2.0, 3.0, 2.0])
    torch.testing.assert_close(large.pred_boxes.tensor, same.pred_boxes.tensor * factors)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_channels_may_come_in_either_order(channels):
    image = picture(96, 128)
    given = image if channels == "RGB" else image.flip(0)
    found = found_by(sharp_model(INPUT__FORMAT=channels), given)
    assert torch.equal(found.scores, found_by(sharp_model(), image).scores)


def test_boxes_of_several_classes_are_ultralytics_multi_label():
    from ultralytics.utils.nms import non_max_suppression

    model = sharp_model(MODEL__YOLOSEG__MULTI_LABEL_TEST=True, MODEL__ROI_HEADS__SCORE_THRESH_TEST=0.01)
    image = picture(96, 128)
    with torch.inference_mode():
        (cells, _), _ = model.network((image / 255)[None])
        theirs = non_max_suppression(cells, 0.01, 0.7, nc=model.network.model[-1].nc, multi_label=True)[0]
    boxes = theirs[:, :4].clamp(min=0)
    boxes = boxes.minimum(torch.tensor([128.0, 96.0, 128.0, 96.0]))
    ours = found_by(model, image)
    single = sharp_model(MODEL__ROI_HEADS__SCORE_THRESH_TEST=0.01)
    assert len(ours) > len(found_by(single, image)) or len(ours) == 300
    kept = [row for row, box in enumerate(boxes) if (ours.pred_boxes.tensor == box).all(dim=1).any()]
    assert len(kept) == len(ours)
    torch.testing.assert_close(ours.scores, theirs[kept, 4])
    assert torch.equal(ours.pred_classes, theirs[kept, 5].long())
