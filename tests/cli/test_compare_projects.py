"""Stores of projects' models, as `predict.py` leaves them, on the page of `compare.py`: no model is a special case."""

import json
import re

import pytest
import torch
from detectron2.modeling import build_model
from helpers import ROOT

from thingstuff.config import load_config
from thingstuff.store import Store

# options under which random weights find something
PROJECTS = {
    "YOLACT": (),
    "SOLOv2": ("MODEL.SOLOV2.CATEGORY_THRESH", "0.001", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"),
    "TorchvisionMaskRCNN": ("MODEL.RPN.POST_NMS_TOPK_TEST", "30"),
}
FEW = ("MODEL.DEVICE", "cpu", "TEST.DETECTIONS_PER_IMAGE", "5")


@pytest.fixture(scope="module")
def weights(small_shapes, tmp_path_factory):
    """Config and a file of random weights of each project, and of the toolkit's Mask R-CNN."""
    folder = tmp_path_factory.mktemp("projects")
    configs = {name: str(ROOT / f"projects/{name}/configs/shapes.yaml") for name in PROJECTS}
    found = {}
    for name, config in {**configs, "MaskRCNN": "thingstuff://shapes/mask_rcnn.yaml"}.items():
        torch.manual_seed(0)
        model = build_model(load_config(config, FEW))
        torch.save({"model": model.state_dict()}, folder / f"{name}.pth")
        found[name] = (config, folder / f"{name}.pth")
    return found


@pytest.fixture(scope="module")
def predicted(weights, tmp_path_factory):
    """A folder with what `predict.py` writes for each, by name."""
    from thingstuff.cli.predict import main

    folder = tmp_path_factory.mktemp("stores")
    for name, (config, file) in weights.items():
        arguments = ["--config-file", config, "--weights", str(file), "--input", "shapes_val", "--no-overlays"]
        assert main([*arguments, "--output", str(folder / name), "--opts", *FEW, *PROJECTS.get(name, ())]) == 0
    return folder


@pytest.mark.parametrize("name", PROJECTS)
def test_a_store_of_a_project_holds_instances_with_masks_and_the_data_sets_ids(predicted, name):
    store = Store.open(predicted / name / "predictions" / "shapes_val")
    found = [image.detections for image in store]
    assert len(found) == 6
    assert 0 < sum(len(one) for one in found) <= 6 * 5
    ids = {int(i) for one in found for i in one.category_ids}
    assert ids <= {category.id for category in store.meta.categories.things}
    assert all(one.masks is not None and (one.height, one.width) == (160, 160) for one in found)


def test_stores_of_projects_are_compared_on_a_page(run_tool, predicted, tmp_path):
    names = ["MaskRCNN", *PROJECTS]
    stores = [predicted / name for name in names]
    code, out, errors = run_tool("compare", *stores, "--output", tmp_path / "page", "--draws", "20")
    assert code == 0, errors
    assert all(name in out for name in names)
    record = json.loads((tmp_path / "page" / "compare.json").read_text())
    assert all(name in json.dumps(record) for name in names)
    page = (tmp_path / "page" / "compare.html").read_text()
    assert all(re.search(rf"\b{name}\b", page) for name in names)
    assert "000001.png" in page


def test_a_projects_instances_over_stuff_are_a_panoptic_store_whose_cost_is_told(
    run_tool, predicted, sharp_weights, tmp_path
):
    semantic = "thingstuff://shapes/semantic.yaml"
    arguments = ["--config-file", semantic, "--weights", sharp_weights["semantic"], "--input", "shapes_val"]
    assert run_tool("predict", *arguments, "--no-overlays", "--output", tmp_path / "stuff", "--opts", *FEW)[0] == 0
    merged = ["merge", predicted / "YOLACT", tmp_path / "stuff", "--output", tmp_path / "both"]
    assert run_tool("store", *merged, "--threshold", "instances_confidence_thresh=0")[0] == 0
    code, out, errors = run_tool("compare", tmp_path / "both", "--output", tmp_path / "page", "--draws", "20")
    assert code == 0, errors
    assert "oing panoptic " in out  # it costs, or changes nothing, as these weights find no object
    both = Store.open(tmp_path / "both" / "predictions" / "shapes_val")
    kept = [segment for image in both for segment in image.panoptic.segments if segment.isthing]
    assert kept


@pytest.mark.parametrize("name", PROJECTS)
def test_train_net_evaluates_what_the_store_holds(run_tool, weights, predicted, tmp_path, name):
    config, file = weights[name]
    options = ["MODEL.WEIGHTS", str(file), "OUTPUT_DIR", str(tmp_path), "DATALOADER.NUM_WORKERS", "0", "TEST.PICTURES"]
    options += ["0", *FEW, *PROJECTS[name]]
    assert run_tool("train_net", "--config-file", config, "--eval-only", *options)[0] == 0
    evaluated = json.loads((tmp_path / "inference" / "coco_instances_results.json").read_text())
    store = Store.open(predicted / name / "predictions" / "shapes_val")
    stored = [record for image in store for record in store.coco_records(image.key, image.image_id)]
    assert sorted(map(_known, evaluated)) == sorted(map(_known, stored))


def _known(record):
    return record["image_id"], record["category_id"], record["score"], record["segmentation"]["counts"]
