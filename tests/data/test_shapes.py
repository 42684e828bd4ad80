"""The embedded data set: deterministic, consistent in its three truths, and as hard as it claims."""

import json

import cv2
import numpy as np
import pytest

from thingstuff.data.shapes import (
    CATEGORIES,
    SPLITS,
    ensure_shapes,
    measure,
    panoptic_truth,
    read_statistics,
    write_shapes,
)
from thingstuff.data.shapes_scene import SIDE_PX, STUFF_NAMES, draw_scene
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops, PanopticMap


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(np.random.default_rng([1, i])) for i in range(300)]


def test_same_seed_same_scene():
    one, two = (draw_scene(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.image_bgr, two.image_bgr)
    assert np.array_equal(one.stuff_map, two.stuff_map)
    assert not np.array_equal(one.image_bgr, draw_scene(np.random.default_rng(6)).image_bgr)


def test_masks_are_disjoint_and_stuff_is_the_rest(scenes):
    for scene in scenes[:60]:
        covered = np.sum([t.mask for t in scene.things], axis=0)
        assert covered.max() <= 1
        assert np.array_equal(scene.stuff_map == 0, covered == 1)
        assert scene.stuff_map.max() <= len(STUFF_NAMES)


def test_statistics_are_what_the_data_set_promises(scenes):
    found = measure(scenes)
    assert len(found.classes) >= 5
    assert sum(share > 0.02 for share in found.stuff.values()) >= 3
    assert found.small == pytest.approx(0.30, abs=0.05)
    assert found.medium == pytest.approx(0.50, abs=0.05)
    assert found.large == pytest.approx(0.20, abs=0.05)
    assert found.occluded >= 0.30
    assert found.crowd == pytest.approx(0.05, abs=0.015)
    assert found.small + found.medium + found.large == pytest.approx(1)


def test_sizes_count_visible_pixels_by_cocos_bounds(scenes):
    areas = np.array([t.mask.sum() for s in scenes for t in s.things if not t.iscrowd])
    assert measure(scenes).small == pytest.approx(np.mean(areas < 1024))
    assert measure(scenes).large == pytest.approx(np.mean(areas >= 9216))


def test_files_agree_with_each_other(small_shapes):
    instances = json.loads((small_shapes / "annotations/instances_val.json").read_text())
    panoptic = json.loads((small_shapes / "annotations/panoptic_val.json").read_text())
    assert [c["name"] for c in panoptic["categories"]] == [c.name for c in CATEGORIES.all]
    for image, truth in zip(instances["images"], panoptic["annotations"], strict=True):
        notes = [n for n in instances["annotations"] if n["image_id"] == image["id"]]
        stuff = cv2.imread(str(small_shapes / "stuff_val" / image["file_name"]), cv2.IMREAD_UNCHANGED)
        file = small_shapes / "panoptic_val" / truth["file_name"]
        panoptic_map = PanopticMap.read_coco(file, truth["segments_info"], CATEGORIES)
        things = [s for s in panoptic_map.segments if s.isthing]
        assert [(s.category_id, s.area, s.iscrowd) for s in things] == [
            (n["category_id"], n["area"], bool(n["iscrowd"])) for n in notes
        ]
        masks = MaskCrops.from_rles([n["segmentation"] for n in notes], SIDE_PX, SIDE_PX)
        for mask, segment in zip(masks.to_bitmaps(), things, strict=True):
            assert np.array_equal(mask, panoptic_map.segment_mask(segment.id))
        assert np.array_equal(panoptic_map.stuff_map(CATEGORIES), stuff)


def test_annotation_ids_are_unique(small_shapes):
    instances = json.loads((small_shapes / "annotations/instances_train.json").read_text())
    ids = [note["id"] for note in instances["annotations"]]
    assert ids == list(range(1, len(ids) + 1))


def test_written_set_is_kept_and_older_one_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr("thingstuff.data.shapes.SPLITS", {"train": 2, "val": 1})
    root = ensure_shapes(tmp_path / "shapes")
    image = root / "train/000001.png"
    first = image.stat().st_mtime_ns
    assert ensure_shapes(root) == root
    assert image.stat().st_mtime_ns == first
    (root / "shapes.json").write_text('{"format": 0}')
    ensure_shapes(root)
    assert image.stat().st_mtime_ns != first
    assert read_statistics(root)["val"].images == 1
    assert [p.name for p in tmp_path.iterdir()] == ["shapes"]


def test_a_folder_with_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="holds something else"):
        ensure_shapes(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_failed_writing_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("thingstuff.data.shapes.write_shapes", fail)
    with pytest.raises(OSError, match="No space"):
        ensure_shapes(tmp_path / "shapes")
    assert list(tmp_path.iterdir()) == []


def test_catalog_gives_detectron2_complete_records(small_shapes):
    from detectron2.data import DatasetCatalog, MetadataCatalog

    from thingstuff.data.catalog import require_datasets

    require_datasets(["shapes_train", "shapes_val"])
    records = DatasetCatalog.get("shapes_val")
    assert len(records) == 6
    for record in records:
        assert {"file_name", "image_id", "height", "width", "annotations", "sem_seg_file_name"} <= set(record)
    metadata = MetadataCatalog.get("shapes_val")
    assert metadata.thing_classes == [c.name for c in CATEGORIES.things]
    assert metadata.stuff_classes == ["things", *STUFF_NAMES]


@pytest.mark.parametrize(("name", "said"), [("shape_val", "did you mean shapes_val"), ("xyz", "name its module")])
def test_unknown_data_set_is_answered(small_shapes, name, said):
    from thingstuff.data.catalog import require_datasets

    with pytest.raises(DataError, match=said):
        require_datasets([name])


def test_registered_data_set_without_files_names_the_path(small_shapes):
    from thingstuff.data.catalog import require_datasets

    with pytest.raises(DataError, match=r"coco_2017_val: there is no json_file at .*instances_val2017"):
        require_datasets(["coco_2017_val"])


def test_full_splits_are_600_and_200():
    assert SPLITS == {"train": 600, "val": 200}


def test_write_shapes_draws_a_different_scene_every_time(tmp_path):
    write_shapes(tmp_path, {"train": 3, "val": 3}, seed=9)
    pictures = {p.read_bytes() for p in tmp_path.glob("*/0*.png") if p.parent.name in ("train", "val")}
    assert len(pictures) == 6


def test_panoptic_truth_numbers_things_first(scenes):
    truth = panoptic_truth(scenes[0])
    assert [s.id for s in truth.segments] == list(range(1, len(truth.segments) + 1))
    assert [s.isthing for s in truth.segments] == sorted((s.isthing for s in truth.segments), reverse=True)


# ---- the standard convention -------------------------------------------------------------------------------------


def test_standard_sets_are_those_of_detectron2s_own_registration(small_shapes, tmp_path):
    """Detectron2's loader, given the panoptic file and our metadata, gives the same records, but for JPEG names."""
    from detectron2.data import DatasetCatalog, MetadataCatalog
    from detectron2.data.datasets.coco_panoptic import load_coco_panoptic_json

    from thingstuff.data.catalog import require_datasets

    require_datasets(["shapes_train_standard", "shapes_val_standard"])
    metadata = MetadataCatalog.get("shapes_val_standard")
    for image in (small_shapes / "val").iterdir():
        (tmp_path / image.name).with_suffix(".jpg").touch()
    theirs = load_coco_panoptic_json(metadata.panoptic_json, str(tmp_path), metadata.panoptic_root, metadata.as_dict())
    ours = DatasetCatalog.get("shapes_val_standard")
    assert len(ours) == 6
    for mine, reference in zip(ours, theirs, strict=True):
        assert cv2.imread(mine["file_name"]).shape == (mine["height"], mine["width"], 3)
        names = {"file_name": str((tmp_path / mine["file_name"].rpartition("/")[2]).with_suffix(".jpg"))}
        sizes = {"height": mine["height"], "width": mine["width"]}
        assert {**mine, **names} == {**reference, **sizes}


def test_standard_metadata_is_one_list_of_classes(small_shapes):
    from detectron2.data import MetadataCatalog

    from thingstuff.data.catalog import register_shapes
    from thingstuff.structures import Categories

    register_shapes()
    metadata = MetadataCatalog.get("shapes_val_standard")
    assert metadata.thing_classes == metadata.stuff_classes == [c.name for c in CATEGORIES.all]
    indices = metadata.thing_dataset_id_to_contiguous_id | metadata.stuff_dataset_id_to_contiguous_id
    assert [indices[c.id] for c in CATEGORIES.all] == list(range(len(CATEGORIES)))
    assert set(metadata.thing_dataset_id_to_contiguous_id) == {c.id for c in CATEGORIES.things}
    assert Categories.from_metadata(metadata) == CATEGORIES
    assert (metadata.label_divisor, metadata.ignore_label) == (1000, 255)
    assert not metadata.get("sem_seg_root")


@pytest.fixture
def panoptic_records(small_shapes):
    from thingstuff.config import load_config
    from thingstuff.data.catalog import require_datasets
    from thingstuff.data.records import training_records

    require_datasets(["shapes_train_standard"])
    return training_records(load_config("thingstuff://shapes/panoptic_deeplab.yaml"))


def test_standard_sets_train_as_they_are(panoptic_records):
    assert len(panoptic_records) == 8
    assert {s["category_id"] for r in panoptic_records for s in r["segments_info"]} <= set(range(len(CATEGORIES)))


class TestAnotherDraw:
    def test_has_other_scenes_and_is_complete(self, small_shapes, run_tool, tmp_path):
        code, out, error = run_tool(
            "dataset", "shapes", "--seed", "7", "--train", "1", "--val", "3", "--output", tmp_path / "fresh" / "shapes"
        )
        assert code == 0, error
        assert "shapes_val in" in out
        assert len(list((tmp_path / "fresh/shapes/val").glob("*.png"))) == 3
        ours, theirs = (root / "val" / "000001.png" for root in (tmp_path / "fresh/shapes", small_shapes))
        assert ours.read_bytes() != theirs.read_bytes()

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--seed", "7"), "needs --output"),
            (("--val", "0", "--output", "new"), "1 image or more"),
            (("--seed", "-1", "--output", "new"), "1 image or more"),
            (("--seed", "7", "--output", "."), "is there already"),
        ],
    )
    def test_what_is_refused(self, run_tool, tmp_path, monkeypatch, options, said):
        monkeypatch.chdir(tmp_path)
        code, _, error = run_tool("dataset", "shapes", *options)
        assert code == 2
        assert said in error
        assert not list(tmp_path.iterdir())
