"""Boundary AP against its definition written out and fed through pycocotools, and against values counted by hand."""

from __future__ import annotations

import contextlib
import copy
import io
import math
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from coco_scenes import NAMES, SIDE, box_rle, random_scene, text_rle
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from thingstuff.errors import ConfigError, DataError, SetupError
from thingstuff.evaluation import evaluate_coco
from thingstuff.evaluation.boundary_ap import BoundaryOptions, evaluate_boundary

needs_vernier = pytest.mark.skipif(find_spec("vernier") is None, reason="vernier is not installed")


def boundary(bitmap, ratio):
    """What d erosions by 3 x 3 pixels take away, where nothing is outside of the image."""
    height, width = bitmap.shape
    inner = bitmap
    for _ in range(max(1, round(ratio * math.sqrt(height**2 + width**2)))):
        padded = np.pad(inner, 1)
        shifted = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
        inner = np.min(shifted, axis=0)
    return bitmap - inner


class BoundaryEval(COCOeval):
    ratio = 0.02

    def computeIoU(self, image_id, category_id):
        masks = super().computeIoU(image_id, category_id)
        if not len(masks):
            return masks
        truths, found = self._gts[image_id, category_id], self._dts[image_id, category_id]
        ranked = sorted(found, key=lambda d: -d["score"])[: self.params.maxDets[-1]]
        crowd = [t["iscrowd"] for t in truths]
        boundaries = mask_utils.iou(self._boundaries(ranked), self._boundaries(truths), crowd)
        return np.where(crowd, masks, np.minimum(masks, boundaries))

    def _boundaries(self, annotations):
        bitmaps = [boundary(mask_utils.decode(a["segmentation"]), self.ratio) for a in annotations]
        return [mask_utils.encode(np.asfortranarray(b)) for b in bitmaps]


def run_definition(truth, results, ratio=0.02):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        evaluation = BoundaryEval(coco, coco.loadRes(copy.deepcopy(results)), "segm")
        evaluation.ratio = ratio
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def close_scene(seed, crowd_share=0.2):
    """A random scene with detections so close that boundaries agree; `random_scene` has few of these."""
    truth, results = random_scene(seed, "segm", crowd_share)
    rng = np.random.default_rng(seed)
    sides = {i["id"]: (int(rng.integers(30, 200)), int(rng.integers(30, 200))) for i in truth["images"]}
    truth["images"] = [{**i, "height": sides[i["id"]][0], "width": sides[i["id"]][1]} for i in truth["images"]]
    truth["annotations"] = [_in_image(a, sides[a["image_id"]], rng) for a in truth["annotations"]]
    close = [_near(a, sides[a["image_id"]], rng) for a in truth["annotations"] * 3]
    far = [{**r, "segmentation": _rle(_blob(sides[r["image_id"]], rng))} for r in results]
    return truth, [*close, *far]


