"""How ultralytics is imported: late, told once, offline, without a trace; and what is said where it is missing."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, assert_one_line
from yoloseg.package import load_package
from yoloseg_package import needs_ultralytics

CONFIG = Path(__file__).parents[1] / "configs/shapes.yaml"

# run in a process of its own, whose home is empty and whose network calls are counted and fail
SCRIPT = r"""
import json, os, socket, sys, urllib.request
tried = []
def refuse(*args, **kwargs):
    tried.append(repr(args))
    raise OSError("no network here")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = socket.gethostbyname = refuse
import cv2, numpy, torch, warnings
from PIL import Image
from thingstuff.config import load_config
cfg = load_config(sys.argv[1], ["MODEL.DEVICE", "cpu", "DATASETS.TRAIN", "()", "DATASETS.TEST", "()"])
early = "ultralytics" in sys.modules
cv2.setNumThreads(2)
state = lambda: [dict(os.environ), torch.save.__module__, Image.open.__module__, cv2.imread.__module__,
                 cv2.getNumThreads(), str(torch.tensor([1 / 3])),
                 str(numpy.array([1 / 3])), len(warnings.filters), torch.get_num_threads()]
before = state()
from detectron2.modeling import build_model
model = build_model(cfg).eval()
after = state()
image = torch.zeros(3, 64, 64)
with torch.inference_mode():
    model([{"image": image}])
from detectron2.structures import BitMasks, Boxes, Instances
one = Instances((64, 64), gt_boxes=Boxes(torch.tensor([[4.0, 4, 40, 40]])), gt_classes=torch.tensor([0]))
one.gt_masks = BitMasks(torch.ones(1, 64, 64, dtype=torch.bool))
sum(model.train()([{"image": image, "instances": one}]).values()).backward()
from ultralytics.utils import AUTOINSTALL, ONLINE, SETTINGS
print(json.dumps({"tried": tried, "early": early, "changed": [a for a, b in zip(before, after) if a != b],
                  "autoinstall": AUTOINSTALL, "online": ONLINE, "sync": SETTINGS["sync"]}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the script says, and what it left in its home and its working folder."""
    needs_ultralytics()
    home, work = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("work")
    names = ("YOLO_CONFIG_DIR", "YOLO_OFFLINE", "YOLO_AUTOINSTALL", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", SCRIPT, str(CONFIG)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=work, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    left = [str(path.relative_to(top)) for top in (home, work) for path in top.rglob("*") if path.is_file()]
    return json.loads(done.stdout.splitlines()[-1]) | {"left": left}


def test_no_network_is_tried(told):
    assert told["tried"] == []
    assert not told["online"]
    assert not told["autoinstall"]
    assert not told["sync"]


def test_nothing_of_ultralytics_is_written(told):
    assert [name for name in told["left"] if "ltralytics" in name or name.endswith((".ttf", ".pt"))] == []


def test_a_config_alone_imports_no_ultralytics(told):
    assert not told["early"]


def test_nothing_of_the_process_is_changed(told):
    assert told["changed"] == []


def test_the_licence_is_told_once(monkeypatch):
    needs_ultralytics()
    load_package.cache_clear()
    told = []
    monkeypatch.setattr(logging.getLogger("thingstuff.yoloseg"), "info", lambda text, *_: told.append(text))
    load_package()
    load_package()
    assert [text.count("AGPL-3.0") for text in told] == [1]


def test_where_it_is_missing_one_line_names_the_extra(monkeypatch, run_tool, small_shapes, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "ultralytics"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    load_package.cache_clear()
    try:
        code, _, err = run_tool(
            "train_net", "--config-file", CONFIG, "MODEL.DEVICE", "cpu", "OUTPUT_DIR", tmp_path / "run"
        )
    finally:
        load_package.cache_clear()
    assert code == 2
    assert_one_line(err, "PROJECT YOLOSeg needs the package ultralytics: pip install 'thingstuff[yolo]'")
    assert not (tmp_path / "run").exists()
