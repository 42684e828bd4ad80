"""A folder of weights becomes a network; what is none is refused in one line, and no pickle is read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sam_cases import picture, save, small_model
from sam_masks.prompts import Prompts
from sam_masks.segmenter import Segmenter
from sam_masks.weights import check_folder, check_transformers, load_network, require_transformers, weights_hash

from thingstuff.errors import DataError, SetupError, WeightsError

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path):
    return save(small_model("sam"), tmp_path / "weights")


def without(folder, name):
    """The weights file less one of its tensors."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors[name]
    save_file(tensors, path, metadata={"format": "pt"})


def test_colours_are_normalised_as_the_folder_says(folder):
    image = picture(64, 64)
    usual = load_network(folder).encode(image).features
    # transformers 5 writes a processor's file, and 4 one of its image processor
    for name, wrap in (
        ("preprocessor_config.json", lambda c: c),
        ("processor_config.json", lambda c: {"image_processor": c}),
    ):
        stated = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
        (folder / name).write_text(json.dumps(wrap(stated)))
        assert torch.equal(load_network(folder).encode(image).features, usual)
        (folder / name).write_text(json.dumps(wrap(stated | {"image_mean": [0.1, 0.2, 0.3]})))
        assert not torch.equal(load_network(folder).encode(image).features, usual)
        (folder / name).unlink()


def test_weights_are_known_by_their_content(folder, tmp_path):
    first = weights_hash(folder)
    other = save(small_model("sam", seed=1), tmp_path / "other")
    again = save(small_model("sam"), tmp_path / "again")
    assert weights_hash(again) == first != weights_hash(other)
    (folder / "preprocessor_config.json").write_text("{}")
    assert weights_hash(folder) != first


def test_half_precision_weights_compute_in_float32(tmp_path):
    folder = save(small_model("sam2").to(torch.bfloat16), tmp_path / "half")
    network = load_network(folder)
    answers = Segmenter(network)(picture(40, 60), Prompts(np.array([[2, 2, 30, 30]], np.float32)))
    assert answers.ious.dtype == np.float32
    assert {value.dtype for value in network._model.parameters()} == {torch.float32}


def test_a_file_that_lacks_weights_is_refused(folder):
    name = "mask_decoder.iou_token.weight"
    without(folder, name)
    with pytest.raises(WeightsError, match=f"lacks 1 weights of a SamModel, as {name}"):
        load_network(folder)


def test_weights_of_another_size_or_family_are_refused(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    config["mask_decoder_config"]["mlp_dim"] = 40
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="cannot be read as a SamModel"):
        load_network(folder)
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "sam2"}))
    with pytest.raises(WeightsError, match="Sam2Model"):
        load_network(folder)


def test_a_damaged_file_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot be read as a SamModel"):
        load_network(folder)


def write(folder, **files):
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("files", "error", "said"),
    [
        (None, WeightsError, "there is no folder of weights at .*: fetch the weights into it first"),
        ({}, WeightsError, "has no config.json"),
        ({"config__json": '{"model_type": "sam"}'}, WeightsError, "has no model.safetensors .there are no weights"),
        (
            {"config__json": '{"model_type": "sam"}', "pytorch_model__bin": "x"},
            WeightsError,
            "pytorch_model.bin is a pickle, which is not read",
        ),
        (
            {"config__json": '{"model_type": "mask2former"}', "model__safetensors": "x"},
            WeightsError,
            "is of a mask2former model: expected sam, sam2, sam2_video",
        ),
        ({"config__json": "[]", "model__safetensors": "x"}, WeightsError, "is of a nameless model"),
        ({"config__json": "{", "model__safetensors": "x"}, DataError, "not JSON"),
    ],
)
def test_what_is_no_folder_of_sam_is_refused(tmp_path, files, error, said):
    folder = tmp_path / "weights"
    if files is not None:
        write(folder, **files)
    with pytest.raises(error, match=said):
        check_folder(folder)


def test_a_file_instead_of_its_folder_is_refused(folder):
    with pytest.raises(WeightsError, match="give the folder that holds it"):
        check_folder(folder / "model.safetensors")


@pytest.mark.parametrize("mean", ["0.5", [0.5], ["a", "b", "c"]])
def test_a_preprocessor_that_says_nonsense_is_refused(folder, mean):
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": mean}))
    with pytest.raises(WeightsError, match="image_mean of its preprocessor: expected three numbers"):
        load_network(folder)


def test_without_the_extra_one_line_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    for check in (check_transformers, require_transformers):
        with pytest.raises(SetupError, match=r"needs transformers 4.56 or newer: pip install 'thingstuff\[sam\]'"):
            check()


def test_a_transformers_without_sam_2_is_too_old(monkeypatch):
    import types

    monkeypatch.setitem(sys.modules, "transformers", types.ModuleType("transformers"))
    with pytest.raises(SetupError, match="needs transformers 4.56 or newer"):
        require_transformers()


def test_a_network_is_loaded_without_any_address(folder):
    """In a process whose sockets refuse to connect."""
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('an address was asked for')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from pathlib import Path\n"
        "from sam_masks.weights import load_network\n"
        f"print(load_network(Path({str(folder)!r})).side)\n"
    )
    paths = os.pathsep.join([str(PROJECT), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}
    )
    assert (run.stdout, run.returncode) == ("128\n", 0), run.stderr


@pytest.mark.parametrize("command", ["refine", "label"])
def test_help_loads_nothing_heavy(command):
    code = (
        "import sys\n"
        f"sys.argv = ['{command}', '--help']\n"
        f"from sam_masks.{command}_command import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'transformers', 'detectron2', 'numpy'} & set(sys.modules)\n"
    )
    paths = os.pathsep.join([str(PROJECT), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}
    )
    assert run.returncode == 0, run.stderr
    assert "--model FOLDER" in run.stdout
