"""A store's masks are replaced by those that a refiner gives for its boxes, and everything else stays."""

from dataclasses import replace

import numpy as np
import pytest
from refine_cases import CATEGORIES, HEIGHT, WIDTH, boxes_of, detections, filled, shrunk, write_image, write_store
from sam_masks.refine import Refined, RefineOptions, check_store, image_paths, refine_store
from sam_masks.segmenter import MaskOptions

from thingstuff.errors import DataError
from thingstuff.store import PredictedImage, Store


@pytest.fixture
def scene(tmp_path):
    """A function: detections of one image -> a store of it, whose meta knows where the image is."""

    def build(found, **fields):
        write_image(tmp_path / "images", "street/a.png")
        image = PredictedImage("street/a.png", HEIGHT, WIDTH, 5, found, **fields)
        return write_store(tmp_path / "store", [image], tmp_path / "images")

    return build


def refined(store, refiner, folder, options=None):
    counts = refine_store(store, refiner, folder, store.meta, options or RefineOptions())
    (image,) = Store.open(folder)
    return image, counts


def test_masks_are_new_and_all_else_stays(scene, tmp_path):
    boxes = boxes_of([2, 3, 20, 12], [10.5, 4.25, 30, 29])
    store = scene(detections(boxes))
    image, counts = refined(store, shrunk, tmp_path / "new")
    (old,) = store
    assert (image.key, image.image_id) == ("street/a.png", 5)
    for name in ("boxes_xyxy", "scores", "category_ids"):
        assert np.array_equal(getattr(image.detections, name), getattr(old.detections, name))
    assert np.array_equal(image.detections.masks.to_bitmaps(), shrunk(None, boxes).to_bitmaps())
    assert counts == Refined(images=1, refined=2)


def test_the_refiner_sees_the_image_and_its_boxes_once(scene, tmp_path):
    boxes = boxes_of([2, 3, 20, 12], [10, 4, 30, 29])
    seen = []
    refined(scene(detections(boxes)), lambda image, asked: seen.append((image, asked)) or filled(asked), tmp_path / "n")
    ((image, asked),) = seen
    assert image.shape == (HEIGHT, WIDTH, 3)
    from PIL import Image

    rgb = np.asarray(Image.open(tmp_path / "images/street/a.png"))
    assert np.array_equal(image, rgb[:, :, ::-1])
    assert np.array_equal(asked, boxes)


def test_boxes_become_those_of_the_masks_when_asked(scene, tmp_path):
    store = scene(detections(boxes_of([2, 3, 20, 12])))
    image, _ = refined(store, shrunk, tmp_path / "new", RefineOptions(boxes_from_masks=True))
    assert image.detections.boxes_xyxy.tolist() == [[3, 4, 19, 11]]


def test_boxes_are_cut_off_at_the_image_and_one_outside_keeps_its_mask(scene, tmp_path):
    boxes = boxes_of([-5, -2, 10, 8], [50, 3, 60, 9], [5, 5, 5, 9], [30, 20, 99, 99])
    asked = []
    image, counts = refined(
        scene(detections(boxes)), lambda _, given: asked.append(given) or shrunk(None, given), tmp_path / "new"
    )
    assert asked[0].tolist() == [[0, 0, 10, 8], [30, 20, 40, 30]]
    assert counts == Refined(images=1, refined=2, outside=2)
    assert image.detections.masks.areas_px().tolist() == [8 * 6, 0, 0, 8 * 8]
    assert np.array_equal(image.detections.boxes_xyxy, boxes)


def test_an_instance_without_an_answer_keeps_its_mask(scene, tmp_path):
    boxes = boxes_of([2, 3, 20, 12], [10, 4, 30, 29])
    image, counts = refined(
        scene(detections(boxes)),
        lambda _, given: filled(given * [[0], [1]]),
        tmp_path / "new",
        RefineOptions(0.0, True),
    )
    assert counts == Refined(images=1, refined=1, empty=1)
    assert image.detections.masks.areas_px().tolist() == [18 * 9, 20 * 25]
    assert np.array_equal(image.detections.boxes_xyxy, boxes)


