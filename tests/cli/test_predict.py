"""`tools/predict.py`: what it writes, what it continues, and what it says about bad inputs."""

import json
import shutil

import cv2
import numpy as np
import pytest
from helpers import assert_one_line

from thingstuff.data.video import VideoReader, VideoWriter
from thingstuff.merge import Ledger
from thingstuff.store import Store
from thingstuff.structures import Categories, PanopticMap

MASK = "thingstuff://shapes/mask_rcnn.yaml"
MERGED = "thingstuff://shapes/things_and_stuff.yaml"


@pytest.fixture
def photos(small_shapes, tmp_path):
    """Two folders with two files of the same name."""
    folder = tmp_path / "photos"
    for name, number in (("north/a.png", 1), ("south/a.png", 2)):
        (folder / name).parent.mkdir(parents=True)
        shutil.copy(small_shapes / "val" / f"{number:06d}.png", folder / name)
    return folder


@pytest.fixture
def predict(run_tool, sharp_weights, tmp_path):
    """A function: inputs and options -> (exit code, standard output, standard error); output in tmp_path/out."""

    def run(inputs, *options, recipe=MASK, opts=()):
        inputs = inputs if isinstance(inputs, list | tuple) else [inputs]
        fixed = ("--weights", sharp_weights["mask"], "--output", tmp_path / "out", "--score-thresh", "0.2")
        stuff = ("--stuff-weights", sharp_weights["semantic"]) if recipe == MERGED else ()
        tail = ("--opts", "MODEL.DEVICE", "cpu", *opts)
        return run_tool("predict", "--config-file", recipe, "--input", *inputs, *fixed, *stuff, *options, *tail)

    return run


def stored(tmp_path, name="images"):
    return Store.open(tmp_path / "out" / "predictions" / name)


def write_video(path, frames, fps=12.5):
    with VideoWriter(path, fps, *frames[0].shape[:2]) as writer:
        for frame in frames:
            writer.write(frame)


def sliding(small_shapes, count):
    """Frames of a window that moves over an image by 4 pixels each."""
    wide = np.concatenate([cv2.imread(str(small_shapes / "val" / f"{n:06d}.png")) for n in (1, 2)], axis=1)
    return [np.ascontiguousarray(wide[:, 4 * i : 4 * i + 160]) for i in range(count)]


