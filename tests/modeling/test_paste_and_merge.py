"""From a model's raw instances to detections and a panoptic map: Detectron2's answers, and `raw` left as it is."""

import numpy as np
import pytest
import torch

import thingstuff.config  # noqa: F401  mends Detectron2 before it is imported
from thingstuff.merge import Greedy
from thingstuff.modeling.outputs import to_detections
from thingstuff.modeling.postprocess import RoiInstances, paste_and_merge, postprocess_instances, read_instances
from thingstuff.structures import Categories, Category

CATEGORIES = Categories(
    (Category(7, "cat"), Category(3, "sky", isthing=False), Category(90, "dog"), Category(12, "road", isthing=False))
)
SIZE = (60, 85)  # of the network's input


def raw_instances(rng, count, *, masks=True):
    from detectron2.structures import Boxes, Instances

    raw = Instances(SIZE)
    corners = rng.uniform(-10, 95, (count, 2))
    boxes = np.concatenate([corners, corners + np.exp(rng.normal(2.5, 1.2, (count, 2)))], axis=1)
    raw.pred_boxes = Boxes(torch.from_numpy(boxes.astype(np.float32)))
    raw.scores = torch.from_numpy(rng.permutation(count).astype(np.float32) / max(count, 1))
    raw.pred_classes = torch.from_numpy(rng.integers(0, 2, count))
    if masks:
        raw.pred_masks = torch.from_numpy(rng.random((count, 1, 28, 28), np.float32))
    return raw


def copy_of(raw):
    from detectron2.structures import Boxes, Instances

    fields = {k: Boxes(v.tensor.clone()) if isinstance(v, Boxes) else v for k, v in raw.get_fields().items()}
    return Instances(raw.image_size, **fields)


def detectron2_detections(raw, height, width, threshold=0.5):
    from detectron2.modeling.postprocessing import detector_postprocess

    return to_detections(detector_postprocess(copy_of(raw), height, width, threshold), CATEGORIES)


def assert_same(ours, theirs):
    assert (ours.height, ours.width) == (theirs.height, theirs.width)
    for name in ("boxes_xyxy", "scores", "category_ids"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert mine.dtype == other.dtype
        assert np.array_equal(mine, other), name
    assert (ours.masks is None) == (theirs.masks is None)
    if ours.masks is not None:
        mine, other = ours.masks.tight(), theirs.masks.tight()
        assert np.array_equal(mine.boxes_xyxy, other.boxes_xyxy)
        assert all(map(np.array_equal, mine.crops, other.crops))


@pytest.mark.parametrize("masks", [True, False], ids=["masks", "boxes alone"])
@pytest.mark.parametrize("size", [(60, 85), (97, 130), (31, 40), (200, 50)])
def test_equals_detectron2(size, masks):
    rng = np.random.default_rng(size)
    for count in (0, 1, 12):
        raw = raw_instances(rng, count, masks=masks)
        before = copy_of(raw)
        assert_same(postprocess_instances(raw, *size, CATEGORIES), detectron2_detections(raw, *size))
        assert torch.equal(raw.pred_boxes.tensor, before.pred_boxes.tensor)


def test_boxes_that_are_empty_after_clipping_go():
    from detectron2.structures import Boxes

    raw = raw_instances(np.random.default_rng(0), 3)
    raw.pred_boxes = Boxes(torch.tensor([[-9.0, 5, -1, 9], [1, 1, 20, 20], [5, 5, 5, 9]]))
    found = postprocess_instances(raw, 120, 170, CATEGORIES)
    assert found.scores.tolist() == raw.scores[1:2].tolist()
    assert found.boxes_xyxy.tolist() == [[2, 2, 40, 40]]


def test_another_threshold_and_masks_as_roi_masks():
    from detectron2.structures import ROIMasks

    raw = raw_instances(np.random.default_rng(1), 6)
    expected = detectron2_detections(raw, 70, 99, threshold=0.8)
    assert_same(postprocess_instances(raw, 70, 99, CATEGORIES, mask_threshold=0.8), expected)
    raw.pred_masks = ROIMasks(raw.pred_masks[:, 0])
    assert_same(postprocess_instances(raw, 70, 99, CATEGORIES, mask_threshold=0.8), expected)


def test_half_precision_and_gradients():
    raw = raw_instances(np.random.default_rng(2), 6)
    raw.pred_masks = raw.pred_masks.half().requires_grad_()
    found = read_instances(raw, *SIZE, CATEGORIES)
    assert found.probs.dtype == np.float32
    assert set(found.probs.ravel()) <= set(raw.pred_masks.detach().float().numpy().ravel())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_from_a_gpu():
    raw = raw_instances(np.random.default_rng(4), 12)
    assert_same(postprocess_instances(raw.to("cuda"), 97, 130, CATEGORIES), detectron2_detections(raw, 97, 130))


def test_paste_and_merge_equals_detectron2():
    from detectron2.modeling.meta_arch.panoptic_fpn import combine_semantic_and_instance_outputs
    from detectron2.modeling.postprocessing import detector_postprocess

    rng = np.random.default_rng(5)
    for _ in range(10):
        raw = raw_instances(rng, 15)
        labels = np.repeat(rng.integers(0, 3, (97, 5)), 26, axis=1)
        reference = detector_postprocess(copy_of(raw), 97, 130)
        ids, infos = combine_semantic_and_instance_outputs(reference, torch.from_numpy(labels), 0.5, 300, 0.4)
        rule = Greedy(overlap_thresh=0.5, stuff_area_limit=300, instances_confidence_thresh=0.4)
        instances = read_instances(raw, 97, 130, CATEGORIES)
        found, panoptic, ledger = paste_and_merge(instances, labels.astype(np.uint16), CATEGORIES, rule)
        assert_same(found, to_detections(reference, CATEGORIES))
        assert np.array_equal(panoptic.ids, ids.numpy())
        assert [(s.id, s.isthing, s.score) for s in panoptic.segments] == [
            (info["id"], info["isthing"], info.get("score")) for info in infos
        ]
        assert len(ledger.instances) == len(found)


def test_paste_and_merge_without_instances():
    nothing = RoiInstances(
        np.zeros((0, 28, 28), np.float32), np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    )
    found, panoptic, _ = paste_and_merge(nothing, np.ones((70, 70), np.uint16), CATEGORIES)
    assert len(found) == 0
    assert [(s.category_id, s.area) for s in panoptic.segments] == [(3, 4900)]
