"""What the tests of the training mapper share: overrides, and a seeded call of ours and of Detectron2's."""

import numpy as np
import torch

PASTE = ("INPUT.COPY_PASTE.ENABLED", True)
ALWAYS = (*PASTE, "INPUT.COPY_PASTE.PROBABILITY", 1.0, "INPUT.COPY_PASTE.SHARE", 1.0)
POLYGON = ("INPUT.MASK_FORMAT", "polygon")
CROP = ("INPUT.CROP.ENABLED", True, "INPUT.CROP.SIZE", "[0.6, 0.6]")


def jitter(size=96, least=0.1, most=2.0):
    node = "INPUT.JITTER."
    return (f"{node}ENABLED", True, f"{node}SIZE", size, f"{node}MIN_SCALE", least, f"{node}MAX_SCALE", most)


def stock(cfg, record, seed):
    from detectron2.data import DatasetMapper

    np.random.seed(seed)
    return DatasetMapper(cfg, True)(record)


def ours(cfg, records, record, seed):
    from thingstuff.data.augment.mapper import TrainingMapper

    mapper = TrainingMapper(cfg, records)
    np.random.seed(seed)
    return mapper(record)


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    assert all(ours[key] == theirs[key] for key in ours.keys() - {"image", "sem_seg", "instances"})
    for key in ("image", "sem_seg"):
        assert torch.equal(ours[key], theirs[key])
        assert ours[key].dtype == theirs[key].dtype
    assert_equal_instances(ours["instances"], theirs["instances"])


def assert_equal_instances(ours, theirs):
    assert ours.image_size == theirs.image_size
    assert ours.get_fields().keys() == theirs.get_fields().keys()
    assert torch.equal(ours.gt_boxes.tensor, theirs.gt_boxes.tensor)
    assert torch.equal(ours.gt_classes, theirs.gt_classes)
    if not ours.has("gt_masks"):
        return
    assert type(ours.gt_masks) is type(theirs.gt_masks)
    if hasattr(ours.gt_masks, "tensor"):
        assert torch.equal(ours.gt_masks.tensor, theirs.gt_masks.tensor)
    else:
        for own, their in zip(ours.gt_masks.polygons, theirs.gt_masks.polygons, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(own, their, strict=True))


def without_objects(records):
    """An empty list, only a crowd, and no list at all."""
    crowd = [note for record in records for note in record["annotations"] if note["iscrowd"]][:1]
    empty = {**records[0], "annotations": []}
    bare = {key: value for key, value in records[2].items() if key != "annotations"}
    return [empty, {**records[1], "annotations": crowd}, bare]
