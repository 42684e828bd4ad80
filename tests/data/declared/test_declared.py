"""Declared data sets end to end: read, checked, prepared, registered, and a config that fits them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from helpers import TINY

from thingstuff.config import load_config
from thingstuff.data.declared.declaration import read_declaration
from thingstuff.data.declared.declare import declare, register_declared
from thingstuff.data.declared.prepared import prepare
from thingstuff.data.declared.read import read_declared
from thingstuff.errors import ConfigError, DataError
from thingstuff.evaluation import CocoPanoptic


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("THINGSTUFF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def write(tmp_path, request):
    """A function: YAML text -> its file, under a name that no other test registers."""

    def write_yaml(text):
        path = tmp_path / f"set_{abs(hash(request.node.nodeid)) % 10**9}.yaml"
        path.write_text(text)
        return path

    return write_yaml


@pytest.fixture
def as_coco(small_shapes, write):
    """The embedded set, declared from its files in COCO's formats."""
    return write(f"""
root: {small_shapes}
splits: [train, val]
images: "{{split}}"
instances: {{format: coco, annotations: "annotations/instances_{{split}}.json"}}
stuff:
  format: semantic
  annotations: "stuff_{{split}}"
  labels: {{0: null, 1: sky, 2: grass, 3: water, 4: sand}}
panoptic: {{format: coco_panoptic, annotations: "annotations/panoptic_{{split}}.json", folder: "panoptic_{{split}}"}}
""")


def plain(records):
    """Without what differs by how a mask is written."""
    return [
        {
            "file_name": Path(r["file_name"]).name,
            "size": (r["height"], r["width"]),
            "notes": [(n["category_id"], n["bbox"], n["iscrowd"]) for n in r["annotations"]],
            "stuff": cv2.imread(r["sem_seg_file_name"], cv2.IMREAD_UNCHANGED).tolist(),
        }
        for r in records
    ]


class TestAsShapes:
    """The embedded data set, registered by hand and declared, is the same."""

    def test_records_and_metadata_are_the_same(self, as_coco, small_shapes):
        from thingstuff.data.catalog import register_shapes

        register_shapes()
        names = register_declared([as_coco])
        assert [name.rpartition("_")[2] for name in names] == ["train", "val"]
        for name, own in zip(names, ("shapes_train", "shapes_val"), strict=True):
            assert plain(DatasetCatalog.get(name)) == plain(DatasetCatalog.get(own))
            found, expected = MetadataCatalog.get(name), MetadataCatalog.get(own)
            for key in (
                "thing_classes",
                "thing_dataset_id_to_contiguous_id",
                "stuff_classes",
                "stuff_dataset_id_to_contiguous_id",
                "evaluator_type",
            ):
                assert found.get(key) == expected.get(key), key
            standard = DatasetCatalog.get(f"{name}_standard")
            assert [r["segments_info"] for r in standard] == [
                r["segments_info"] for r in DatasetCatalog.get(f"{own}_standard")
            ]

    def test_files_that_are_right_are_used_as_they_are(self, as_coco, small_shapes):
        prepared = prepare(read_declaration(as_coco))
        split = prepared.splits["val"]
        assert split.json_file == str(small_shapes / "annotations/instances_val.json")
        assert split.panoptic_json == str(small_shapes / "annotations/panoptic_val.json")
        assert all(Path(path).parent == small_shapes / "stuff_val" for path in split.stuff_files().values())

    def test_panoptic_files_alone_give_all_three_truths(self, write, small_shapes):
        path = write(f"""
root: {small_shapes}
splits: [val]
format: coco_panoptic
annotations: "annotations/panoptic_{{split}}.json"
images: "{{split}}"
folder: "panoptic_{{split}}"
""")
        (name,) = register_declared([path])
        from thingstuff.data.catalog import register_shapes

        register_shapes()
        found, expected = plain(DatasetCatalog.get(name)), plain(DatasetCatalog.get("shapes_val"))
        assert [r["stuff"] for r in found] == [r["stuff"] for r in expected]
        assert [sorted(n[0] for n in r["notes"]) for r in found] == [sorted(n[0] for n in r["notes"]) for r in expected]

    def test_panoptic_truth_is_built_of_instances_and_stuff(self, as_coco, small_shapes):
        text = as_coco.read_text().splitlines()
        as_coco.write_text(
            "\n".join(line for line in text if not line.startswith("panoptic")) + "\npanoptic: {build: area}\n"
        )
        split = prepare(read_declaration(as_coco)).splits["val"]
        built = CocoPanoptic.open(split.panoptic_json, split.panoptic_root)
        given = CocoPanoptic.open(small_shapes / "annotations/panoptic_val.json", small_shapes / "panoptic_val")
        for image_id in given.records:
            one, other = built.read(image_id), given.read(image_id)
            assert sorted((s.category_id, s.area) for s in one.segments) == sorted(
                (s.category_id, s.area) for s in other.segments
            )


