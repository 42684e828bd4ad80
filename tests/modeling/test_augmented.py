"""Test-time augmentation: instances are Detectron2's own to the last bit, semantic scores are means written out."""

import copy

import numpy as np
import pytest
import torch
from detectron2.data import DatasetMapper
from detectron2.modeling import DatasetMapperTTA, GeneralizedRCNN, GeneralizedRCNNWithTTA, build_model
from torch.nn import functional as F

import thingstuff
from thingstuff.config import load_config
from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.errors import ConfigError
from thingstuff.modeling.augmented import AugmentedRcnn, AugmentedSegmentor, Versions, augmented

MASK, SEMANTIC = "thingstuff://shapes/mask_rcnn.yaml", "thingstuff://shapes/semantic.yaml"
PANOPTIC, MERGED = "thingstuff://shapes/panoptic_fpn.yaml", "thingstuff://shapes/things_and_stuff.yaml"
AUG = ["TEST.AUG.ENABLED", "True", "TEST.AUG.MIN_SIZES", "(96, 160)", "TEST.AUG.MAX_SIZE", "200"]
FEW = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.1", "TEST.DETECTIONS_PER_IMAGE", "12"]


def config(recipe, *overrides):
    return load_config(recipe, [*FEW, *AUG, *overrides])


def built(cfg, weights):
    model = build_model(cfg).eval()
    Checkpointer(model).load(str(weights))
    return model


@pytest.fixture(scope="module")
def image_file(small_shapes):
    return str(small_shapes / "val" / "000001.png")


def mapped(cfg, image_file):
    """As Detectron2's evaluation hands it over: bytes, in the test size."""
    return DatasetMapper(cfg, is_train=False)({"file_name": image_file, "height": 160, "width": 160})


@pytest.mark.parametrize("overrides", [(), ("TEST.AUG.FLIP", "False"), ("INPUT.MIN_SIZE_TEST", "120")], ids=str)
def test_instances_equal_detectron2s(sharp_weights, image_file, overrides):
    cfg = config(MASK, *overrides)
    model = built(cfg, sharp_weights["mask"])
    one = mapped(cfg, image_file)
    with torch.inference_mode():
        theirs = GeneralizedRCNNWithTTA(cfg, model)([copy.copy(one)])[0]["instances"]
        ours = augmented(cfg, model)([one])[0]["instances"]
    assert len(theirs) > 3
    for field in ("scores", "pred_classes", "pred_masks"):
        assert torch.equal(ours.get(field), theirs.get(field))
    assert torch.equal(ours.pred_boxes.tensor, theirs.pred_boxes.tensor)


def test_what_load_finds_is_that_without_n_bitmaps(sharp_weights, image_file):
    cfg = config(MASK)
    with torch.inference_mode():
        model = built(cfg, sharp_weights["mask"])
        theirs = GeneralizedRCNNWithTTA(cfg, model)([mapped(cfg, image_file)])[0]["instances"]
    found = thingstuff.load(MASK, sharp_weights["mask"], overrides=[*FEW, *AUG[2:]], tta=True, device="cpu")(image_file)
    assert np.array_equal(found.scores, theirs.scores.numpy())
    assert np.array_equal(found.boxes, theirs.pred_boxes.tensor.numpy())
    assert np.array_equal(found.masks.to_bitmaps(), theirs.pred_masks.numpy())


def test_versions_equal_detectron2s(image_file):
    cfg = config(MASK, "INPUT.MIN_SIZE_TEST", "120")
    one = mapped(cfg, image_file)
    one.pop("file_name")
    ours, theirs = Versions(cfg)(one), DatasetMapperTTA(cfg)(one)
    assert len(ours) == len(theirs) == 4
    box = np.array([[3.0, 5, 70, 90]], np.float32)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert np.array_equal(a["transforms"].apply_box(box), b["transforms"].apply_box(box))


def test_floats_are_taken_as_bytes(image_file):
    cfg = config(MASK)
    one = mapped(cfg, image_file)
    as_floats = {**one, "image": one["image"].float()}
    for a, b in zip(Versions(cfg)(one), Versions(cfg)(as_floats), strict=True):
        assert torch.equal(a["image"], b["image"])


def test_heads_are_on_again_after_a_failure(sharp_weights, image_file):
    cfg = config(MASK)
    model = augmented(cfg, built(cfg, sharp_weights["mask"]))
    model._get_augmented_boxes = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        model([mapped(cfg, image_file)])
    assert model.model.roi_heads.mask_on


def averages(cfg, model, one):
    """The mean of the softmax scores over sizes and flips, by a loop over them."""
    size = one["image"].shape[-2:]
    pixels = one["image"].permute(1, 2, 0).numpy()
    total = 0
    for side in (96, 160):
        resized = np.asarray(_pil_resized(pixels, side))
        for flipped in (False, True):
            seen = np.ascontiguousarray(resized[:, ::-1] if flipped else resized)
            tensor = torch.from_numpy(seen.transpose(2, 0, 1).copy())
            logits = model([{"image": tensor}])[0]["sem_seg"]
            probs = logits.softmax(0)
            probs = probs.flip(2) if flipped else probs
            total = total + F.interpolate(probs[None], size=size, mode="bilinear", align_corners=False)[0]
    return total / 4