def test_images_of_the_same_name_in_two_folders_stay_apart(predict, photos, tmp_path):
    code, out, error = predict(photos)
    assert code == 0, error
    assert stored(tmp_path).keys() == ("north/a.png", "south/a.png")
    for key in ("north/a.png", "south/a.png"):
        drawn = cv2.imread(str(tmp_path / "out/overlays/instance" / key))
        assert drawn.shape[0] == drawn.shape[1] >= 160
        plain = cv2.resize(cv2.imread(str(photos / key)), drawn.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        assert np.abs(drawn.astype(int) - plain).mean() > 1
    assert "2 predicted" in out


def test_the_store_holds_what_the_model_finds(predict, photos, sharp_weights, tmp_path):
    import thingstuff

    predict(photos / "north/a.png", recipe=MERGED)
    image = stored(tmp_path)["a.png"]
    overrides = ["PANOPTIC.STUFF_WEIGHTS", str(sharp_weights["semantic"])]
    model = thingstuff.load(MERGED, sharp_weights["mask"], device="cpu", overrides=overrides)
    result = model(photos / "north/a.png")
    assert np.array_equal(image.detections.scores, result.scores)
    assert np.array_equal(image.detections.masks.to_bitmaps(), result.masks.to_bitmaps())
    assert np.array_equal(image.stuff_map, result.stuff_map)
    panoptic, ledger = result.panoptic
    assert np.array_equal(image.panoptic.ids, panoptic.ids)
    assert image.panoptic.segments == panoptic.segments
    assert Ledger.from_records(image.ledger) == ledger


def test_views_side_by_side_counts_cutouts_and_exports(predict, photos, tmp_path):
    exports = [part for name in ("coco", "coco_panoptic", "labelme", "cvat", "fiftyone") for part in ("--export", name)]
    views = ("--view", "instance", "--view", "panoptic", "--side-by-side")
    code, out, error = predict(photos, *views, "--counts", "--cutouts", *exports, recipe=MERGED)
    assert code == 0, error
    folder = tmp_path / "out"
    wide = cv2.imread(str(folder / "overlays/side_by_side/north/a.png"))
    assert wide.shape[1] > 3 * 160
    north = stored(tmp_path)["north/a.png"].detections.above(0.2)
    assert len(list((folder / "cutouts/north/a.png").glob("*.png"))) == sum(a > 0 for a in north.masks.areas_px())
    table = (folder / "counts.csv").read_text().splitlines()
    assert table[0] == "image,disc,square,triangle,star,cross,heart,total"
    assert table[1].startswith("north/a.png,")
    assert table[1].endswith(f",{len(north)}")
    assert table[1].split(",")[-1] in out
    assert json.loads((folder / "exports/coco/coco_results.json").read_text())
    panoptic = json.loads((folder / "exports/coco_panoptic/panoptic.json").read_text())
    categories = Categories.from_coco(panoptic["categories"])
    for note in panoptic["annotations"]:
        PanopticMap.read_coco(
            folder / "exports/coco_panoptic/panoptic" / note["file_name"], note["segments_info"], categories
        )
    assert (folder / "exports/labelme/north/a.json").exists()
    assert (folder / "exports/cvat/annotations.xml").exists()
    assert (folder / "exports/fiftyone/data/north/a.png").samefile(photos / "north/a.png")


def test_a_second_run_predicts_nothing_and_draws_what_is_new(predict, photos, tmp_path, monkeypatch):
    predict(photos)
    lines = (tmp_path / "out/predictions/images/predictions-00000.jsonl").read_bytes()
    drawn = tmp_path / "out/overlays/instance/north/a.png"
    before = drawn.stat().st_mtime_ns
    monkeypatch.setattr("thingstuff.engine.predictor.Predictor.__call__", None)  # any prediction would fail
    code, out, error = predict(photos, "--view", "instance")
    assert code == 0, error
    assert "0 predicted, 2 already there" in out
    assert drawn.stat().st_mtime_ns > before, "the way of drawing was stated anew"
    before = drawn.stat().st_mtime_ns
    predict(photos, "--view", "instance")
    assert drawn.stat().st_mtime_ns == before
    predict(photos, "--view", "box")
    assert (tmp_path / "out/overlays/box/south/a.png").exists()
    assert (tmp_path / "out/predictions/images/predictions-00000.jsonl").read_bytes() == lines


def test_more_inputs_join_and_other_models_are_refused(predict, photos, small_shapes, tmp_path):
    predict(photos)
    shutil.copy(small_shapes / "val/000003.png", photos / "new.png")
    code, out, _ = predict(photos)
    assert (code, "1 predicted, 2 already there" in out) == (0, True)
    code, _, error = predict(photos, opts=("MODEL.ROI_HEADS.NMS_THRESH_TEST", "0.3"))
    assert code == 2
    assert_one_line(error, "another config", "another output folder")
    code, _, error = predict(photos / "north")
    assert code == 2
    assert_one_line(error, "another image root")


def test_what_an_earlier_run_wrote_is_no_input(predict, photos, tmp_path):
    predict(photos)
    shutil.move(tmp_path / "out", photos / "earlier")
    code, out, error = predict(photos)
    assert code == 0, error
    assert "2 predicted" in out
    shutil.move(photos / "north", tmp_path / "out/north")
    code, _, error = predict(tmp_path / "out/north")
    assert code == 2
    assert_one_line(error, "all inputs lie in --output")


def test_an_image_that_changed_is_not_taken_for_the_one_before(predict, photos, small_shapes, tmp_path):
    predict(photos)
    shutil.copy(small_shapes / "val/000003.png", photos / "north/a.png")
    code, _, error = predict(photos)
    assert code == 2
    assert_one_line(error, "north/a.png has changed since it was predicted")
    code, out, _ = predict(photos, "--on-bad-image", "skip")
    assert (code, "0 predicted, 1 already there, 1 skipped" in out) == (0, True)


def test_two_data_sets_need_two_folders(predict, photos, small_shapes):
    predict("shapes_val", "--no-overlays")
    code, _, error = predict(photos)
    assert code == 2
    assert_one_line(error, "has predictions of shapes_val", "another --output")


def test_the_merge_is_summed_up(predict, photos):
    _, out, _ = predict(photos, recipe=MERGED)
    assert "instances: " in out
    assert "stuff regions: " in out


def test_labelme_files_stay_and_new_ones_join(predict, photos, small_shapes, tmp_path):
    assert predict(photos, "--export", "labelme")[0] == 0
    corrected = tmp_path / "out/exports/labelme/north/a.json"
    assert json.loads(corrected.read_text())["shapes"]
    corrected.write_text("corrected")
    shutil.copy(small_shapes / "val/000003.png", photos / "new.png")
    code, _, error = predict(photos, "--export", "labelme", "--export", "coco")
    assert code == 0, error
    assert corrected.read_text() == "corrected"
    assert (tmp_path / "out/exports/labelme/new.json").exists()
    assert (tmp_path / "out/exports/coco/coco_results.json").exists()
    predict(photos, "--export", "labelme", "--overwrite")
    assert json.loads(corrected.read_text())["imageWidth"] == 160


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--stuff-weights", "some.pth"), ("--stuff-weights is for a second model",)),
        (("--export", "coco_panoptic"), ("--export coco_panoptic needs a panoptic map",)),
        (("--output", "/proc/nowhere"), ("cannot write to --output /proc/nowhere",)),
    ],
)
def test_what_cannot_be_done_is_refused_early(predict, photos, tmp_path, options, words):
    code, _, error = predict(photos, *options)
    assert code == 2
    assert_one_line(error, *words)
    assert not list((tmp_path / "out").rglob("a.png"))


