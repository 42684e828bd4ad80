"""The training mapper: Detectron2's bit for bit where nothing is asked for, and copy-paste with all that is refused."""

import numpy as np
import pytest
import torch
from augment_helpers import ALWAYS, CROP, PASTE, POLYGON, assert_equal, jitter, ours, stock

from thingstuff.errors import ConfigError, DataError

# ---- as Detectron2's -----------------------------------------------------------------------------------------------

BOXES = ("MODEL.MASK_ON", False, "PANOPTIC.ENABLED", False)
SETTINGS = {
    "recipe": (),
    "two sizes, vertical": ("INPUT.MIN_SIZE_TRAIN", "(96, 128)", "INPUT.RANDOM_FLIP", "vertical"),
    "crop": CROP,
    "boxes only": BOXES,
    "nothing is drawn": (*PASTE, "INPUT.COPY_PASTE.PROBABILITY", 0.0),
    "boxes only, nothing is drawn": (*BOXES, *PASTE, "INPUT.COPY_PASTE.PROBABILITY", 0.0),
    "limit not reached": ("INPUT.MAX_PIXELS", 160 * 160),
}


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # theirs, of a vertical flip
@pytest.mark.parametrize("overrides", SETTINGS.values(), ids=SETTINGS)
def test_bitmaps_are_those_of_detectron2(tiny_cfg, records, overrides):
    cfg = tiny_cfg("shapes/panoptic_fpn.yaml", *overrides)
    for seed, record in enumerate(records):
        assert_equal(ours(cfg, records, record, seed), stock(cfg, record, seed))


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # theirs, of a vertical flip
@pytest.mark.parametrize("overrides", SETTINGS.values(), ids=SETTINGS)
def test_polygons_are_those_of_detectron2(tiny_cfg, polygon_records, overrides):
    cfg = tiny_cfg("shapes/panoptic_fpn.yaml", *POLYGON, *overrides)
    for seed, record in enumerate(polygon_records):
        assert_equal(ours(cfg, polygon_records, record, seed), stock(cfg, record, seed))


def test_a_semantic_model_gets_the_same(tiny_cfg, records):
    cfg = tiny_cfg("shapes/semantic.yaml")
    only_stuff = [{key: value for key, value in record.items() if key != "annotations"} for record in records]
    for seed, record in enumerate(only_stuff):
        own, theirs = ours(cfg, only_stuff, record, seed), stock(cfg, record, seed)
        assert own.keys() == theirs.keys()
        assert torch.equal(own["sem_seg"], theirs["sem_seg"])


def test_records_stay_as_they_were(tiny_cfg, records):
    import copy

    same = copy.deepcopy(records)
    ours(tiny_cfg("shapes/panoptic_fpn.yaml", *ALWAYS, *jitter()), records, records[0], 0)
    assert records == same


# ---- copy-paste ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overrides", [(), jitter()], ids=["resized", "jitter"])
def test_what_is_pasted_agrees_with_the_pixels(tiny_cfg, records, overrides):
    """The second draw of the seeded generator names the other record; its own augmentation follows."""
    cfg = tiny_cfg("shapes/panoptic_fpn.yaml", *ALWAYS, *overrides)
    without = tiny_cfg("shapes/panoptic_fpn.yaml", *overrides)
    for seed in range(8):
        np.random.seed(seed)
        target = stock_input(without, records, records[0])
        np.random.random()
        source = stock_input(without, records, records[np.random.randint(len(records))])
        result = ours(cfg, records, records[0], seed)
        covered = source["instances"].gt_masks.tensor.any(dim=0)
        assert torch.equal(result["image"], torch.where(covered, source["image"], target["image"]))
        masks, count = result["instances"].gt_masks.tensor, len(source["instances"])
        assert torch.equal(masks[len(masks) - count :], source["instances"].gt_masks.tensor)
        assert not masks[: len(masks) - count, covered].any()
        assert torch.equal(
            result["instances"].gt_boxes.tensor, result["instances"].gt_masks.get_bounding_boxes().tensor
        )
        assert (result["sem_seg"][covered] == 0).all()
        assert (result["sem_seg"][masks.any(dim=0)] == 0).all()
        assert result.keys() == target.keys()
        assert result["file_name"] == records[0]["file_name"]


def stock_input(cfg, records, record):
    from thingstuff.data.augment.mapper import TrainingMapper

    return TrainingMapper(cfg, records)(record)