def _blob(size, rng):
    """A ragged ellipse, which may be cut by the border of the image."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    centre, radius = rng.uniform(0, size), rng.uniform(2, max(2, 0.5 * min(size)), 2)
    angle = np.arctan2(y - centre[0], x - centre[1])
    ragged = 1 + 0.2 * np.sin(angle * rng.integers(2, 9))
    return (((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2 < ragged).astype(np.uint8)


def _rle(bitmap):
    return text_rle(mask_utils.encode(np.asfortranarray(bitmap)))


def _in_image(annotation, size, rng):
    if rng.random() < 0.3 and not annotation["iscrowd"]:
        polygon = (rng.uniform(-0.1, 1.1, (7, 2)) * size[::-1]).ravel().tolist()
        area = mask_utils.area(mask_utils.frPyObjects([polygon], *size))[0]
        return {**annotation, "segmentation": [polygon], "area": float(area)}
    bitmap = _blob(size, rng)
    return {**annotation, "segmentation": _rle(bitmap), "area": float(bitmap.sum())}


def _near(annotation, size, rng):
    """The object with a few pixels turned along one of its sides."""
    mask = annotation["segmentation"]
    rle = mask_utils.frPyObjects(mask, *size)[0] if isinstance(mask, list) else mask
    bitmap = mask_utils.decode(rle)
    bitmap[: rng.integers(0, size[0]), : rng.integers(0, 4)] = 1
    bitmap[:, : rng.integers(0, 20)] *= rng.integers(0, 2, dtype=np.uint8)
    record = {"image_id": annotation["image_id"], "category_id": annotation["category_id"]}
    return {**record, "segmentation": _rle(bitmap), "score": round(float(rng.random()), 1)}


def one_object(box=(20, 20, 100, 100), **fields):
    label = {"image_id": 1, "category_id": 1, "segmentation": box_rle(box), "area": box[2] * box[3], "iscrowd": 0}
    return {
        "images": [{"id": 1, "height": SIDE, "width": SIDE}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [{"id": 1, **label, **fields}],
    }


def detection(box, score=0.5):
    return {"image_id": 1, "category_id": 1, "segmentation": box_rle(box), "score": score}


def assert_same(found, expected):
    assert tuple(found.numbers) == NAMES["segm"]
    for name, value in zip(NAMES["segm"], expected.stats, strict=True):
        assert math.isnan(found.numbers[name]) if value == -1 else abs(found.numbers[name] - value) <= 1e-12, name
        assert (name in found.undefined) == (value == -1), name
    for k, value in enumerate(found.per_category.values()):
        own = expected.eval["precision"][:, :, k, 0, -1]
        assert math.isnan(value) if own.max() == -1 else value == own.mean()


@needs_vernier
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("scene", [close_scene, lambda seed: random_scene(seed, "segm")], ids=["close", "random"])
def test_random_scenes_equal_the_definition(scene, seed):
    truth, results = scene(seed)
    assert_same(evaluate_boundary(truth, results), run_definition(truth, results))


@needs_vernier
@pytest.mark.parametrize("ratio", [1e-6, 0.008, 0.1, 1])
def test_width_of_the_boundary(ratio):
    truth, results = close_scene(3)
    found = evaluate_boundary(truth, results, BoundaryOptions(dilation_ratio=ratio))
    assert_same(found, run_definition(truth, results, ratio))


@needs_vernier
def test_more_than_a_hundred_detections_of_equal_score():
    truth, results = close_scene(2)
    many = [{**r, "score": 0.5} for r in results * 20]
    assert_same(evaluate_boundary(truth, many), run_definition(truth, many))


@needs_vernier
@pytest.mark.parametrize("size", [(75, 100), (225, 300), (1, 1), (3, 200)])
def test_a_width_half_way_between_two_pixels_and_the_least_one(size):
    """0.02 x 125 = 2.5 pixels are 2, and 0.02 x 375 = 7.5 pixels are 8, as Python rounds; below 0.5 it is 1."""
    rng = np.random.default_rng(size[1])
    truth = one_object()
    truth["images"] = [{"id": 1, "height": size[0], "width": size[1]}]
    truth["annotations"] = [{**truth["annotations"][0], "segmentation": _rle(_blob(size, rng)), "area": 50}]
    results = [_near(truth["annotations"][0], size, rng) for _ in range(10)]
    assert_same(evaluate_boundary(truth, results), run_definition(truth, results))


@needs_vernier
def test_a_match_is_the_lower_of_mask_and_boundary_iou():
    """Squares of 100 and of 104 pixels about the same centre, with boundaries round(0.02 x 226.27) = 5 pixels wide.

    The mask IoU is 100² / 104² = 0.92. The boundaries are 100² - 90² and 104² - 94² pixels, in common 100² - 94².
    """
    boundary_iou = (100**2 - 94**2) / (100**2 - 90**2 + 104**2 - 94**2 - (100**2 - 94**2))
    assert boundary_iou < 0.5  # hence no match where mask AP has one at 0.50 to 0.90
    truth, found = one_object((20, 20, 100, 100)), detection((18, 18, 104, 104))
    assert evaluate_coco(truth, [found], "segm").numbers["AP"] == pytest.approx(9 / 10)
    assert evaluate_boundary(truth, [found]).numbers["AP"] == 0
    wide = evaluate_boundary(truth, [found], BoundaryOptions(dilation_ratio=0.2))
    # 45 pixels wide: the boundaries are 100² - 10² and 104² - 14² pixels, in common 100² - 14²
    iou = (100**2 - 14**2) / (100**2 - 10**2 + 104**2 - 14**2 - (100**2 - 14**2))
    assert wide.numbers["AP"] == pytest.approx(np.sum(np.linspace(0.5, 0.95, 10) <= iou) / 10)


@needs_vernier
def test_a_detection_in_a_crowd_neither_helps_nor_harms():
    """Its boundary lies nowhere near that of the crowd, which is matched by mask alone."""
    truth = one_object((0, 0, 30, 30))
    crowd = {**one_object((40, 40, 120, 120))["annotations"][0], "id": 2, "iscrowd": 1}
    truth["annotations"].append(crowd)
    found = evaluate_boundary(truth, [detection((80, 80, 20, 20), 0.9), detection((0, 0, 30, 30), 0.5)])
    assert found.numbers["AP"] == pytest.approx(1)


@needs_vernier
def test_the_border_of_the_image_is_boundary():
    """A mask of the whole image has a frame 5 pixels wide; without its outermost row it is another frame."""
    whole = one_object((0, 0, SIDE, SIDE))
    frame = SIDE**2 - (SIDE - 10) ** 2
    low = SIDE * (SIDE - 1) - (SIDE - 10) * (SIDE - 11)
    common = low - (SIDE - 10)
    iou = common / (frame + low - common)
    met = np.sum(np.linspace(0.5, 0.95, 10) <= iou)
    found = evaluate_boundary(whole, [detection((0, 0, SIDE, SIDE - 1))])
    assert found.numbers["AP"] == pytest.approx(met / 10)


@needs_vernier
def test_kinds_of_masks_do_not_matter():
    truth, results = random_scene(3, "segm")
    expected = evaluate_boundary(truth, results)
    other = {**truth, "annotations": [{**a, "segmentation": _uncompressed(a)} for a in truth["annotations"]]}
    in_bytes = [{**r, "segmentation": mask_utils.encode(mask_utils.decode(r["segmentation"]))} for r in results]
    np.testing.assert_equal(evaluate_boundary(other, in_bytes).numbers, expected.numbers)
    unsized = {**other, "images": [{"id": i["id"]} for i in truth["images"]]}
    np.testing.assert_equal(evaluate_boundary(unsized, results).numbers, expected.numbers)


def _uncompressed(annotation):
    mask = annotation["segmentation"]
    rle = mask_utils.merge(mask_utils.frPyObjects(mask, SIDE, SIDE)) if isinstance(mask, list) else mask
    flat = mask_utils.decode(rle).ravel(order="F")
    edges = np.flatnonzero(np.diff(np.r_[0, flat]))
    return {"size": [SIDE, SIDE], "counts": np.diff(np.r_[0, edges, flat.size]).tolist()}


@needs_vernier
def test_boxes_beside_the_masks_do_not_matter():
    truth, results = close_scene(4)
    wrong = {"bbox": [0.0, 0.0, 3.0, 3.0]}
    boxed = {**truth, "annotations": [{**a, **wrong} for a in truth["annotations"]]}
    found = evaluate_boundary(boxed, [{**r, **wrong} for r in results])
    np.testing.assert_equal(found.numbers, evaluate_boundary(truth, results).numbers)


@needs_vernier
def test_chosen_images_and_limits():
    truth, results = close_scene(5)
    kept = [i["id"] for i in truth["images"]][1:4]
    smaller = {**truth, "images": [i for i in truth["images"] if i["id"] in kept]}
    smaller["annotations"] = [a for a in truth["annotations"] if a["image_id"] in kept]
    found = evaluate_boundary(truth, results, BoundaryOptions(image_ids=kept, max_dets=(1, 2, 100)))
    assert list(found.numbers)[6:9] == ["AR1", "AR2", "AR100"]
    alone = evaluate_boundary(smaller, [r for r in results if r["image_id"] in kept])
    assert found.numbers["AP"] == alone.numbers["AP"]


@needs_vernier
def test_nothing_found_and_nothing_to_find():
    nothing = evaluate_boundary(one_object(), [])
    assert (nothing.numbers["AP"], nothing.per_category["a"]) == (0, 0)
    assert nothing.undefined["AP-b"] == "no 'b' in the ground truth"
    crowd_only = evaluate_boundary(one_object(iscrowd=1), [detection((0, 0, 9, 9))])
    assert crowd_only.undefined["AP"] == "no object in the ground truth (crowds do not count)"
    empty = evaluate_boundary({"images": [], "categories": [], "annotations": []}, [])
    assert all(math.isnan(v) for v in empty.numbers.values())


@needs_vernier
def test_an_empty_mask_matches_nothing():
    truth = one_object((0, 0, 0, 0))
    assert evaluate_boundary(truth, [detection((0, 0, 0, 0))]).numbers["AP"] == 0


@needs_vernier
def test_quiet_and_leaves_its_input_alone(capfd):
    truth, results = random_scene(7, "segm")
    before = copy.deepcopy((truth, results))
    evaluate_boundary(truth, results)
    assert (truth, results) == before
    assert capfd.readouterr() == ("", "")


@needs_vernier
def test_a_mask_that_cannot_be_read_is_named():
    damaged = {**detection((0, 0, 9, 9)), "segmentation": {"size": [SIDE, SIDE], "counts": "zzzz"}}
    with pytest.raises(DataError):
        evaluate_boundary(one_object(), [damaged])


def test_without_vernier_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "vernier", None)
    with pytest.raises(SetupError, match=r"boundary AP needs vernier: pip install 'thingstuff\[boundary\]'"):
        evaluate_boundary(one_object(), [])


def test_wrong_options_are_named():
    for ratio in (0, -1, 1.5, math.nan):
        with pytest.raises(ConfigError, match="dilation_ratio must be above 0 and at most 1"):
            BoundaryOptions(dilation_ratio=ratio)
    with pytest.raises(ConfigError, match="max_dets must be 3 rising counts"):
        BoundaryOptions(max_dets=(100,))
