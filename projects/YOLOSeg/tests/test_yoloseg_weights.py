"""ultralytics' files and our own are loaded without running code; what does not fit is refused in one line."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from yoloseg.pt_file import read_pt
from yoloseg.weights import adapted
from yoloseg_cases import NAMES, found_by, picture, saved, sharp_model, sharp_state, small_cfg

from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.engine.weights.file import read_weights_file
from thingstuff.engine.weights.kind import is_of_backbone
from thingstuff.errors import WeightsError


def network_of(name, **overrides):
    return sharp_model(name, **overrides).network


# ---- .pt -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("as_ema", [False, True])
def test_a_file_of_ultralytics_gives_its_state_in_float32(name, as_ema, tmp_path):
    network = network_of(name)
    found = read_weights_file(saved(tmp_path / "best.pt", network, as_ema=as_ema))["model"]
    expected = copy.deepcopy(network).half().float().state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert all(found[key].dtype == expected[key].dtype for key in expected)


def test_a_file_that_ultralytics_itself_has_written(tmp_path):
    from ultralytics import YOLO

    model = YOLO("yolo11n-seg.yaml", verbose=False)
    model.save(tmp_path / "yolo.pt")
    found, expected = read_pt(tmp_path / "yolo.pt")["model"], model.model.half().float().state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_numbers_of_numpy_and_paths_beside_the_model_do_no_harm(tmp_path):
    file = saved(tmp_path / "best.pt", network_of(NAMES[0]), best_fitness=np.float64(0.5), train_args={"p": Path("a")})
    assert read_weights_file(file)["model"].keys() == sharp_state(NAMES[0]).keys()


def test_the_model_loads_it_and_predicts_the_same(tmp_path):
    network = copy.deepcopy(network_of(NAMES[0])).half().float()
    file = saved(tmp_path / "best.pt", network)
    model = build_model(small_cfg(MODEL__YOLOSEG__NAME=NAMES[0])).eval()
    Checkpointer(model, whole_model=True).load(str(file))
    expected = build_model(small_cfg(MODEL__YOLOSEG__NAME=NAMES[0])).eval()
    expected.network.load_state_dict(network.state_dict())
    ours, theirs = (found_by(each, picture(96, 128)) for each in (model, expected))
    assert len(ours) > 5
    assert torch.equal(ours.scores, theirs.scores)


def test_our_own_checkpoints_load_again(tmp_path):
    model = sharp_model()
    Checkpointer(model, str(tmp_path)).save("model_final")
    again = build_model(small_cfg(MODEL__YOLOSEG__NAME=NAMES[0])).eval()
    Checkpointer(again, whole_model=True).load(str(tmp_path / "model_final.pth"))
    assert torch.equal(found_by(again, picture(96, 128)).scores, found_by(model, picture(96, 128)).scores)


def test_a_plain_state_in_a_pt_file_is_read_as_any(tmp_path):
    torch.save(sharp_state(NAMES[0]), tmp_path / "state.pt")
    assert read_weights_file(tmp_path / "state.pt")["model"].keys() == sharp_state(NAMES[0]).keys()


def test_they_are_weights_of_a_detector(tmp_path):
    assert not is_of_backbone(str(saved(tmp_path / "best.pt", network_of(NAMES[0]))))


class Evil:
    def __reduce__(self):
        return os.system, ("echo run > evil.txt",)


class EvilAttribute:
    def __reduce__(self):
        return getattr, (os, "system")


def test_no_code_of_a_file_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = saved(tmp_path / "evil.pt", network_of(NAMES[0]), train_args=Evil())
    with pytest.raises(WeightsError, match=r"evil.pt would run \w+\.system when read"):
        read_weights_file(file)
    assert not Path("evil.txt").exists()


def test_what_is_known_is_a_stand_in_that_calls_nothing(tmp_path):
    """`getattr`, which ultralytics' files may name, gives nothing here."""
    network = network_of(NAMES[0])
    network.hook = Method()
    found = read_weights_file(saved(tmp_path / "a.pt", network))["model"]
    assert found.keys() == sharp_state(NAMES[0]).keys()


