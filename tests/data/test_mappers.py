"""The mapper that a config names: found by name or by model, refused with the known names, and right in its targets."""

import cv2
import numpy as np
import pytest
import torch

from thingstuff.errors import ConfigError


@pytest.fixture
def panoptic_deeplab(small_shapes):
    """A function: overrides -> the config of Panoptic-DeepLab on the embedded data set, with its sets known."""
    from thingstuff.config import load_config
    from thingstuff.data.catalog import require_datasets

    def build(*overrides):
        require_datasets(["shapes_train_standard"])
        return load_config("thingstuff://shapes/panoptic_deeplab.yaml", [*overrides])

    return build


@pytest.fixture
def named(small_shapes):
    """A function: mapper name -> a config with it."""
    from thingstuff.config import load_config

    def build(name):
        return load_config("thingstuff://shapes/mask_rcnn.yaml", ["INPUT.DATASET_MAPPER_NAME", name])

    return build


@pytest.fixture
def own_mapper(monkeypatch):
    """A mapper that a project has registered as "mine", for one test."""
    from thingstuff.data import mappers

    monkeypatch.setattr(mappers, "_BUILDERS", dict(mappers._BUILDERS))

    @mappers.register_mapper("mine")
    def build_mine(cfg):
        return lambda record: {**record, "seed": cfg.SEED}

    return build_mine


def first_record():
    from detectron2.data import DatasetCatalog

    return DatasetCatalog.get("shapes_train_standard")[0]


# ---- which mapper ------------------------------------------------------------------------------------------------


def test_without_a_name_it_is_the_training_mapper(tiny_cfg, named):
    from thingstuff.data.augment.mapper import TrainingMapper
    from thingstuff.data.mappers import build_mapper

    assert isinstance(build_mapper(tiny_cfg("shapes/semantic.yaml"), []), TrainingMapper)
    cfg = named("")
    cfg.INPUT.COPY_PASTE.ENABLED = False  # which would ask for something to paste
    assert isinstance(build_mapper(cfg, []), TrainingMapper)


def test_a_project_adds_its_own_by_a_decorator(named, own_mapper):
    from thingstuff.data.mappers import build_mapper

    cfg = named("mine")
    assert build_mapper(cfg, [])({"image_id": 3}) == {"image_id": 3, "seed": cfg.SEED}


def test_a_builder_that_asks_for_the_records_gets_them(named, own_mapper):
    from thingstuff.data.mappers import build_mapper, register_mapper

    register_mapper("counting")(lambda cfg, records: lambda record: {**record, "of": len(records)})
    assert build_mapper(named("counting"), [{}, {}])({"image_id": 3}) == {"image_id": 3, "of": 2}


def test_a_name_is_given_once(own_mapper):
    from thingstuff.data.mappers import register_mapper

    assert register_mapper("mine")(own_mapper) is own_mapper
    with pytest.raises(ConfigError, match="two data set mappers are called mine"):
        register_mapper("mine")(lambda cfg: None)


def test_an_unknown_name_is_answered_with_the_known_ones(named, own_mapper):
    from thingstuff.data.mappers import build_mapper

    with pytest.raises(ConfigError, match=r"DATASET_MAPPER_NAME is mien, expected one of mine, panoptic_deeplab"):
        build_mapper(named("mien"), [])


# ---- Panoptic-DeepLab --------------------------------------------------------------------------------------------


def test_panoptic_deeplab_gets_its_mapper_without_a_name(panoptic_deeplab):
    from detectron2.projects.panoptic_deeplab import PanopticDeeplabDatasetMapper

    from thingstuff.data.mappers import build_mapper

    assert isinstance(build_mapper(panoptic_deeplab(), []), PanopticDeeplabDatasetMapper)


def test_targets_are_those_of_the_panoptic_truth(panoptic_deeplab, small_shapes, monkeypatch):
    """Classes by the panoptic file; every pixel of a thing points at its centre of mass, where the heat is 1."""
    from detectron2.data import transforms

    from thingstuff.data.mappers import build_mapper

    monkeypatch.setattr(transforms, "RandomFlip", transforms.NoOpTransform)
    record = first_record()
    sample = build_mapper(panoptic_deeplab(), [])(record)
    red, green, blue = np.moveaxis(cv2.imread(record["pan_seg_file_name"])[:, :, ::-1].astype(int), 2, 0)
    ids = red + 256 * green + 256**2 * blue
    y, x = np.indices(ids.shape)
    for segment in record["segments_info"]:
        mask = torch.from_numpy(ids == segment["id"])
        assert (sample["sem_seg"][mask] == segment["category_id"]).all()
        assert (sample["center_weights"][0][mask] == (0 if segment["iscrowd"] else 1)).all()
        if segment["isthing"] and not segment["iscrowd"]:
            center_y, center_x = y[mask].mean(), x[mask].mean()
            np.testing.assert_allclose(sample["offset"][0][mask], center_y - y[mask], atol=1e-3)
            np.testing.assert_allclose(sample["offset"][1][mask], center_x - x[mask], atol=1e-3)
            assert sample["center"][round(center_y), round(center_x)] == 1
    assert (sample["sem_seg"][torch.from_numpy(ids == 0)] == 255).all()


def test_a_record_stays_as_it_was(panoptic_deeplab):
    from thingstuff.data.mappers import build_mapper

    record, same = first_record(), first_record()
    build_mapper(panoptic_deeplab(), [])(record)
    assert record == same


def test_a_set_of_the_other_convention_is_refused(panoptic_deeplab):
    from thingstuff.data.mappers import build_mapper

    with pytest.raises(ConfigError, match="shapes_train has no label_divisor.*such as shapes_train_standard"):
        build_mapper(panoptic_deeplab("DATASETS.TRAIN", "('shapes_train',)"), [])


def test_too_few_classes_are_refused(panoptic_deeplab):
    from thingstuff.data.mappers import build_mapper

    with pytest.raises(ConfigError, match="has 10 classes, but MODEL.SEM_SEG_HEAD.NUM_CLASSES is 9: set it to 10"):
        build_mapper(panoptic_deeplab("MODEL.SEM_SEG_HEAD.NUM_CLASSES", "9"), [])


def test_its_project_must_be_imported(named):
    from thingstuff.data.mappers import build_mapper

    with pytest.raises(ConfigError, match="name detectron2.projects.panoptic_deeplab in IMPORTS"):
        build_mapper(named("panoptic_deeplab"), [])
