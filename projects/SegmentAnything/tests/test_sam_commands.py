"""`refine.py` and `label.py` from the command line, with small SAMs of random weights."""

import json
import sys

import numpy as np
import pytest
from helpers import assert_one_line
from PIL import Image
from sam_cases import FAMILIES, picture, save, small_model
from sam_masks import label_command, refine_command

from thingstuff.store import PredictedImage, Store, StoreMeta, StoreWriter
from thingstuff.structures import Categories, Category, Detections


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Weights by family."""
    return {family: save(small_model(family), tmp_path_factory.mktemp("weights") / family) for family in FAMILIES}


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(picture(50 + number, 70, number)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def store(photos, tmp_path):
    folder = tmp_path / "old/predictions/images"
    meta = StoreMeta("c", "w", Categories((Category(4, "dog"),)), {}, None, str(photos))
    boxes = np.array([[5, 5, 30, 40], [20, 10, 69, 49]], np.float32)
    with StoreWriter.open(folder, meta) as writer:
        for number in range(3):
            found = Detections(
                None, boxes, np.array([0.9, 0.4], np.float32), np.array([4, 4], np.int64), 50 + number, 70
            )
            writer.append(PredictedImage(f"{number}.png", 50 + number, 70, number + 1, found))
    return folder


@pytest.fixture
def call(capsys):
    """A function: command and arguments -> (exit code, standard output, standard error)."""

    def run(command, *arguments):
        try:
            code = command.main([str(a) for a in arguments])
        except SystemExit as stop:
            code = stop.code
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def truth_of(store, folder):
    """The store's boxes as a COCO JSON, with masks that fill them."""
    notes = []
    for image in Store.open(store):
        for x0, y0, x1, y1 in image.detections.boxes_xyxy.tolist():
            corners = [x0, y0, x1, y0, x1, y1, x0, y1]
            shape = {"segmentation": [corners], "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
            own = {"id": len(notes) + 1, "image_id": image.image_id, "category_id": 4, "iscrowd": 0}
            notes.append(own | shape)
    images = [{"id": n + 1, "file_name": f"{n}.png", "width": 70, "height": 50 + n} for n in range(3)]
    content = {"images": images, "categories": [{"id": 4, "name": "dog"}], "annotations": notes}
    path = folder / "truth.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_a_store_is_refined_scored_and_gone_on_with(folders, store, tmp_path, call, family):
    arguments = ("--store", tmp_path / "old", "--model", folders[family], "--output", tmp_path / "new")
    code, out, error = call(refine_command, *arguments, "--truth", truth_of(store, tmp_path), "--device", "cpu")
    assert code == 0, error
    assert "images     3\nrefined    6 instances\n" in out
    assert "mask AP " in out
    new = Store.open(tmp_path / "new/predictions/images")
    assert new.keys() == ("0.png", "1.png", "2.png")
    assert all(image.detections.masks.areas_px().min() > 0 for image in new)
    assert dict(new.meta.versions).keys() >= {"transformers", "torch"}
    code, out, _ = call(refine_command, *arguments)
    assert code == 0
    assert "images     0, 3 already there" in out
    code, _, error = call(refine_command, *arguments, "--single-mask")
    assert code == 2
    assert_one_line(error, "were made with another config")


def test_a_declaration_is_a_truth_too(folders, store, photos, tmp_path, call):
    truth_of(store, tmp_path)
    text = f'name: dogs\nformat: coco\nimages: {photos}\nannotations: "{{split}}.json"\nsplits: [truth]\n'
    (tmp_path / "dogs.yaml").write_text(text + "categories: [dog]\n")
    arguments = ("--store", store, "--model", folders["sam2"], "--output", tmp_path / "new")
    code, out, error = call(refine_command, *arguments, "--truth", tmp_path / "dogs.yaml")
    assert code == 0, error
    assert "dogs_truth\n" in out


def test_images_may_have_moved(folders, store, photos, tmp_path, call):
    photos.rename(tmp_path / "moved")
    arguments = ("--store", store, "--model", folders["sam2"], "--output", tmp_path / "new")
    code, _, error = call(refine_command, *arguments)
    assert code == 2
    assert_one_line(error, "there is no image at", "0.png", "give --images")
    code, _, error = call(refine_command, *arguments, "--images", tmp_path / "moved")
    assert code == 0, error
    assert Store.open(tmp_path / "new/predictions/images").meta.image_root == str(tmp_path / "moved")


@pytest.mark.parametrize("family", FAMILIES)
def test_images_are_labelled_from_boxes_points_and_nothing(folders, store, photos, tmp_path, call, run_tool, family):
    common = ("--images", photos, "--model", folders[family], "--output", tmp_path / "labels.json", "--device", "cpu")
    (tmp_path / "points.csv").write_text("image,class,x,y,label\n0.png,dog,10,20,1\n2.png,cat,30,20,1\n")
    loose = ("--iou-thresh", 0, "--stability-thresh", 0, "--points-per-side", 2)
    for prompts, images in (
        (("--boxes", truth_of(store, tmp_path)), 3),
        (("--points", tmp_path / "points.csv"), 2),
        (("--points", tmp_path / "points.csv", "--single-mask"), 2),
        (loose, 3),
    ):
        code, out, error = call(label_command, *common, *prompts)
        assert code == 0, error
        content = json.loads((tmp_path / "labels.json").read_text())
        assert len(content["images"]) == images
        assert len(content["annotations"]) >= 2
        assert f"{len(content['annotations'])} masks in {images} images" in out
        code, out, error = run_tool("dataset", "check", tmp_path / "labels.json", "--images", photos)
        assert code == 0, out + error


def test_a_failed_labelling_leaves_no_file(folders, photos, tmp_path, call):
    (tmp_path / "points.csv").write_text("image,class,x,y,label\n0.png,dog,10,20,1\n2.png,cat,300,20,1\n")
    arguments = ("--images", photos, "--model", folders["sam"], "--output", tmp_path / "labels.json")
    code, _, error = call(label_command, *arguments, "--points", tmp_path / "points.csv")
    assert code == 2
    assert_one_line(error, "points.csv: line 3: the point 300, 20 is outside of the image")
    assert not (tmp_path / "labels.json").exists()
    (tmp_path / "points.csv").write_text("image,class,x,y,label\n0.png,dog,10,20,1\n2.png,cat,30,20,1\n")
    for _ in range(2):  # other points are another labelling, and a finished one leaves nothing behind
        code, out, error = call(label_command, *arguments, "--points", tmp_path / "points.csv")
        assert code == 0, error
        assert "earlier" not in out
    assert not (tmp_path / "labels.json.partial").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--store", "nowhere"), "there is no store at nowhere"),
        (("--batch", "0"), "--batch must be 1 or more, got 0"),
        (("--mask-thresh", "nan"), "--mask-thresh must be a number"),
        (("--score-thresh", "1.5"), "--score-thresh must be from 0 to 1, got 1.5"),
        (("--score-thresh", "0.5"), "has boxes without masks"),
        (("--images", "nowhere"), "--images: there is no folder nowhere"),
        (("--model", "nowhere"), "there is no folder of weights at nowhere"),
        (("--truth", "no_such_data"), "no_such_data"),
        (("--device", "cuda:99"), "cannot compute on the device cuda:99"),
        (("--output", "SAME"), "is where the store lies that is to be refined"),
    ],
)
def test_what_cannot_be_refined_is_one_line(folders, store, tmp_path, call, arguments, said):
    given = {"--store": store, "--model": folders["sam2"], "--output": tmp_path / "new"}
    given |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    if given["--output"] == "SAME":
        given["--output"] = tmp_path / "old"
    code, _, error = call(refine_command, *[part for pair in given.items() for part in pair])
    assert code == 2
    assert_one_line(error, said)


