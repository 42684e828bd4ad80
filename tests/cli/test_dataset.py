"""`tools/dataset.py`: each command once as a user would, and what it says when it cannot."""

from __future__ import annotations

import json
import shutil

import cv2
import pytest
from helpers import assert_one_line

from thingstuff.evaluation import CocoPanoptic, evaluate_panoptic


@pytest.fixture
def damaged(small_shapes, tmp_path):
    """`shapes_val` as a COCO file with an unknown category and a box beyond its image, and the folder of its images."""
    content = json.loads((small_shapes / "annotations/instances_val.json").read_text())
    content["annotations"][0]["image_id"] = 10**6
    content["annotations"][1]["bbox"] = [0, 0, 500, 10]
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(content))
    return path, small_shapes / "val"


def test_a_sound_set_has_no_findings(run_tool, small_shapes):
    code, out, error = run_tool("dataset", "check", "shapes")
    assert code == 0, error
    assert "sound: looked for 67 kinds of mistakes in train, val, and found none" in out


def test_mistakes_are_listed_with_their_mend_and_exit_1(run_tool, damaged, tmp_path):
    path, images = damaged
    findings = tmp_path / "found.json"
    code, out, error = run_tool("dataset", "check", path, "--images", images, "--quick", "--json", findings)
    assert code == 1, error
    record = json.loads(findings.read_text())
    assert {one["code"]: one["count"] for one in record["findings"] if one["severity"] == "error"} == {
        "annotation-unknown-image": 1
    }
    example = next(one for one in record["findings"] if one["code"] == "annotation-unknown-image")["examples"][0]
    assert "annotations[0]" in example["place"]
    assert "1000000" in example["message"]
    assert "leave the annotation out (--fix does it)" in out
    assert (record["errors"], record["quick"]) == (1, True)


def test_fix_writes_a_mended_copy_that_is_sound(run_tool, damaged, tmp_path):
    path, images = damaged
    before = path.read_bytes()
    code, out, error = run_tool("dataset", "check", path, "--images", images, "--fix", tmp_path / "mended")
    assert code == 1, error
    assert path.read_bytes() == before
    mended = tmp_path / "mended/data/annotations.json"
    assert str(mended) in out
    code, out, error = run_tool("dataset", "check", tmp_path / "mended/damaged.yaml")  # which finds the images, too
    assert code == 0, out
    count = len(json.loads(before)["annotations"])
    assert len(json.loads(mended.read_text())["annotations"]) == count - 1
    code, _, error = run_tool("dataset", "check", path, "--images", images, "--fix", tmp_path / "mended")
    assert code == 2
    assert_one_line(error, "there is something already: give a new folder")


def test_class_counts_of_a_config_are_compared(run_tool, small_shapes):
    config = "thingstuff://coco/mask_rcnn_R_50_FPN_3x.yaml"
    code, out, error = run_tool("dataset", "check", "shapes_val", "--quick", "--config-file", config)
    assert code == 1, error
    assert "class-count" in out
    assert "MODEL.ROI_HEADS.NUM_CLASSES" in out


def test_convert_there_and_back(run_tool, small_shapes, tmp_path):
    code, out, error = run_tool("dataset", "convert", "shapes_val", "--to", "cvat", "--output", tmp_path / "cvat")
    assert code == 0, error
    written = tmp_path / "cvat/shapes_val"
    assert str(written) in out
    assert "declared" in out
    back = ("convert", tmp_path / "cvat/shapes_val.yaml", "--to", "coco", "--output", tmp_path / "coco")
    code, _, error = run_tool("dataset", *back)
    assert code == 0, error
    truth = json.loads((small_shapes / "annotations/instances_val.json").read_text())
    found = json.loads((tmp_path / "coco/shapes_val/annotations.json").read_text())
    assert sorted(a["area"] for a in found["annotations"]) == sorted(a["area"] for a in truth["annotations"])
    code, _, error = run_tool("dataset", *back)
    assert code == 2
    assert_one_line(error, "there is something already", "give a new folder")
    code, _, error = run_tool("dataset", "convert", "shapes_val", "--to", "pascal", "--output", tmp_path / "x")
    assert code == 2
    assert_one_line(error, "pascal", "choose one of coco_panoptic, fiftyone, lvis, coco")


def test_split_and_merge_keep_every_image_once(run_tool, small_shapes, tmp_path):
    code, _, error = run_tool(
        "dataset", "split", "shapes_train", "--shares", "a=0.5", "b=0.5", "--output", tmp_path / "parts"
    )
    assert code == 0, error
    parts = [json.loads((tmp_path / f"parts/{name}/annotations.json").read_text()) for name in "ab"]
    names = [{image["file_name"] for image in part["images"]} for part in parts]
    assert len(names[0]) == len(names[1]) == 4
    assert not names[0] & names[1]
    declaration = "annotations: parts/{split}/annotations.json\nimages: " + str(small_shapes / "train")
    (tmp_path / "parts.yaml").write_text(f"{declaration}\nsplits: [a, b]\n")
    code, _, error = run_tool("dataset", "merge", tmp_path / "parts.yaml", "shapes_val", "--output", tmp_path / "all")
    assert code == 0, error
    merged = json.loads((tmp_path / "all/data/annotations.json").read_text())
    assert len(merged["images"]) == 8 + 6
    assert len({image["id"] for image in merged["images"]}) == 14
    code, _, error = run_tool("dataset", "split", "shapes_val", "--shares", "a", "--output", tmp_path / "x")
    assert code == 2
    assert_one_line(error, "expected NAME=SHARE such as train=0.8, got a")