def test_low_scores_keep_their_masks_when_asked(scene, tmp_path):
    boxes = boxes_of([2, 3, 20, 12], [10, 4, 30, 29], [0, 0, 9, 9])
    store = scene(detections(boxes, [0.9, 0.5, 0.49]))
    image, counts = refined(store, shrunk, tmp_path / "new", RefineOptions(score_thresh=0.5))
    assert counts == Refined(images=1, refined=2, below=1)
    assert image.detections.masks.areas_px().tolist() == [16 * 7, 18 * 23, 81]


def test_a_store_of_boxes_alone_gets_masks(scene, tmp_path):
    store = scene(detections(boxes_of([2, 3, 20, 12], [50, 50, 60, 60]), masks=False))
    image, counts = refined(store, shrunk, tmp_path / "new")
    assert image.detections.masks.areas_px().tolist() == [16 * 7, 0]
    assert counts == Refined(images=1, refined=1, outside=1)
    with pytest.raises(DataError, match="has boxes without masks, which all want one: leave --score-thresh out"):
        check_store(store, RefineOptions(score_thresh=0.5))


def test_stuff_stays_and_what_was_merged_goes(scene, tmp_path):
    from thingstuff.merge import Greedy, merge

    found = detections(boxes_of([2, 3, 20, 12]))
    stuff = np.ones((HEIGHT, WIDTH), np.uint16)
    panoptic, ledger = merge(found, stuff, CATEGORIES, Greedy(0.5, 0, 0.5))
    store = scene(found, stuff_map=stuff, panoptic=panoptic, ledger=tuple(ledger.records()))
    image, _ = refined(store, shrunk, tmp_path / "new")
    assert np.array_equal(image.stuff_map, stuff)
    assert image.panoptic is None
    assert image.ledger is None


def test_an_image_without_instances_is_not_even_opened(scene, tmp_path, monkeypatch):
    store = scene(detections(boxes_of()))
    monkeypatch.setattr("sam_masks.refine.read_image_bgr", lambda path: pytest.fail("it was opened"))
    image, counts = refined(store, shrunk, tmp_path / "new")
    assert len(image.detections) == len(image.detections.masks) == 0
    assert counts == Refined(images=1)


def test_a_run_that_stops_goes_on_behind_its_last_image(tmp_path):
    root = tmp_path / "images"
    images = []
    for number in range(5):
        write_image(root, f"{number}.png", number)
        found = detections(boxes_of([2, 3, 20, 12 + number]))
        images.append(PredictedImage(f"{number}.png", HEIGHT, WIDTH, number, found))
    store = write_store(tmp_path / "store", images, root)
    calls = []

    def stops(image, boxes):
        calls.append(boxes)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return shrunk(image, boxes)

    with pytest.raises(KeyboardInterrupt):
        refine_store(store, stops, tmp_path / "new", store.meta)
    assert Store.open(tmp_path / "new").keys() == ("0.png", "1.png")
    counts = refine_store(store, stops, tmp_path / "new", store.meta)
    assert (counts.images, counts.already_there, counts.refined) == (3, 2, 3)
    assert len(calls) == 6
    at_once = refine_store(store, shrunk, tmp_path / "at_once", store.meta)
    assert at_once.images == 5
    shards = [(tmp_path / name / "predictions-00000.jsonl").read_bytes() for name in ("new", "at_once")]
    assert shards[0] == shards[1]
    nothing_left = refine_store(store, lambda *_: pytest.fail("it was asked"), tmp_path / "new", store.meta)
    assert (nothing_left.images, nothing_left.already_there) == (0, 5)