class Method:
    """Pickled as `getattr(Conv, "forward")`."""

    def __reduce__(self):
        from ultralytics.nn.modules.conv import Conv

        return getattr, (Conv, "forward")


def test_reading_a_file_imports_no_ultralytics(tmp_path):
    file = saved(tmp_path / "best.pt", network_of(NAMES[0]))
    code = (
        "import sys; from thingstuff.config.projects import import_project; import_project('YOLOSeg')\n"
        "from pathlib import Path; from thingstuff.engine.weights.file import read_weights_file\n"
        f"print(len(read_weights_file(Path({str(file)!r}))['model']), 'ultralytics' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(sharp_state(NAMES[0]))), "False"]


def detection_file(path):
    from ultralytics.nn.tasks import DetectionModel

    return saved(path, DetectionModel("yolov8n.yaml", verbose=False))


def text_file(path):
    path.write_text("no weights")
    return path


def empty_file(path):
    torch.save({"epoch": 1, "model": None, "args": Method()}, path)
    return path


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (detection_file, "holds a DetectionModel, expected a SegmentationModel: pass weights that end in -seg.pt"),
        (text_file, "is damaged, cut short or no file of weights"),
        (empty_file, "holds no model of ultralytics"),
    ],
)
def test_other_files_are_refused_in_one_line(write, said, tmp_path):
    with pytest.raises(WeightsError, match=said):
        read_weights_file(write(tmp_path / "other.pt"))


# ---- what fits -------------------------------------------------------------------------------------------------------


def load(file, name=NAMES[0], whole=True, **overrides):
    model = build_model(small_cfg(MODEL__YOLOSEG__NAME=name, **overrides))
    Checkpointer(model, whole_model=whole, reinit_heads=model.reinit_heads).load(str(file))
    return model


@pytest.mark.parametrize(
    ("name", "size"), [("yolo11n-seg.yaml", "another family"), ("yolov8s-seg.yaml", "another size")]
)
def test_weights_of_another_architecture_are_refused(name, size, tmp_path):
    file = saved(tmp_path / "best.pt", network_of(NAMES[0]))
    with pytest.raises(WeightsError, match="best.pt was made for another model"):
        load(file, name)
    with pytest.raises(WeightsError, match="best.pt was made for another model"):
        load(file, name, MODEL__ROI_HEADS__NUM_CLASSES=80, MODEL__REINIT_HEADS=True)


@pytest.mark.parametrize("classes", [2, 80])
@pytest.mark.parametrize("ending", ["pt", "pth"])
def test_other_classes_are_said_or_begin_anew(classes, ending, tmp_path):
    """With 80 of them the hidden layers of their branch are wider, too."""
    source = sharp_model()
    if ending == "pt":
        file = saved(tmp_path / "best.pt", source.network)
    else:
        Checkpointer(source, str(tmp_path)).save("best")
        file = tmp_path / "best.pth"
    with pytest.raises(WeightsError, match=rf"is for 6 classes, this model has {classes}: .*MODEL.REINIT_HEADS True"):
        load(file, MODEL__ROI_HEADS__NUM_CLASSES=classes)
    model = load(file, whole=False, MODEL__ROI_HEADS__NUM_CLASSES=classes, MODEL__REINIT_HEADS=True)
    state, theirs = model.network.state_dict(), source.network.state_dict()
    stem = "model.0.conv.weight"
    torch.testing.assert_close(state[stem], theirs[stem], atol=1e-3, rtol=1e-3)
    kept = [name for name in state if ".cv3." not in name and not name.endswith("num_batches_tracked")]
    assert all(torch.allclose(state[name], theirs[name], atol=1e-3, rtol=1e-3) for name in kept)
    with pytest.raises(WeightsError, match="lacks .* parameters of this model"):
        load(file, MODEL__ROI_HEADS__NUM_CLASSES=classes, MODEL__REINIT_HEADS=True)


def test_names_of_ultralytics_become_ours_and_the_others_stay():
    state = {"model.0.conv.weight": torch.zeros(1), "network.model.1.bn.bias": torch.zeros(1), "other": torch.zeros(1)}
    found = adapted("a.pt", state, {}, reinit=False)
    assert list(found) == ["network.model.0.conv.weight", "network.model.1.bn.bias", "other"]
