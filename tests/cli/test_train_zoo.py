"""Recipes of Detectron2's model zoo, trained and evaluated on a user's own registered data."""

import json
import sys

import cv2
import numpy as np
import pytest
from helpers import SHARED, assert_one_line

SMALL = (
    *("MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "SOLVER.IMS_PER_BATCH", "1", "SOLVER.MAX_ITER", "1"),
    *("INPUT.MIN_SIZE_TRAIN", "(96,)", "INPUT.MIN_SIZE_TEST", "96", "DATALOADER.NUM_WORKERS", "0"),
    *("MODEL.RPN.POST_NMS_TOPK_TRAIN", "20", "MODEL.RPN.POST_NMS_TOPK_TEST", "10", "TEST.PICTURES", "1"),
)
MODULE = """
from detectron2.data import MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.data.datasets.builtin_meta import COCO_PERSON_KEYPOINT_NAMES, COCO_PERSON_KEYPOINT_FLIP_MAP

register_coco_instances({name!r}, {{}}, {json!r}, {images!r})
if {keypoints!r}:
    MetadataCatalog.get({name!r}).set(
        keypoint_names=COCO_PERSON_KEYPOINT_NAMES, keypoint_flip_map=COCO_PERSON_KEYPOINT_FLIP_MAP
    )
"""


def write_people(folder):
    """Three pictures of one "person" each, outlined by a polygon, with COCO's 17 keypoints."""
    rng = np.random.default_rng(0)
    images, notes = [], []
    for number in range(1, 4):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 255, (96, 96, 3), np.uint8))
        images.append({"id": number, "file_name": f"{number}.png", "height": 96, "width": 96})
        x, y, w, h = 20, 10, 50, 70
        points = np.stack([rng.uniform(x, x + w, 17), rng.uniform(y, y + h, 17), np.full(17, 2)], 1)
        notes.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "area": w * h,
                "bbox": [x, y, w, h],
                "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
                "keypoints": points.round(1).ravel().tolist(),
                "num_keypoints": 17,
            }
        )
    content = {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "person"}]}
    (folder / "people.json").write_text(json.dumps(content))


def register(folder, name, json_file, images, keypoints=False):
    """A user's module that registers a data set under a name of its own; gives the overrides that use it."""
    module = f"registers_{name}"
    text = MODULE.format(name=name, json=str(json_file), images=str(images), keypoints=keypoints)
    (folder / f"{module}.py").write_text(text)
    sets = f"('{name}',)"
    return ["IMPORTS", f"['{module}']", "DATASETS.TRAIN", sets, "DATASETS.TEST", sets]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def results_of(folder):
    (results,) = json.loads((folder / "run/results.json").read_text())["results"].values()
    return results


def test_users_classes_are_known_to_load(workplace, run_tool):
    """A COCO file registered by a user tells its class names only when it is read."""
    import thingstuff

    write_people(workplace)
    sets = register(workplace, "people_to_load", workplace / "people.json", workplace)
    recipe = "model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
    overrides = [*sets, *SMALL, "MODEL.ROI_HEADS.NUM_CLASSES", "1", "SOLVER.BASE_LR", "1e-9"]
    run_tool("train_net", "--config-file", recipe, *overrides, "OUTPUT_DIR", workplace / "run")
    weights = workplace / "run/model_final.pth"
    model = thingstuff.load(recipe, weights, score_thresh=0.0, overrides=overrides)
    result = model(workplace / "1.png")
    assert [c.name for c in model.categories.things] == ["person"]
    assert repr(result).startswith("<Result 96 x 96: ")
    assert set(result.labels) <= {"person"}


@pytest.mark.parametrize(("content", "said"), [("{", "JSONDecodeError"), ('{"images": []}', "cannot be read")])
def test_broken_annotation_file_names_its_data_set(workplace, run_tool, content, said):
    name = f"broken_{len(content)}"
    (workplace / "broken.json").write_text(content)
    sets = register(workplace, name, workplace / "broken.json", workplace)
    recipe = "model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
    code, _, err = run_tool("train_net", "--config-file", recipe, *sets, *SMALL, "OUTPUT_DIR", workplace / "run")
    assert code == 2
    assert_one_line(err, f"data set {name} cannot be read", said)
    assert not (workplace / "run").exists()


def test_keypoint_recipe(workplace, run_tool):
    write_people(workplace)
    sets = register(workplace, "people_keypoints", workplace / "people.json", workplace, keypoints=True)
    recipe = "model_zoo://COCO-Keypoints/keypoint_rcnn_R_50_FPN_1x.yaml"
    code, out, err = run_tool("train_net", "--config-file", recipe, *sets, *SMALL, "OUTPUT_DIR", workplace / "run")
    assert code == 0, err
    assert "keypoint" in out
    assert {"bbox", "keypoints"} == set(results_of(workplace))


@pytest.mark.parametrize("crop", [False, True])
def test_instance_recipe_on_polygons(workplace, run_tool, crop):
    write_people(workplace)
    sets = register(workplace, f"people_masks_{crop}", workplace / "people.json", workplace)
    recipe = "model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
    more = ["MODEL.ROI_HEADS.NUM_CLASSES", "1", "INPUT.CROP.ENABLED", str(crop), "OUTPUT_DIR", workplace / "run"]
    code, _, err = run_tool("train_net", "--config-file", recipe, *sets, *SMALL, *more)
    assert code == 0, err
    assert {"bbox", "segm"} == set(results_of(workplace))
    assert (workplace / "run/pictures.png").is_file()


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_real_photographs_with_imagenet_weights(workplace, run_tool):
    source = SHARED / "real/coco_tiny"
    truth = json.loads((source / "annotations/instances_val2017.json").read_text())
    few = {image["id"] for image in truth["images"][:3]}
    truth["images"] = [image for image in truth["images"] if image["id"] in few]
    truth["annotations"] = [note for note in truth["annotations"] if note["image_id"] in few]
    (workplace / "few.json").write_text(json.dumps(truth))
    sets = register(workplace, "few_photographs", workplace / "few.json", source / "val2017")
    weights = ["MODEL.WEIGHTS", SHARED / "weights/R-50.safetensors", "OUTPUT_DIR", workplace / "run"]
    recipe = "thingstuff://coco/mask_rcnn_R_50_FPN_3x.yaml"
    code, _, err = run_tool("train_net", "--config-file", recipe, *sets, *SMALL, *weights)
    assert code == 0, err
    assert {"bbox", "segm"} == set(results_of(workplace))


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_imagenet_weights_fill_the_whole_backbone():
    from detectron2.modeling import build_model

    from thingstuff.config import load_config
    from thingstuff.engine.weights.checkpoint import Checkpointer

    recipe = "model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
    model = build_model(load_config(recipe, ["MODEL.DEVICE", "cpu"]))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    Checkpointer(model).load(str(SHARED / "weights/R-50.safetensors"))
    kept = [k for k, v in model.state_dict().items() if "bottom_up" in k and (v == before[k]).all()]
    assert kept == []
