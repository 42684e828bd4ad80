"""The model zoo: all its configs build, and some of every sort train and predict."""

import subprocess
import sys
from pathlib import Path

import pytest

from thingstuff.cli import zoo as command
from thingstuff.config.locate import zoo_root
from thingstuff.config.zoo import KINDS, build_config, kind_of, zoo_kinds, zoo_names
from thingstuff.errors import ConfigError
from thingstuff.modeling import zoo_check

ROOT = Path(__file__).resolve().parents[2]
REPRESENTATIVE = (
    "COCO-Detection/retinanet_R_50_FPN_1x.yaml",
    "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml",
    "COCO-Keypoints/keypoint_rcnn_R_50_FPN_1x.yaml",
    "COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml",
    "Misc/cascade_mask_rcnn_R_50_FPN_1x.yaml",
    "Misc/mask_rcnn_R_50_FPN_1x_dconv_c3-c5.yaml",
    "quick_schedules/fast_rcnn_R_50_FPN_instant_test.yaml",
    "quick_schedules/semantic_R_50_FPN_instant_test.yaml",
)


def test_names_are_the_files_of_the_zoo():
    assert len(zoo_names()) == len(list(zoo_root().rglob("*.yaml"))) == 92
    assert list(zoo_names()) == sorted(zoo_names())


def test_every_kind_is_told_by_what_the_model_predicts():
    kinds = zoo_kinds()
    assert set(kinds.values()) == set(KINDS)
    # the zoo's folders and file names say the same in most places, independently of the keys that we read
    for name, kind in kinds.items():
        file = name.rpartition("/")[2]
        for prefix, meant in (("Base-", "base"), ("keypoint_rcnn", "keypoint"), ("panoptic", "panoptic")):
            assert (kind == meant) == file.startswith(prefix), name
        assert (kind == "semantic") == file.startswith("semantic"), name
        assert (kind == "proposal") == file.startswith("rpn"), name
        assert (kind == "instance") == ("mask_rcnn" in file), name


def test_all_models_build(capsys):
    assert command.main(["--build"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 93
    assert lines[-1] == "92 of 92 configs build"


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_representative_models_train_a_step_and_predict(name):
    run = zoo_check.run_small(build_config(name))
    assert run.losses
    assert run.outputs


def test_without_weights_the_layers_are_the_same():
    cfg = build_config("Misc/mask_rcnn_R_50_FPN_1x_dconv_c3-c5.yaml")
    from detectron2.modeling import build_model

    real = build_model(zoo_check.shrink(cfg, "cpu")).state_dict()
    bare = zoo_check.build_without_weights(cfg).state_dict()
    assert {k: v.shape for k, v in bare.items()} == {k: v.shape for k, v in real.items()}
    assert {v.device.type for v in bare.values()} == {"meta"}


def test_shrinking_keeps_the_architecture_and_the_given_config():
    cfg = build_config("Misc/cascade_mask_rcnn_X_152_32x8d_FPN_IN5k_gn_dconv.yaml")
    text = cfg.dump()
    small = zoo_check.shrink(cfg, "cpu")
    assert cfg.dump() == text
    assert small.MODEL.RESNETS == cfg.MODEL.RESNETS
    assert small.MODEL.ROI_MASK_HEAD == cfg.MODEL.ROI_MASK_HEAD


# ---- what cannot be right is said --------------------------------------------------------------------------------


def failing_model(loss):
    import torch

    model = torch.nn.Linear(1, 1)
    model.forward = lambda inputs: {"loss": loss(model)}
    return model


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda model: model.weight.sum() * float("nan"), "not finite"),
        (lambda model: 0 * model.weight.sum(), "no weight received a gradient"),
    ],
)
def test_a_void_training_step_is_an_error(loss, message):
    cfg = build_config(REPRESENTATIVE[1])
    with pytest.raises(zoo_check.ZooError, match=message):
        zoo_check.train_step(failing_model(loss), cfg, [])


def test_an_optimizer_that_does_nothing_is_an_error():
    cfg = build_config(REPRESENTATIVE[1])
    cfg.SOLVER.BASE_LR = 0.0
    with pytest.raises(zoo_check.ZooError, match="did not change the weights"):
        zoo_check.train_step(failing_model(lambda model: model.weight.sum()), cfg, [])


def test_a_prediction_without_masks_is_an_error():
    cfg = build_config(REPRESENTATIVE[1])
    with pytest.raises(zoo_check.ZooError, match=r"lacks instances\.pred_masks"):
        zoo_check._refuse_missing_outputs(cfg, ("instances", "instances.scores"))


# ---- the command -------------------------------------------------------------------------------------------------


def test_listing_names_every_config_with_its_kind(capsys):
    assert command.main([]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {name: kind for kind, name in rows} == zoo_kinds()


def test_kinds_and_names_are_chosen_in_the_zoos_order():
    kinds = {"a.yaml": "instance", "b.yaml": "keypoint", "c.yaml": "instance"}
    assert command.choose(["b", "instance"], kinds) == ["a.yaml", "b.yaml", "c.yaml"]
    assert command.choose(["c.yaml", "c"], kinds) == ["c.yaml"]


def test_an_unknown_name_is_answered_with_the_nearest(capsys):
    assert command.main(["--run", "keypiont"]) == 2
    assert "did you mean keypoint?" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="without arguments"):
        command.choose(["zzzz"], {"a.yaml": "instance"})


def test_a_missing_device_is_one_line(capsys):
    assert command.main(["--run", "semantic", "--device", "nonsense"]) == 2
    assert "cannot compute on the device nonsense" in capsys.readouterr().err


def test_one_failure_is_one_line_and_exit_code_1(capsys):
    def attempt(name):
        if name == "b":
            raise ValueError("two\nlines")
        return "fine"

    assert command._try_all(["a", "b"], attempt, "build") == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok      a  fine",
        "FAILED  b  ValueError: two lines",
        "1 of 2 configs build",
    ]


def test_help_needs_no_torch():
    code = "import sys; sys.argv = ['zoo', '--help']\ntry: import thingstuff.cli.zoo as z; z.main()\n"
    code += "except SystemExit: print('torch' in sys.modules, 'detectron2' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "False False"


def test_kind_of_a_base_is_told_by_its_name():
    cfg = build_config("Base-RCNN-FPN.yaml")
    assert kind_of("folder/Base-Mine.yaml", cfg) == "base"
    assert kind_of("mine.yaml", cfg) == "detection"