def test_a_truth_of_other_images_is_one_line(folders, store, tmp_path, call):
    content = json.loads(truth_of(store, tmp_path).read_text())
    content["images"] = [image | {"id": image["id"] + 50} for image in content["images"]]
    content["annotations"] = [a | {"image_id": a["image_id"] + 50} for a in content["annotations"]]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    arguments = ("--store", store, "--model", folders["sam2"], "--output", tmp_path / "new")
    code, _, error = call(refine_command, *arguments, "--truth", tmp_path / "truth.json")
    assert code == 2
    assert_one_line(error, "image")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--images", "nowhere"), "--images: there is no folder nowhere"),
        (("--output", "labels.txt"), "must be a file that ends in .json"),
        (("--points-per-side", "0"), "--points-per-side must be 1 or more, got 0"),
        (("--iou-thresh", "2"), "--iou-thresh must be from 0 to 1, got 2"),
        (("--single-mask",), "--single-mask is for boxes and points"),
        (("--points", "p.csv", "--nms-thresh", "0.5"), "--nms-thresh is for labelling without boxes and points"),
        (("--points", "p.csv"), "p.csv: cannot be read: No such file or directory"),
        (("--boxes", "b.json"), "b.json: cannot be read: No such file or directory"),
        (("--boxes", "b.json", "--points", "p.csv"), "not allowed with argument"),
        (("--model", "nowhere"), "there is no folder of weights at nowhere"),
    ],
)
def test_what_cannot_be_labelled_is_one_line(folders, photos, tmp_path, call, arguments, said):
    given = ("--images", photos, "--model", folders["sam2"], "--output", tmp_path / "labels.json", *arguments)
    code, _, error = call(label_command, *given)
    assert code == 2
    assert_one_line(error, said)


def test_prompts_are_not_overwritten(folders, photos, store, tmp_path, call):
    path = truth_of(store, tmp_path)
    given = ("--images", photos, "--model", folders["sam2"], "--output", path, "--boxes", path)
    code, _, error = call(label_command, *given)
    assert code == 2
    assert_one_line(error, "would replace the file of prompts")


def test_a_folder_without_images_is_one_line(folders, tmp_path, call):
    (tmp_path / "none").mkdir()
    given = ("--images", tmp_path / "none", "--model", folders["sam2"], "--output", tmp_path / "labels.json")
    code, _, error = call(label_command, *given)
    assert code == 2
    assert_one_line(error, "no image or video in")


@pytest.mark.parametrize("command", [refine_command, label_command])
def test_without_the_extra_one_line_names_it(monkeypatch, store, photos, tmp_path, call, command):
    monkeypatch.setitem(sys.modules, "transformers", None)
    own = ("--store", store) if command is refine_command else ("--images", photos)
    code, _, error = call(command, *own, "--model", tmp_path, "--output", tmp_path / "new.json")
    assert code == 2
    assert_one_line(error, "pip install 'thingstuff[sam]'")