def test_other_weights_or_options_do_not_continue_a_store(scene, tmp_path):
    store = scene(detections(boxes_of([2, 3, 20, 12])))
    refine_store(store, shrunk, tmp_path / "new", store.meta)
    for change in ({"config_hash": "other"}, {"weights_hash": "other"}, {"image_root": str(tmp_path)}):
        meta = replace(store.meta, **change)
        if "image_root" in change:
            write_image(tmp_path, "street/a.png")
        with pytest.raises(DataError, match="its predictions were made with"):
            refine_store(store, shrunk, tmp_path / "new", meta)


def test_what_a_store_is_known_by(scene, tmp_path):
    from sam_masks.refined_meta import refined_meta

    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    store = scene(detections(boxes_of([2, 3, 20, 12])))
    usual = refined_meta(store, weights, MaskOptions(), RefineOptions(), None)
    assert (usual.image_root, usual.categories) == (store.meta.image_root, store.meta.categories)
    assert usual == refined_meta(store, weights, MaskOptions(batch=3), RefineOptions(), None)
    for masks, options in (
        (MaskOptions(multimask=False), RefineOptions()),
        (MaskOptions(mask_thresh=1.0), RefineOptions()),
        (MaskOptions(), RefineOptions(score_thresh=0.5)),
        (MaskOptions(), RefineOptions(boxes_from_masks=True)),
    ):
        other = refined_meta(store, weights, masks, options, None)
        assert (other.config_hash != usual.config_hash, other.weights_hash) == (True, usual.weights_hash)
    (weights / "config.json").write_text("{ }")
    assert refined_meta(store, weights, MaskOptions(), RefineOptions(), None).weights_hash != usual.weights_hash


# ---- what cannot be refined ----------------------------------------------------------------------------------------


def test_a_store_without_images_or_instances_is_refused(tmp_path):
    empty = write_store(tmp_path / "empty", [], tmp_path)
    with pytest.raises(DataError, match="empty: no image was predicted"):
        check_store(empty, RefineOptions())
    stuff = PredictedImage("a.png", HEIGHT, WIDTH, stuff_map=np.zeros((HEIGHT, WIDTH), np.uint16))
    with pytest.raises(DataError, match="'a.png' has no detections, so no boxes to ask about"):
        check_store(write_store(tmp_path / "stuff", [stuff], tmp_path), RefineOptions())


def test_an_image_that_is_missing_or_another_is_refused(scene, tmp_path):
    store = scene(detections(boxes_of([2, 3, 20, 12])))
    path = tmp_path / "images/street/a.png"
    path.unlink()
    with pytest.raises(DataError, match=r"there is no image at .*street/a.png, of which .* has instances: give --imag"):
        refine_store(store, shrunk, tmp_path / "new", store.meta)
    with pytest.raises(DataError, match="does not know where its images are: give --images"):
        image_paths(store, replace(store.meta, image_root=None))
    from PIL import Image

    Image.new("RGB", (WIDTH, HEIGHT - 1)).save(path)
    with pytest.raises(DataError, match="is 40 x 29, and the store's 'street/a.png' 40 x 30"):
        refine_store(store, shrunk, tmp_path / "new", store.meta)


def test_an_image_that_has_changed_since_is_refused(scene, tmp_path):
    from thingstuff.data.fingerprint import fingerprint

    source = fingerprint(write_image(tmp_path / "images", "street/a.png", seed=1))
    store = scene(detections(boxes_of([2, 3, 20, 12])), source=source)
    with pytest.raises(DataError, match="has changed since it was predicted"):
        refine_store(store, shrunk, tmp_path / "new", store.meta)


def test_frames_of_videos_are_refused(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"x")
    frame = PredictedImage("clip.mp4/000001", HEIGHT, WIDTH, None, detections(boxes_of([2, 3, 20, 12])))
    store = write_store(tmp_path / "store", [frame], tmp_path)
    with pytest.raises(DataError, match="is a frame of a video"):
        image_paths(store, store.meta)
