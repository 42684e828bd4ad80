"""Images without objects in a training, and batches of them; batches of polygons and bitmaps."""

import numpy as np
import pytest
import torch
from augment_helpers import ALWAYS, CROP, PASTE, POLYGON, jitter, ours, without_objects


@pytest.mark.parametrize("overrides", [(), jitter(), CROP], ids=["resized", "jitter", "crop"])
@pytest.mark.parametrize("mask_format", ["bitmask", "polygon"])
def test_an_image_without_objects_has_empty_instances(tiny_cfg, records, overrides, mask_format):
    cfg = tiny_cfg("shapes/panoptic_fpn.yaml", *overrides, "INPUT.MASK_FORMAT", mask_format)
    full = type(ours(cfg, records, records[0], 0)["instances"].gt_masks) if mask_format == "bitmask" else None
    for record in without_objects(records):
        result = ours(cfg, records, record, 0)
        instances = result["instances"]
        assert len(instances) == len(instances.gt_masks) == 0
        assert instances.gt_boxes.tensor.shape == (0, 4)
        assert type(instances.gt_masks).__name__ == {"bitmask": "BitMasks", "polygon": "PolygonMasks"}[mask_format]
        if full:
            assert instances.gt_masks.tensor.shape == (0, *result["image"].shape[1:])


def test_instances_are_pasted_onto_it(tiny_cfg, records):
    result = ours(tiny_cfg("shapes/panoptic_fpn.yaml", *ALWAYS), records, without_objects(records)[0], 0)
    assert len(result["instances"]) > 0


# ---- what a model makes of it --------------------------------------------------------------------------------------


def step(cfg, batch):
    """The losses of one training step of a Mask R-CNN, and whether every gradient is a number."""
    from detectron2.modeling import build_model
    from detectron2.utils.events import EventStorage

    torch.manual_seed(0)
    model = build_model(cfg)
    with EventStorage():
        losses = model(batch)
        sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    return {name: loss.item() for name, loss in losses.items()}


@pytest.mark.parametrize("mask_format", ["bitmask", "polygon"])
def test_a_step_on_images_without_objects_only(tiny_cfg, records, mask_format):
    from thingstuff.data.augment.mapper import TrainingMapper

    cfg = tiny_cfg("shapes/mask_rcnn.yaml", "INPUT.MASK_FORMAT", mask_format)
    mapper = TrainingMapper(cfg, records)
    losses = step(cfg, [mapper(record) for record in without_objects(records)])
    assert losses["loss_mask"] == losses["loss_box_reg"] == losses["loss_rpn_loc"] == 0
    assert np.isfinite(losses["loss_cls"])
    assert losses["loss_rpn_cls"] > 0


def test_a_step_on_polygons_and_bitmaps_in_one_batch(tiny_cfg, polygon_records):
    from detectron2.structures import BitMasks, PolygonMasks

    cfg = tiny_cfg("shapes/mask_rcnn.yaml", *PASTE, *POLYGON)
    batch = [ours(cfg, polygon_records, polygon_records[0], seed) for seed in range(9)]
    kinds = {type(item["instances"].gt_masks): item for item in batch}
    assert kinds.keys() == {BitMasks, PolygonMasks}
    losses = step(cfg, list(kinds.values()))
    assert losses["loss_mask"] > 0
    assert all(np.isfinite(loss) for loss in losses.values())