def test_a_model_that_finds_nothing_has_no_detections_and_not_no_knowledge_of_them(run_tool, photos, tmp_path):
    import torch
    from detectron2.modeling import build_model

    from thingstuff.config import load_config

    recipe = "thingstuff://shapes/panoptic_deeplab.yaml"
    torch.manual_seed(0)
    torch.save({"model": build_model(load_config(recipe, ["MODEL.DEVICE", "cpu"])).state_dict()}, tmp_path / "w.pth")
    command = ("predict", "--config-file", recipe, "--weights", tmp_path / "w.pth", "--input", photos, "--output")
    opts = ("--opts", "MODEL.DEVICE", "cpu", "MODEL.PANOPTIC_DEEPLAB.CENTER_THRESHOLD", "1e9")
    code, _, error = run_tool(*command, tmp_path / "out", "--view", "instance", "--export", "coco", *opts)
    assert code == 0, error
    assert all(len(image.detections) == 0 for image in stored(tmp_path))


class TestBadImages:
    @pytest.fixture
    def mixed(self, photos):
        """In the order of their keys: good, corrupt, empty, truncated, text with an image's name, good; and a note."""
        good = (photos / "north/a.png").read_bytes()
        (photos / "p_corrupt.png").write_bytes(good[:200] + b"\0" * 50 + good[250:])
        (photos / "q_empty.jpg").write_bytes(b"")
        (photos / "r_truncated.png").write_bytes(good[: len(good) // 2])
        (photos / "s_text.jpg").write_text("no picture")
        (photos / "notes.txt").write_text("not an input")
        return photos

    def test_fail_stops_at_the_first_and_keeps_what_there_is(self, predict, mixed, tmp_path):
        code, _, error = predict(mixed)
        assert code == 2
        assert_one_line(error, "p_corrupt.png", "--on-bad-image skip")
        assert stored(tmp_path).keys() == ("north/a.png",)

    def test_skip_names_each_and_does_the_rest(self, predict, mixed, tmp_path):
        predict(mixed)
        code, out, error = predict(mixed, "--on-bad-image", "skip")
        assert code == 0, error
        assert stored(tmp_path).keys() == ("north/a.png", "south/a.png")
        assert "1 predicted, 1 already there, 4 skipped" in out
        for name in ("p_corrupt.png", "q_empty.jpg", "r_truncated.png", "s_text.jpg"):
            assert f"skipped {name}: " in out

    def test_a_mended_image_is_predicted_by_the_next_run(self, predict, mixed, tmp_path):
        predict(mixed, "--on-bad-image", "skip")
        shutil.copy(mixed / "north/a.png", mixed / "p_corrupt.png")
        _, out, _ = predict(mixed, "--on-bad-image", "skip")
        assert "1 predicted, 2 already there, 3 skipped" in out

    def test_every_kind_of_pixel_is_read(self, predict, photos, tmp_path):
        from PIL import Image

        image = Image.open(photos / "north/a.png").convert("RGB")
        image.convert("L").save(photos / "grey.png")
        image.convert("CMYK").save(photos / "cmyk.jpg")
        image.convert("RGBA").save(photos / "rgba.png")
        grey16 = np.asarray(image.convert("L")).astype(np.uint16) * 257
        cv2.imwrite(str(photos / "deep.png"), grey16)
        exif = Image.Exif()
        exif[0x0112] = 6  # turn by 90 degrees
        image.crop((0, 0, 160, 100)).save(photos / "turned.jpg", exif=exif)
        code, _, error = predict(photos)
        assert code == 0, error
        sizes = {e.key: (e.height, e.width) for e in stored(tmp_path).entries}
        assert sizes["turned.jpg"] == (160, 100)
        assert len(sizes) == 7
        assert np.array_equal(
            stored(tmp_path)["grey.png"].detections.scores, stored(tmp_path)["deep.png"].detections.scores
        )


class TestVideo:
    def test_same_rate_and_length_and_lasting_ids(self, predict, small_shapes, tmp_path):
        write_video(tmp_path / "clip.mp4", sliding(small_shapes, 10))
        code, out, error = predict(tmp_path / "clip.mp4", "--view", "panoptic", recipe=MERGED)
        assert code == 0, error
        with VideoReader(tmp_path / "out/videos/panoptic/clip.mp4") as drawn:
            assert drawn.fps == pytest.approx(12.5)
            assert len(list(drawn)) == 10
        assert stored(tmp_path).keys() == tuple(f"clip.mp4/{n:06d}" for n in range(10))
        assert "10 predicted" in out

    def test_an_interrupted_video_goes_on_with_the_frames_that_lack(self, predict, small_shapes, tmp_path, monkeypatch):
        from thingstuff.engine.predictor import Predictor

        write_video(tmp_path / "clip.mp4", sliding(small_shapes, 6))
        original, calls = Predictor.__call__, []

        def stop_at_the_fourth(self, *args):
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return original(self, *args)

        monkeypatch.setattr(Predictor, "__call__", stop_at_the_fourth)
        code, _, _ = predict(tmp_path / "clip.mp4")
        assert code == 130
        assert not (tmp_path / "out/videos").exists() or not list((tmp_path / "out/videos").rglob("*.mp4"))
        code, out, _ = predict(tmp_path / "clip.mp4")
        assert code == 0
        assert "3 predicted, 3 already there" in out
        with VideoReader(tmp_path / "out/videos/instance/clip.mp4") as drawn:
            assert len(list(drawn)) == 6

    def test_a_video_that_changed_is_not_taken_for_the_one_before(self, predict, small_shapes, tmp_path):
        write_video(tmp_path / "clip.mp4", sliding(small_shapes, 3))
        predict(tmp_path / "clip.mp4")
        _, out, _ = predict(tmp_path / "clip.mp4")
        assert "0 predicted, 3 already there" in out
        write_video(tmp_path / "clip.mp4", sliding(small_shapes, 5)[2:])
        code, _, error = predict(tmp_path / "clip.mp4")
        assert code == 2
        assert_one_line(error, "clip.mp4 has changed since it was predicted")

    @pytest.mark.parametrize(("option", "code"), [((), 2), (("--on-bad-image", "skip"), 0)])
    def test_of_a_video_cut_short_what_was_readable_is_stored(self, predict, small_shapes, tmp_path, option, code):
        whole = tmp_path / "clip.avi"
        write_video(whole, sliding(small_shapes, 12))
        whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        found, out, error = predict(whole, "--no-overlays", *option)
        assert found == code
        text = out if code == 0 else error
        readable = len(stored(tmp_path).keys())
        assert 0 < readable < 12
        assert f"breaks off after {readable} of 12 frames" in text

    def test_a_broken_video_is_skipped_or_named(self, predict, photos, tmp_path):
        (photos / "clip.mp4").write_bytes(b"no video")
        code, _, error = predict(photos)
        assert code == 2
        assert_one_line(error, "clip.mp4")
        code, out, _ = predict(photos, "--on-bad-image", "skip")
        assert code == 0
        assert "skipped clip.mp4" in out


def test_a_data_set_keeps_its_image_ids(predict, small_shapes, tmp_path):
    code, _, error = predict("shapes_val", "--no-overlays", "--export", "coco")
    assert code == 0, error
    assert len(stored(tmp_path, "shapes_val")) == 6
    truth = json.loads((small_shapes / "annotations/instances_val.json").read_text())
    results = json.loads((tmp_path / "out/exports/coco/coco_results.json").read_text())
    assert {r["image_id"] for r in results} <= {image["id"] for image in truth["images"]}
    assert not (tmp_path / "out/overlays").exists()


def test_exports_of_a_data_set_score_what_train_net_prints(predict, run_tool, sharp_weights, small_shapes, tmp_path):
    from thingstuff.evaluation import evaluate_coco, evaluate_panoptic

    exports = ("--no-overlays", "--export", "coco", "--export", "coco_panoptic")
    folder = small_shapes / "stuff_val"
    true_stuff = ("PANOPTIC.ENABLED", "True", "PANOPTIC.STUFF", "files", "PANOPTIC.STUFF_DIR", folder)
    assert predict("shapes_val", *exports, opts=true_stuff)[0] == 0
    options = ("MODEL.DEVICE", "cpu", "TEST.PICTURES", "0", "OUTPUT_DIR", tmp_path / "run", *true_stuff)
    weights = ("MODEL.WEIGHTS", sharp_weights["mask"])
    code, _, error = run_tool("train_net", "--config-file", MASK, "--eval-only", *options, *weights)
    assert code == 0, error
    printed = json.loads((tmp_path / "run/inference/results.json").read_text())["results"]["shapes_val"]
    truth, folder = small_shapes / "annotations", tmp_path / "out/exports"
    records = json.loads((folder / "coco/coco_results.json").read_text())
    boxes = [{key: value for key, value in record.items() if key != "segmentation"} for record in records]
    found = evaluate_coco(truth / "instances_val.json", boxes, "bbox").percent()
    assert found["AP50"] == printed["bbox"]["AP50"]
    panoptic = (truth / "panoptic_val.json", folder / "coco_panoptic/panoptic.json", small_shapes / "panoptic_val")
    assert evaluate_panoptic(*panoptic).percent()["PQ"] == printed["panoptic_seg"]["PQ"]
    assert printed["panoptic_seg"]["PQ_st"] > 10


def test_a_view_that_the_model_has_not_is_refused(predict, photos):
    code, _, error = predict(photos, "--view", "panoptic")
    assert code == 2
    assert_one_line(error, "panoptic")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("absent.jpg", ("absent.jpg",)),
        ("shapes_vall", ("did you mean the data set shapes_val?",)),
        ("https://a.b/c.jpg", ("fetch it first",)),
        ("*.absent", ("*.absent",)),
        (["shapes_val", "more"], ("shapes_val is a data set",)),
    ],
)
def test_inputs_that_are_none(predict, small_shapes, inputs, words):
    code, _, error = predict(inputs)
    assert code == 2
    assert_one_line(error, *words)


def test_label_maps_as_stuff(predict, small_shapes, photos, tmp_path):
    labels = tmp_path / "labels"
    (labels / "north").mkdir(parents=True)
    shutil.copy(small_shapes / "stuff_val/000001.png", labels / "north/a.png")
    opts = ("PANOPTIC.ENABLED", "True", "PANOPTIC.STUFF", "files", "PANOPTIC.STUFF_DIR", str(labels))
    code, out, error = predict(photos, "--on-bad-image", "skip", opts=opts)
    assert code == 0, error
    assert "1 predicted, 1 skipped" in out
    assert "skipped south/a.png: no label map" in out
    truth = cv2.imread(str(labels / "north/a.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(stored(tmp_path)["north/a.png"].stuff_map == 1, truth == 1)
