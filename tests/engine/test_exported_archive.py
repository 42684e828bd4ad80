"""A `.pt2` is looked into before PyTorch opens it: whatever would run code is refused, and has not run."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from thingstuff.config import load_config
from thingstuff.data.shapes_scene import draw_scene
from thingstuff.engine.exported import ExportedPredictor
from thingstuff.engine.exported.torch_file import write_torch
from thingstuff.engine.exported.traced import trace
from thingstuff.engine.exported.write import Canvas, describe
from thingstuff.engine.predictor import Predictor
from thingstuff.errors import DataError
from thingstuff.modeling.exportable import exportable


@pytest.fixture(scope="module")
def archive(sharp_weights, tmp_path_factory):
    """A semantic model for images of any size, whose sizes are expressions in the file."""
    opts = ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", str(sharp_weights["semantic"])]
    cfg = load_config("thingstuff://shapes/semantic.yaml", opts)
    predictor = Predictor(cfg)
    network = exportable(predictor.model)
    card = describe(cfg, predictor, network, Canvas(dynamic=True))
    path = tmp_path_factory.mktemp("archive") / "model.pt2"
    with path.open("wb") as file:
        write_torch(trace(network, card), card, file)
    image = draw_scene(np.random.default_rng(0)).image_bgr[:100]
    found = ExportedPredictor.open(path, device="cpu")(image)
    assert np.array_equal(found.stuff_map, predictor(image).stuff_map)
    return path


class Trap:
    """A pickle that leaves a file where it is opened."""

    def __init__(self, mark):
        self._mark = mark

    def __reduce__(self):
        return Path.touch, (self._mark,)


def model_json(edit):
    """A change of a .pt2: `edit` is given the model's record."""

    def change(entries, mark):
        record = json.loads(entries["models/model.json"])
        edit(record, mark)
        entries["models/model.json"] = json.dumps(record).encode()

    return change


def expression_of_code(record, mark):
    record["range_constraints"][f"__import__('pathlib').Path({str(mark)!r}).touch()"] = {"min_val": 0, "max_val": 1}


def size_of_code(record, mark):
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    text = json.dumps(record)
    before, key, after = text.partition('"expr_str": ')
    assert key
    record.clear()
    record.update(json.loads(before + key + json.dumps(code) + after[after.index('"', 1) + 1 :]))


def call_of_the_system(record, mark):
    record["graph_module"]["graph"]["nodes"][0]["target"] = "torch.os.system"


def name_that_is_code(record, mark):
    record["graph_module"]["graph"]["inputs"][0] = {"as_tensor": {"name": "x=print('here')"}}


def guard_of_code(record, mark):
    record["guards_code"] = [f"__import__('pathlib').Path({str(mark)!r}).touch()"]


def pickled_weight(entries, mark):
    name = "data/weights/model_weights_config.json"
    record = json.loads(entries[name])
    next(iter(record["config"].values()))["use_pickle"] = True
    entries[name] = json.dumps(record).encode()


def pickled_inputs(entries, mark):
    entries["data/sample_inputs/model.pt"] = pickle.dumps(Trap(mark))


def pickled_constants(entries, mark):
    entries["data/constants/model.pt"] = pickle.dumps(Trap(mark))


def compiled_library(entries, mark):
    entries["data/aotinductor/model/model.so"] = b"\x7fELF"


TRAPS = {
    "expression": model_json(expression_of_code),
    "size": model_json(size_of_code),
    "call": model_json(call_of_the_system),
    "name": model_json(name_that_is_code),
    "guard": model_json(guard_of_code),
    "weight": pickled_weight,
    "inputs": pickled_inputs,
    "constants": pickled_constants,
    "library": compiled_library,
}


@pytest.mark.parametrize("trap", TRAPS)
def test_an_archive_that_would_run_code_is_not_opened(archive, tmp_path, trap):
    with zipfile.ZipFile(archive) as whole:
        entries = {name.partition("/")[2]: whole.read(name) for name in whole.namelist()}
    mark = tmp_path / "ran"
    TRAPS[trap](entries, mark)
    path = tmp_path / "trap.pt2"
    with zipfile.ZipFile(path, "w") as other:
        for name, content in entries.items():
            other.writestr(f"trap/{name}", content)
    with pytest.raises(DataError, match="not opened"):
        ExportedPredictor.open(path, device="cpu")
    assert not mark.exists()
