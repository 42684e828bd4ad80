"""Fixtures of all test folders: a small copy of the embedded data set, tiny configs, and quick models."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from helpers import TINY

_DATASETS = tempfile.mkdtemp(prefix="thingstuff-tests-")
os.environ["DETECTRON2_DATASETS"] = _DATASETS  # before anything registers a data set
os.environ.setdefault("FVCORE_CACHE", str(Path(_DATASETS) / "cache"))
os.environ["THINGSTUFF_CACHE"] = str(Path(_DATASETS) / "prepared")


def remove_datasets():
    shutil.rmtree(_DATASETS, ignore_errors=True)


@pytest.fixture(scope="session")
def small_shapes():
    """`shapes_train` with 8 and `shapes_val` with 6 images, in place of the real ones. Their folder."""
    from thingstuff.data.shapes import SEED, shapes_root, write_shapes

    if not shapes_root().exists():
        write_shapes(shapes_root(), {"train": 8, "val": 6}, SEED)
    return shapes_root()


@pytest.fixture
def tiny_cfg(small_shapes, tmp_path):
    """A function: recipe name -> its config, made small enough for two steps in seconds."""
    from thingstuff.config import load_config

    def build(recipe="shapes/mask_rcnn.yaml", *overrides):
        return load_config(f"thingstuff://{recipe}", [*TINY, "OUTPUT_DIR", str(tmp_path / "run"), *overrides])

    return build


@pytest.fixture
def run_tool(monkeypatch, capsys):
    """A function: command name and arguments -> (exit code, standard output, standard error), in this process."""
    import importlib

    def run(name, *arguments):
        main = importlib.import_module(f"thingstuff.cli.{name}").main
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse's own refusals
            code = stop.code
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture(scope="session")
def sharp_weights(small_shapes, tmp_path_factory):
    """Checkpoints of recipes with random weights, sharpened so that something is found: mask, semantic, panoptic."""
    import torch
    from detectron2.modeling import build_model

    from thingstuff.config import load_config

    folder = tmp_path_factory.mktemp("weights")
    recipes = {"mask": "mask_rcnn", "semantic": "semantic", "panoptic": "panoptic_fpn"}
    for name, recipe in recipes.items():
        torch.manual_seed(3)
        model = build_model(load_config(f"thingstuff://shapes/{recipe}.yaml", ["MODEL.DEVICE", "cpu"]))
        with torch.no_grad():
            for key, value in model.named_parameters():
                if "cls_score" in key or "mask_head.predictor" in key:
                    value.mul_(30)
        torch.save({"model": model.state_dict()}, folder / f"{name}.pth")
    return {name: folder / f"{name}.pth" for name in recipes}