class TestSplits:
    def test_a_pool_is_shared_out_without_remainder(self, write, small_shapes):
        text = f"root: {small_shapes}\nformat: coco\nannotations: annotations/instances_train.json\nimages: train\n"
        found = read_declared(read_declaration(write(f"{text}splits: {{train: 0.75, val: 0.25}}\nseed: 1\n")))
        names = {split: {image["file_name"] for image in truth.images} for split, truth in found.items()}
        assert {split: len(own) for split, own in names.items()} == {"train": 6, "val": 2}
        assert not names["train"] & names["val"]
        other = read_declared(read_declaration(write(f"{text}splits: {{train: 0.75, val: 0.25}}\nseed: 2\n")))
        assert {image["file_name"] for image in other["val"].images} != names["val"]
        ids = {note["image_id"] for note in found["val"].annotations}
        assert ids <= {image["id"] for image in found["val"].images}

    def test_lists_name_images_with_or_without_suffix(self, write, small_shapes, tmp_path):
        names = sorted(path.name for path in (small_shapes / "train").iterdir())
        (tmp_path / "train.txt").write_text("\n".join(names[:5]))
        (tmp_path / "val.txt").write_text("\n".join(Path(name).stem for name in names[5:]) + "\n\n")
        text = f"root: {small_shapes}\nformat: coco\nannotations: annotations/instances_train.json\nimages: train\n"
        lists = f"splits: {{train: {{list: {tmp_path}/train.txt}}, val: {{list: {tmp_path}/val.txt}}}}\n"
        found = read_declared(read_declaration(write(text + lists)))
        assert [image["file_name"] for image in found["val"].images] == names[5:]
        (tmp_path / "val.txt").write_text("nobody.png\n")
        with pytest.raises(DataError, match=r"val.txt, line 1: 'nobody.png' is the name of no image"):
            read_declared(read_declaration(write(text + lists)))


class TestCategories:
    def test_declared_ones_restrict_and_number(self, write, small_shapes):
        files = "annotations: 'annotations/instances_{split}.json'\nimages: '{split}'\n"
        text = f"root: {small_shapes}\nformat: coco\n{files}"
        path = write(text + "splits: [val]\ncategories: [star, disc]\n")
        truth = read_declared(read_declaration(path))["val"]
        whole = json.loads((small_shapes / "annotations/instances_val.json").read_text())
        id_of = {c["name"]: c["id"] for c in whole["categories"]}
        kept = [n for n in whole["annotations"] if n["category_id"] in (id_of["star"], id_of["disc"])]
        assert [n["category_id"] for n in truth.annotations] == [
            1 if n["category_id"] == id_of["star"] else 2 for n in kept
        ]
        assert "of 4 categories that are not declared are left out" in truth.notes[-1]
        with pytest.raises(DataError, match="no split has 'dragon'"):
            read_declared(read_declaration(write(text + "splits: [val]\ncategories: [star, dragon]\n")))