def test_the_same_seed_gives_the_same_paste(tiny_cfg, records):
    cfg = tiny_cfg("shapes/panoptic_fpn.yaml", *PASTE)
    images = [ours(cfg, records, records[0], seed)["image"] for seed in (1, 1, 2, 3, 4)]
    assert torch.equal(images[0], images[1])
    assert len({image.numpy().tobytes() for image in images}) > 1


def test_polygons_become_bitmaps_where_something_was_pasted(tiny_cfg, polygon_records):
    from detectron2.structures import BitMasks, PolygonMasks

    cfg = tiny_cfg("shapes/panoptic_fpn.yaml", *PASTE, *POLYGON)
    kinds = {type(ours(cfg, polygon_records, polygon_records[0], seed)["instances"].gt_masks) for seed in range(9)}
    assert kinds == {BitMasks, PolygonMasks}


def test_a_detector_of_boxes_gets_boxes(tiny_cfg, records):
    cfg = tiny_cfg("shapes/mask_rcnn.yaml", *ALWAYS, "MODEL.MASK_ON", False)
    result = ours(cfg, records, records[0], 0)
    with_masks = ours(tiny_cfg("shapes/mask_rcnn.yaml", *ALWAYS), records, records[0], 0)
    assert not result["instances"].has("gt_masks")
    assert torch.equal(result["instances"].gt_boxes.tensor, with_masks["instances"].gt_boxes.tensor)


def test_panoptic_truth_that_is_no_longer_true_is_left_out(tiny_cfg, records):
    whole = [{**record, "pan_seg_file_name": "a.png", "segments_info": []} for record in records]
    result = ours(tiny_cfg("shapes/panoptic_fpn.yaml", *ALWAYS), whole, whole[0], 0)
    assert not {"pan_seg_file_name", "segments_info"} & result.keys()


def test_an_error_names_the_image_that_was_to_be_pasted(tiny_cfg, records):
    damaged = [{**record, "file_name": "gone.png"} for record in records]
    with pytest.raises(DataError, match=r"^gone\.png: cannot be read"):
        ours(tiny_cfg("shapes/panoptic_fpn.yaml", *ALWAYS), damaged, records[0], 0)


def test_labels_of_another_convention_come_along(tiny_cfg, records, monkeypatch):
    """Where stuff class 0 is no "things", the pixels that are pasted keep the label that they have."""
    from detectron2.data import MetadataCatalog

    from thingstuff.data.augment.paste_source import PasteSource

    cfg = tiny_cfg("shapes/semantic.yaml", *PASTE)
    assert PasteSource.from_config(cfg, records).options.things_label == 0
    classes = ["road", "sky"]
    monkeypatch.setattr(MetadataCatalog, "get", lambda name: {"stuff_classes": classes})
    assert PasteSource.from_config(cfg, records).options.things_label is None


@pytest.mark.parametrize("key", ["PROBABILITY", "SHARE", "MIN_VISIBLE"])
def test_a_share_beyond_one_is_refused(tiny_cfg, records, key):
    with pytest.raises(ConfigError, match=rf"INPUT\.COPY_PASTE\.{key} is 1\.5, expected a number from 0 to 1"):
        ours(tiny_cfg("shapes/mask_rcnn.yaml", *PASTE, f"INPUT.COPY_PASTE.{key}", 1.5), records, records[0], 0)


@pytest.mark.parametrize("key", ["KEYPOINT_ON", "LOAD_PROPOSALS"])
def test_what_does_not_go_with_copy_paste_is_refused(tiny_cfg, records, key):
    with pytest.raises(ConfigError, match=rf"INPUT\.COPY_PASTE .*: set MODEL\.{key} False, or"):
        ours(tiny_cfg("shapes/mask_rcnn.yaml", *PASTE, f"MODEL.{key}", True), records, records[0], 0)


def test_records_without_anything_to_paste_are_refused(tiny_cfg, records):
    cfg = tiny_cfg("shapes/mask_rcnn.yaml", *PASTE)
    empty = [{**record, "annotations": []} for record in records]
    with pytest.raises(ConfigError, match="data set shapes_train has none"):
        ours(cfg, empty, empty[0], 0)
    notes = [{k: v for k, v in n.items() if k != "segmentation"} for n in records[0]["annotations"]]
    boxes = [{**records[0], "annotations": notes}]
    with pytest.raises(ConfigError, match=r"has instances without one in .*\.png: add them"):
        ours(cfg, boxes, boxes[0], 0)
