"""The workarounds give the right numbers, keep terminals quiet, and leave alone what needs no mend."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from thingstuff.config import compat
from thingstuff.config.compat import panopticapi, pkg_resources
from thingstuff.config.compat.respell import respell

ROOT = Path(__file__).resolve().parents[2]


def run_python(code: str, *options: str) -> subprocess.CompletedProcess:
    """Run `code` in a fresh interpreter that finds thingstuff."""
    command = [sys.executable, *options, "-c", textwrap.dedent(code)]
    environment = {**os.environ, "CUDA_HOME": sys.prefix}  # without a GPU, torch's notice about that is to be expected
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


def outcome(code: str, *options: str) -> str:
    answer = run_python(code, *options)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


# ---- where they reach --------------------------------------------------------------------------------------------


HOLDERS = """
    import detectron2.layers, detectron2.layers.deform_conv, detectron2.modeling.backbone.resnet as resnet
    places = (detectron2.layers, detectron2.layers.deform_conv, resnet)
    print(*sorted({p.DeformConv.__module__ for p in places} | {p.ModulatedDeformConv.__module__ for p in places}))
"""
APPLY = "\n    from thingstuff.config.compat import apply; apply()\n"


@pytest.mark.parametrize("code", [APPLY + HOLDERS, "\n    import detectron2.modeling\n" + APPLY + HOLDERS])
def test_everyone_sees_the_working_layers_whenever_detectron2_was_imported(code):
    assert outcome(code) == "thingstuff.config.compat.deform_conv_layers"


def test_a_compiled_detectron2_keeps_its_own_layers():
    fake = """
        import sys, types
        sys.modules["detectron2._C"] = types.ModuleType("detectron2._C")
    """
    assert (
        outcome(textwrap.dedent(fake) + textwrap.dedent(APPLY) + textwrap.dedent(HOLDERS))
        == "detectron2.layers.deform_conv"
    )


# ---- panopticapi -------------------------------------------------------------------------------------------------


def test_panoptic_colors_follow_cocos_formula():
    ids = np.array([[0, 1, 255], [256, 65536 + 512 + 3, 256**3 - 1]])
    rgb = panopticapi.id2rgb(ids)
    assert rgb.dtype == np.uint8
    for place in np.ndindex(ids.shape):
        red, green, blue = (int(c) for c in rgb[place])
        assert ids[place] == red + 256 * green + 256**2 * blue
        assert panopticapi.id2rgb(int(ids[place])) == [red, green, blue]
        assert panopticapi.rgb2id([red, green, blue]) == ids[place]
        assert panopticapi.rgb2id(rgb[place]) == ids[place]  # a pixel of an array must not overflow its uint8
    assert panopticapi.rgb2id(rgb).tolist() == ids.tolist()
    assert panopticapi.rgb2id(rgb).dtype == np.int32
    assert panopticapi.rgb2id(np.zeros((0, 4, 3), np.uint8)).shape == (0, 4)


def test_panopticapi_is_importable_and_a_real_one_wins(tmp_path):
    assert (
        outcome(APPLY + "    from panopticapi.utils import id2rgb, rgb2id; print(rgb2id(id2rgb(1234567)))") == "1234567"
    )
    real = tmp_path / "panopticapi"
    real.mkdir()
    (real / "__init__.py").write_text("REAL = True\n")
    code = (
        f"\n    import sys; sys.path.insert(0, {str(tmp_path)!r})"
        + APPLY
        + "    import panopticapi; print(panopticapi.REAL)"
    )
    assert outcome(code) == "True"


# ---- pkg_resources -----------------------------------------------------------------------------------------------


def test_the_model_zoo_works_without_pkg_resources():
    code = """
        import sys
        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "pkg_resources":
                    raise ModuleNotFoundError(name)
        sys.meta_path.insert(0, Absent())
        import thingstuff.config
        from detectron2 import model_zoo
        assert "pkg_resources" not in sys.modules
        print(model_zoo.get_config_file("COCO-Detection/retinanet_R_50_FPN_1x.yaml"))
    """
    assert outcome(code).endswith("retinanet_R_50_FPN_1x.yaml")


def test_resources_are_found_as_pkg_resources_finds_them():
    folder = Path(__import__("detectron2.model_zoo").model_zoo.__path__[0])
    assert pkg_resources.resource_filename("detectron2.model_zoo", "configs/no.yaml") == str(folder / "configs/no.yaml")
    assert pkg_resources.resource_exists("detectron2.model_zoo", "configs/Base-RCNN-FPN.yaml")
    assert pkg_resources.resource_exists("detectron2.model_zoo", "configs")
    assert not pkg_resources.resource_exists("detectron2.model_zoo", "configs/no.yaml")


# ---- warnings ----------------------------------------------------------------------------------------------------


def test_training_and_prediction_raise_no_warning():
    code = """
        import thingstuff.config
        from detectron2.data import detection_utils
        from detectron2.modeling.backbone.swin import WindowAttention
        from detectron2.projects.panoptic_deeplab.post_processing import group_pixels
        import detectron2.engine, detectron2.evaluation, detectron2.utils.visualizer, torch.utils.cpp_extension
        from thingstuff.config.zoo import build_config
        from thingstuff.modeling.zoo_check import run_small
        for name in ("COCO-Keypoints/keypoint_rcnn_R_50_FPN_1x", "COCO-PanopticSegmentation/panoptic_fpn_R_50_1x"):
            run_small(build_config(name + ".yaml"))
        import numpy as np, torch
        object = dict(bbox=[0, 0, 9, 9], bbox_mode=0, category_id=0, keypoints=np.ones((17, 3)))
        detection_utils.annotations_to_instances([object, object], (10, 10))
        WindowAttention(12, window_size=(2, 3), num_heads=1)
        ids = group_pixels(torch.tensor([[1.0, 1.0], [6.0, 6.0]]), torch.zeros(2, 8, 8))
        print(ids[0, 0, 0].item(), ids[0, 7, 7].item())
    """
    # DeprecationWarning is not shown to users: Python hides it outside of __main__
    answer = run_python(code, "-W", "error", "-W", "ignore::DeprecationWarning")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["1", "2"]
    assert answer.stderr == ""


def test_resized_bitmap_masks_raise_no_warning():
    code = """
        import thingstuff.config, numpy as np
        from PIL import Image
        from detectron2.data import detection_utils
        mask = np.asarray(Image.fromarray(np.eye(4, dtype=np.uint8)))
        assert not mask.flags.writeable
        object = dict(bbox=[0, 0, 4, 4], bbox_mode=0, category_id=0, segmentation=mask)
        found = detection_utils.annotations_to_instances([object], (4, 4), mask_format="bitmask")
        print(found.gt_masks.tensor.sum().item())
    """
    assert outcome(code, "-W", "error", "-W", "ignore::DeprecationWarning") == "4"


def test_semantic_truth_is_read_by_detectron2s_evaluator(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.arange(6, dtype=np.uint8).reshape(2, 3))
    code = f"""
        import thingstuff.config
        from detectron2.evaluation.sem_seg_evaluation import load_image_into_numpy_array
        print(load_image_into_numpy_array({str(tmp_path / "a.png")!r}, dtype=int).tolist())
    """
    assert outcome(code) == "[[0, 1, 2], [3, 4, 5]]"


def test_mixed_precision_uses_the_new_names():
    code = """
        import thingstuff.config, torch
        from unittest import mock
        from detectron2.engine.train_loop import AMPTrainer
        with mock.patch("torch.cuda.is_available", return_value=True):
            model = torch.nn.Linear(2, 1)
            model.weight.data.zero_()
            model.forward = lambda data: {"loss": torch.nn.functional.linear(data, model.weight).sum()}
            optimizer = torch.optim.SGD(model.parameters(), 1.0)
            with mock.patch("torch.amp.GradScaler") as made:
                trainer = AMPTrainer(model, [torch.ones(1, 2)], optimizer)
            made.assert_called_once_with("cuda")
            trainer.grad_scaler = torch.amp.GradScaler("cpu")
            trainer._write_metrics = lambda *args, **kwargs: None
            before = model.weight.detach().clone()
            with mock.patch("torch.amp.autocast", wraps=lambda *a, **k: torch.autocast("cpu", enabled=False)) as cast:
                trainer.run_step()
            cast.assert_called_once_with("cuda", dtype=torch.float16)
            print((before - model.weight).tolist())
    """
    assert outcome(code, "-W", "error::FutureWarning") == "[[1.0, 1.0]]"


def test_grids_are_those_of_the_default_indexing():
    import torch

    from thingstuff.config.compat.meshgrid import meshgrid_ij

    rows, columns = torch.arange(2), torch.arange(3)
    for grid in (meshgrid_ij(rows, columns), meshgrid_ij([rows, columns])):
        assert grid[0].tolist() == [[0, 0, 0], [1, 1, 1]]
        assert grid[1].tolist() == [[0, 1, 2], [0, 1, 2]]


def test_a_users_own_torchscript_still_warns():
    code = """
        import warnings, thingstuff.config, detectron2.modeling, fvcore.nn
        print([f for f in warnings.filters if "is deprecated" in str(f)])
    """
    assert outcome(code) == "[]"


def test_data_loader_benchmark_prints_its_percentiles(caplog):
    from detectron2.data.benchmark import DataLoaderBenchmark

    with caplog.at_level("INFO", logger="detectron2.data.benchmark"):
        DataLoaderBenchmark._log_time(None, "loading", 0.5, [0.25, 0.5, 1.0])
    assert "avg=2.0 it/s, p1=0.25s" in caplog.text


# ---- the tools ---------------------------------------------------------------------------------------------------


def test_applying_twice_changes_nothing():
    import detectron2.layers
    from detectron2.modeling import anchor_generator

    layer, code = detectron2.layers.DeformConv, anchor_generator._create_grid_offsets.__code__
    compat.apply()
    for matter in compat.MATTERS:
        matter.apply()
    assert detectron2.layers.DeformConv is layer
    assert anchor_generator._create_grid_offsets.__code__.co_code == code.co_code


def test_applying_does_not_import_detectron2_or_torch():
    package = "import sys, types; m = types.ModuleType('thingstuff.config'); m.__path__ = ['thingstuff/config']"
    code = package + "; sys.modules['thingstuff.config'] = m; from thingstuff.config.compat import apply; apply()"
    assert outcome(code + "; print('torch' in sys.modules, 'detectron2' in sys.modules)") == "False False"


class Base:
    def name(self):
        return "base"


class Child(Base):
    def name(self, ending="!"):
        # a comment, so that lines are counted
        return super().name() + ending + " old words"


def test_respelling_keeps_defaults_super_and_line_numbers():
    method = Child.name
    line = method.__code__.co_firstlineno
    assert respell(Child.name, {"old words": "new words"})
    assert Child.name is method
    assert Child().name() == "base! new words"
    assert method.__code__.co_firstlineno == line
    assert method.__code__.co_filename == __file__


def test_respelling_twice_keeps_both():
    assert respell(two_words, {'"one"': '"eins"'})
    assert respell(two_words, {'"two"': '"zwei"'})
    assert two_words() == ("eins", "zwei")


def two_words():
    return "one", "two"


def test_respelling_leaves_other_versions_alone():
    code = Base.name.__code__
    assert not respell(Base.name, {"base": "other", "absent": "anything"})
    assert Base.name.__code__ is code