class TestPrepared:
    def test_it_is_made_again_when_a_source_changes(self, write, small_shapes, tmp_path):
        shutil.copytree(small_shapes / "val", tmp_path / "val")
        content = json.loads((small_shapes / "annotations/instances_val.json").read_text())
        for note in content["annotations"]:
            del note["area"]  # so that a file must be written
        source = tmp_path / "a.json"
        source.write_text(json.dumps(content))
        path = write("format: coco\nannotations: a.json\nimages: val\n")
        first = prepare(read_declaration(path))
        written = Path(first.splits["train"].json_file)
        assert written.parent == first.folder
        areas = [note["area"] for note in json.loads(written.read_text())["annotations"]]
        assert all(area > 0 for area in areas)
        assert prepare(read_declaration(path)).folder == first.folder
        content["annotations"].pop()
        source.write_text(json.dumps(content))
        again = prepare(read_declaration(path))
        assert again.folder != first.folder
        assert len(json.loads(Path(again.splits["train"].json_file).read_text())["annotations"]) == len(areas) - 1

    def test_mistakes_are_refused_before_anything_is_written(self, write, small_shapes, tmp_path):
        content = json.loads((small_shapes / "annotations/instances_val.json").read_text())
        content["annotations"][0]["category_id"] = 99
        (tmp_path / "a.json").write_text(json.dumps(content))
        path = write(f"format: coco\nannotations: a.json\nimages: {small_shapes}/val\n")
        with pytest.raises(DataError, match=r"annotation-unknown-category.*annotations\[0\].*99"):
            prepare(read_declaration(path))
        assert not (tmp_path / "cache").exists()

    def test_what_was_made_unchecked_is_checked_when_checks_are_asked_for(self, write, small_shapes, tmp_path):
        content = json.loads((small_shapes / "annotations/instances_val.json").read_text())
        content["annotations"][0]["image_id"] = 10**6
        (tmp_path / "a.json").write_text(json.dumps(content))
        declaration = read_declaration(write(f"format: coco\nannotations: a.json\nimages: {small_shapes}/val\n"))
        assert not prepare(declaration, check=False).is_checked
        for _ in range(2):
            with pytest.raises(DataError, match="annotation-unknown-image"):
                prepare(declaration)

    def test_a_sound_set_made_unchecked_passes_later(self, write, small_shapes):
        text = f"format: coco\nannotations: {small_shapes}/annotations/instances_val.json\nimages: {small_shapes}/val\n"
        declaration = read_declaration(write(text))
        assert not prepare(declaration, check=False).is_checked
        assert prepare(declaration).is_checked
        assert prepare(declaration, check=False).is_checked

    def test_a_panoptic_png_that_changes_is_noticed(self, write, small_shapes, tmp_path):
        shutil.copytree(small_shapes / "panoptic_val", tmp_path / "maps")
        path = write(
            f"format: coco_panoptic\nannotations: {small_shapes}/annotations/panoptic_val.json\n"
            f"images: {small_shapes}/val\nfolder: {tmp_path}/maps\n"
        )
        first = prepare(read_declaration(path)).folder
        assert prepare(read_declaration(path)).folder == first
        png = next((tmp_path / "maps").iterdir())
        os.utime(png, ns=(1, 1))
        assert prepare(read_declaration(path)).folder != first