def test_what_a_format_has_no_place_for_is_said(run_tool, damaged, tmp_path):
    path, images = damaged
    content = json.loads(path.read_text())
    content["annotations"][2:] = [note | {"keypoints": [1, 1, 2], "iscrowd": 1} for note in content["annotations"][2:5]]
    content["annotations"] = content["annotations"][2:]
    path.write_text(json.dumps(content))
    data = (path, "--images", images)
    code, out, error = run_tool("dataset", "convert", *data, "--to", "id_masks", "--output", tmp_path / "masks")
    assert code == 0, error
    assert "id_masks has no place for marks of crowds (3), keypoints (3): left out" in out
    code, out, error = run_tool("dataset", "convert", *data, "--to", "coco", "--output", tmp_path / "coco")
    assert code == 0, error
    assert "no place" not in out


def test_splits_of_any_truth_are_written_with_their_images(run_tool, small_shapes, tmp_path):
    shares = ("--shares", "a=0.5", "b=0.5", "--copy-images")
    for form, what in (("coco_panoptic", None), ("semantic", "instances"), ("coco", "label maps of stuff")):
        out_folder = tmp_path / form
        code, out, error = run_tool("dataset", "split", "shapes_train", *shares, "--to", form, "--output", out_folder)
        assert code == 0, error
        assert ("no place" in out) == (what is not None)
        assert what is None or f"{form} has no place for {what}" in out
        assert len(list((out_folder / "a/images").iterdir())) == 4
        code, out, error = run_tool("dataset", "check", out_folder / "shapes_train.yaml")
        assert code == 0, out + error


def test_a_merge_may_take_its_images_along(run_tool, small_shapes, tmp_path):
    output = tmp_path / "both"
    code, out, error = run_tool(
        "dataset", "merge", "shapes_train", "shapes_val", "--output", output, "--copy-images", "--to", "labelme"
    )
    assert code == 0, error
    assert "labelme has no place for label maps of stuff (14): left out" in out
    code, out, error = run_tool("dataset", "check", output / "both.yaml")
    assert code == 0, out + error


def test_stats_and_preview_leave_files(run_tool, small_shapes, tmp_path):
    code, out, error = run_tool("dataset", "stats", "shapes", "--output", tmp_path / "stats")
    assert code == 0, error
    assert "train" in out
    stats = json.loads((tmp_path / "stats/stats.json").read_text())
    assert "val" in json.dumps(stats)
    assert "<svg" in (tmp_path / "stats/stats.html").read_text()
    picture = tmp_path / "seen/shapes.png"
    code, out, error = run_tool("dataset", "preview", "shapes_val", "--count", "4", "--output", picture)
    assert code == 0, error
    assert cv2.imread(str(picture)).size > 0


def test_panoptic_truth_of_parts_scores_100_against_itself(run_tool, small_shapes, tmp_path):
    code, out, error = run_tool(
        "dataset", "build-panoptic", "shapes_val", "--policy", "fail", "--output", tmp_path / "panoptic"
    )
    assert code == 0, error
    built = tmp_path / "panoptic/panoptic_shapes_val.json"
    assert f"{built}: 0.0% of the pixels are void" in out
    assert evaluate_panoptic(built, built).numbers["PQ"] == pytest.approx(1)
    given = CocoPanoptic.open(small_shapes / "annotations/panoptic_val.json", small_shapes / "panoptic_val")
    quality = evaluate_panoptic(given.json_path, built, given.folder)
    assert quality.numbers["PQ"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("check", "shapez"), ("shapez", "did you mean shapes")),
        (("check", "no.yaml"), ("there is no declaration of a data set at no.yaml",)),
        (("stats", "empty"), ("empty", "of no format that is known")),
        (("check", "empty", "--format", "cocoa"), ("there is no format 'cocoa'",)),
    ],
)
def test_what_cannot_be_opened_is_one_line(run_tool, small_shapes, tmp_path, monkeypatch, arguments, parts):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("DETECTRON2_DATASETS", str(small_shapes.parent))
    code, _, error = run_tool("dataset", *arguments)
    assert code == 2
    assert_one_line(error, *parts)


def test_swapped_folders_are_told_apart(run_tool, small_shapes, tmp_path):
    """The most common mistake in a declaration: train's file beside val's folder."""
    for split in ("train", "val"):
        shutil.copytree(small_shapes / split, tmp_path / split)
        path = small_shapes / f"annotations/instances_{split}.json"
        content = json.loads(path.read_text())
        for image in content["images"]:
            image["file_name"] = f"{split}_{image['file_name']}"
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
        for image in list((tmp_path / split).iterdir()):
            image.rename(image.with_name(f"{split}_{image.name}"))
    splits = "{train: {annotations: train.json, images: val}, val: {annotations: val.json, images: train}}"
    (tmp_path / "swapped.yaml").write_text(f"splits: {splits}\n")
    code, out, _ = run_tool("dataset", "check", tmp_path / "swapped.yaml", "--quick")
    assert code == 1
    assert "splits-swapped" in out