def _pil_resized(pixels, side):
    from PIL import Image

    return Image.fromarray(pixels).resize((side, side), Image.BILINEAR)


def test_semantic_scores_are_means_of_softmax(sharp_weights, image_file):
    cfg = config(SEMANTIC)
    model = built(cfg, sharp_weights["semantic"])
    one = mapped(cfg, image_file)
    wrapped = augmented(cfg, model)
    assert isinstance(wrapped, AugmentedSegmentor)
    with torch.inference_mode():
        expected = averages(cfg, model, one)
        found = wrapped([one])[0]["sem_seg"]
    assert torch.allclose(found, expected, atol=1e-5)
    result = thingstuff.load(SEMANTIC, sharp_weights["semantic"], overrides=AUG, device="cpu")(image_file)
    clear = expected.sort(0).values.diff(dim=0)[-1] > 1e-4
    labels = expected.argmax(0)
    assert np.array_equal(result.stuff_map[clear.numpy()], labels.numpy()[clear.numpy()])


def test_a_panoptic_fpn_gives_its_instances_and_averaged_stuff(sharp_weights, image_file):
    cfg = config(PANOPTIC)
    model = built(cfg, sharp_weights["panoptic"])
    one = mapped(cfg, image_file)
    wrapped = augmented(cfg, model)
    assert isinstance(wrapped, AugmentedRcnn)
    with torch.inference_mode():
        (instances,), (scores,) = wrapped.inference([one], do_postprocess=False)
        expected = averages(cfg, lambda inputs: [{"sem_seg": model(inputs)[0]["sem_seg"]}], one)
        model.__class__ = GeneralizedRCNN  # of which Detectron2's own asks for the same numbers
        theirs = GeneralizedRCNNWithTTA(cfg, model)([one])[0]["instances"]
    assert torch.equal(instances.scores, theirs.scores)
    assert torch.equal(instances.pred_boxes.tensor, theirs.pred_boxes.tensor)
    assert torch.allclose(scores, expected, atol=1e-5)
    result = thingstuff.load(PANOPTIC, sharp_weights["panoptic"], overrides=[*FEW, *AUG], device="cpu")(image_file)
    assert np.array_equal(result.scores, theirs.scores.numpy())
    assert result.panoptic[0].ids.shape == (160, 160)


def test_a_second_model_is_augmented_too(sharp_weights, image_file):
    stuff = ["PANOPTIC.STUFF_WEIGHTS", str(sharp_weights["semantic"])]
    merged = thingstuff.load(MERGED, sharp_weights["mask"], overrides=[*FEW, *AUG, *stuff], device="cpu")(image_file)
    alone = thingstuff.load(SEMANTIC, sharp_weights["semantic"], overrides=AUG, device="cpu")(image_file)
    assert np.array_equal(merged.stuff_map, alone.stuff_map)


def test_off_is_the_model_itself(sharp_weights):
    cfg = load_config(MASK, FEW)
    model = build_model(cfg)
    assert augmented(cfg, model) is model


@pytest.mark.parametrize(
    ("recipe", "overrides", "said"),
    [
        ("model_zoo://COCO-Detection/retinanet_R_50_FPN_1x.yaml", (), "this is a RetinaNet"),
        (MASK, ("TEST.AUG.MIN_SIZES", "()"), "MIN_SIZES"),
        ("model_zoo://COCO-Keypoints/keypoint_rcnn_R_50_FPN_1x.yaml", (), "KEYPOINT_ON"),
    ],
)
def test_what_cannot_be_augmented_is_one_line(recipe, overrides, said):
    from thingstuff.modeling.zoo_check import build_without_weights

    cfg = config(recipe, *overrides)
    with pytest.raises(ConfigError, match=said):
        augmented(cfg, build_without_weights(cfg))


def test_evaluation_has_both_numbers(run_tool, sharp_weights, tmp_path):
    few = [*FEW, *AUG, "DATALOADER.NUM_WORKERS", "0", "TEST.PICTURES", "0", "OUTPUT_DIR", str(tmp_path)]
    weights = ["MODEL.WEIGHTS", str(sharp_weights["mask"])]
    code, out, error = run_tool("train_net", "--config-file", MASK, "--eval-only", *weights, *few)
    assert code == 0, error
    assert "box, TTA" in out
    import json

    results = json.loads((tmp_path / "inference/results.json").read_text())["results"]["shapes_val"]
    assert set(results) == {"bbox", "segm", "bbox_TTA", "segm_TTA"}


def test_a_training_ends_with_both_numbers(run_tool, tmp_path):
    from helpers import TINY

    few = [*TINY, *AUG, "TEST.PICTURES", "0", "OUTPUT_DIR", str(tmp_path / "run")]
    code, out, error = run_tool("train_net", "--config-file", MASK, *few)
    assert code == 0, error
    assert "mask, TTA" in out