class TestConfig:
    def test_sets_classes_and_mask_format_are_those_of_the_data(self, as_coco):
        cfg = load_config("thingstuff://coco/mask_rcnn_R_50_FPN_3x.yaml")
        declare(cfg, [as_coco])
        name = read_declaration(as_coco).name
        assert (f"{name}_train",) == cfg.DATASETS.TRAIN
        assert (f"{name}_val",) == cfg.DATASETS.TEST
        assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == cfg.MODEL.RETINANET.NUM_CLASSES == 6
        assert cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES == 5
        assert cfg.INPUT.MASK_FORMAT == "bitmask"

    def test_what_a_user_says_stays_or_is_refused(self, as_coco):
        name = read_declaration(as_coco).name
        overrides = ["DATASETS.TEST", f"('{name}_train',)"]
        cfg = load_config("thingstuff://coco/mask_rcnn_R_50_FPN_3x.yaml", overrides)
        declare(cfg, [as_coco], overrides)
        assert (f"{name}_train",) == cfg.DATASETS.TEST
        overrides = ["MODEL.ROI_HEADS.NUM_CLASSES", "80"]
        cfg = load_config("thingstuff://coco/mask_rcnn_R_50_FPN_3x.yaml", overrides)
        with pytest.raises(ConfigError, match=r"NUM_CLASSES 80: data set .* has 6"):
            declare(cfg, [as_coco], overrides)

    def test_a_config_names_declarations_beside_it(self, as_coco, tmp_path):
        name = read_declaration(as_coco).name
        config = tmp_path / "recipe.yaml"
        sets = f"DATASETS: {{DECLARE: [{as_coco.name}], TRAIN: ['{name}_train'], TEST: ['{name}_val']}}"
        config.write_text(f'_BASE_: "thingstuff://coco/mask_rcnn_R_50_FPN_3x.yaml"\n{sets}\n')
        cfg = load_config(config)
        assert [str(as_coco)] == cfg.DATASETS.DECLARE
        declare(cfg)
        assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 6

    def test_a_name_that_is_taken_is_refused(self, tmp_path, small_shapes):
        path = tmp_path / "shapes.yaml"
        path.write_text(
            f"root: {small_shapes}\nformat: coco\nannotations: annotations/instances_train.json\nimages: train\n"
        )
        from thingstuff.data.catalog import register_shapes

        register_shapes()
        with pytest.raises(DataError, match="a data set is registered as shapes_train already"):
            register_declared([path])


def test_mask_folders_train_and_are_evaluated(write, run_tool, small_shapes, tmp_path):
    """One PNG an instance, declared in five lines: two steps of training, an evaluation, and a prediction by name."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(3):
            image = tmp_path / "cells" / split / "images" / f"{number}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(image), rng.integers(0, 255, (64, 64, 3), np.uint8))
            for place in range(2):
                mask = np.zeros((64, 64), np.uint8)
                mask[10 + 20 * place : 25 + 20 * place, 10:40] = 255
                path = tmp_path / "cells" / split / "masks" / str(number) / f"{place}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), mask)
    declaration = write(
        'root: cells\nformat: mask_folders\nannotations: "{split}"\nsplits: [train, val]\ncategories: [cell]\n'
    )
    run = tmp_path / "run"
    code, _, error = run_tool(
        "train_net",
        "--config-file",
        "thingstuff://shapes/mask_rcnn.yaml",
        "--dataset",
        declaration,
        *TINY,
        "OUTPUT_DIR",
        run,
    )
    assert code == 0, error
    name = read_declaration(declaration).name
    results = json.loads((run / "results.json").read_text())["results"]
    assert set(results[f"{name}_val"]) == {"bbox", "segm"}
    config = ("--config-file", run / "config.yaml", "--weights", run / "model_final.pth")
    code, _, error = run_tool(
        "predict", *config, "--input", f"{name}_val", "--output", tmp_path / "stored", "--no-overlays"
    )
    assert code == 0, error
    code, _, error = run_tool(
        "evaluate",
        "--predictions",
        tmp_path / "stored",
        "--ground-truth",
        f"{name}_val",
        "--output",
        tmp_path / "scores",
        "--dataset",
        declaration,
    )
    assert code == 0, error
    stored = json.loads((tmp_path / "scores/results.json").read_text())["results"]
    assert stored[f"{name}_val"]["segm"]["AP"] == pytest.approx(results[f"{name}_val"]["segm"]["AP"], nan_ok=True)
