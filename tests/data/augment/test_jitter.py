"""Large-scale jitter: Detectron2's, in one size, with ignored labels and no mask beyond the edge."""

import cv2
import numpy as np
import pytest
import torch
from augment_helpers import jitter, ours

from thingstuff.errors import ConfigError


@pytest.mark.parametrize("mask_format", ["bitmask", "polygon"])
def test_jitter_gives_one_size_and_masks_that_fit(tiny_cfg, records, polygon_records, mask_format):
    used = records if mask_format == "bitmask" else polygon_records
    cfg = tiny_cfg("shapes/panoptic_fpn.yaml", *jitter(), "INPUT.MASK_FORMAT", mask_format)
    dropped = 0
    for seed in range(24):
        record = used[seed % len(used)]
        result = ours(cfg, used, record, seed)
        instances, sem_seg = result["instances"], result["sem_seg"]
        assert result["image"].shape == (3, 96, 96)
        assert result["image"].dtype == torch.uint8
        assert sem_seg.shape == instances.image_size == (96, 96)
        assert (result["height"], result["width"]) == (160, 160)
        expected = instances.gt_masks.get_bounding_boxes().tensor
        assert torch.equal(instances.gt_boxes.tensor, expected)
        assert instances.gt_masks.nonempty().all()
        assert (expected >= 0).all()
        assert (expected <= 96).all()
        dropped += sum(not note["iscrowd"] for note in record["annotations"]) - len(instances)
    assert dropped > 0


def test_beyond_the_edge_labels_are_ignored_and_masks_empty(tiny_cfg, records):
    """At a scale of 0.5 the image takes the first 48 rows and columns, or the last where it is flipped."""
    cfg = tiny_cfg("shapes/panoptic_fpn.yaml", *jitter(96, 0.5, 0.5), "INPUT.RANDOM_FLIP", "none")
    for record in records:
        result = ours(cfg, records, record, 0)
        outside = torch.ones(96, 96, dtype=torch.bool)
        outside[:48, :48] = False
        assert (result["sem_seg"][outside] == 255).all()
        assert (result["sem_seg"][~outside] != 255).all()
        assert not result["instances"].gt_masks.tensor[:, outside].any()
        assert (result["image"][:, outside] == 128).all()


def test_jitter_is_detectron2s(tiny_cfg, records):
    from detectron2.data import detection_utils
    from detectron2.data import transforms as T

    stock = T.AugmentationList([T.ResizeScale(0.1, 2.0, 96, 96), T.FixedSizeCrop((96, 96)), T.RandomFlip()])
    cfg = tiny_cfg("shapes/panoptic_fpn.yaml", *jitter())
    for seed, record in enumerate(records):
        image = detection_utils.read_image(record["file_name"], "BGR")
        sem_seg = detection_utils.read_image(record["sem_seg_file_name"], "L").squeeze(2)
        augmented = T.AugInput(image, sem_seg=sem_seg)
        np.random.seed(seed)
        stock(augmented)
        result = ours(cfg, records, record, seed)
        assert np.array_equal(result["image"].numpy().transpose(1, 2, 0), augmented.image)
        assert np.array_equal(result["sem_seg"].numpy(), augmented.sem_seg)


def test_a_very_long_image_keeps_a_pixel(tiny_cfg, tmp_path):
    cv2.imwrite(str(tmp_path / "long.png"), np.zeros((2, 900, 3), np.uint8))
    record = {"file_name": str(tmp_path / "long.png"), "image_id": 0, "height": 2, "width": 900, "annotations": []}
    result = ours(tiny_cfg("shapes/mask_rcnn.yaml", *jitter()), [record], record, 0)
    assert result["image"].shape == (3, 96, 96)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (jitter(0), "INPUT.JITTER.SIZE is 0, expected a number of pixels"),
        (jitter(96, 0.0, 1.0), "expected two numbers above 0, the smaller one first"),
        (jitter(96, 2.0, 1.0), "MIN_SCALE 2.0 and MAX_SCALE 1.0"),
    ],
)
def test_a_jitter_without_sense_is_refused(tiny_cfg, records, overrides, message):
    with pytest.raises(ConfigError, match=message):
        ours(tiny_cfg("shapes/mask_rcnn.yaml", *overrides), records, records[0], 0)


def test_the_limit_of_pixels_holds_for_both_kinds_of_resize(tiny_cfg, records):
    for overrides, size in ((jitter(), (77, 77)), ((), (77, 77))):
        cfg = tiny_cfg("shapes/mask_rcnn.yaml", *overrides, "INPUT.MAX_PIXELS", 6000)
        result = ours(cfg, records, records[0], 0)
        assert result["image"].shape[1:] == result["instances"].image_size == size, "77 * 77 is the last below 6000"
