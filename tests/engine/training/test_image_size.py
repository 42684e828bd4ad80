"""How large images may be: a line through two measurements, free memory as Linux states it, steps without a trace."""

import random
import sys

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model

from thingstuff.config import load_config
from thingstuff.engine.training import image_size
from thingstuff.engine.training.image_size import free_memory_bytes, memory_limit_pixels, training_step_bytes
from thingstuff.errors import ConfigError

GIB = 2**30


@pytest.fixture
def net():
    """1000 trained numbers, and 24 frozen ones."""
    net = torch.nn.Sequential(torch.nn.Linear(99, 10), torch.nn.Linear(3, 6))
    for parameter in net[1].parameters():
        parameter.requires_grad = False
    return net


def cfg_with(*overrides):
    return load_config(None, ["MODEL.DEVICE", "cpu", *overrides])


# ---- the line ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "tensors"),
    [
        ((), 1),
        (("SOLVER.OPTIMIZER", "ADAMW"), 2),
        (("SOLVER.OPTIMIZER", "ADAM", "SOLVER.EMA_DECAY", "0.99"), 3),
    ],
)
def test_the_limit_is_where_the_line_meets_four_fifths_of_the_memory(net, overrides, tensors):
    fixed, a_pixel = 300_000_000, 5000
    limit = memory_limit_pixels(cfg_with(*overrides), net, 8 * GIB, lambda side: fixed + a_pixel * side**2)
    assert limit == int((0.8 * 8 * GIB - fixed - tensors * 1000 * 4) / a_pixel)


def test_a_step_that_takes_no_more_for_a_larger_image_says_nothing(net):
    assert memory_limit_pixels(cfg_with(), net, 8 * GIB, lambda side: 1000) is None


def test_what_cannot_be_measured_limits_nothing(net, monkeypatch):
    assert memory_limit_pixels(cfg_with(), net, 8 * GIB, lambda side: None) is None
    monkeypatch.setattr(image_size, "free_memory_bytes", lambda device: None)
    assert memory_limit_pixels(cfg_with(), net, None, lambda side: side**2) is None


def test_the_system_is_asked_for_its_memory(net, monkeypatch):
    monkeypatch.setattr(image_size, "free_memory_bytes", lambda device: GIB)
    limit = memory_limit_pixels(cfg_with(), net, None, lambda side: 1000 * side**2)
    assert limit == int((0.8 * GIB - 4000) / 1000)


@pytest.mark.parametrize("step_bytes", [lambda side: 3 * GIB + side, lambda side: sys.maxsize, lambda side: side**4])
def test_a_step_that_never_fits_is_refused(net, step_bytes):
    with pytest.raises(ConfigError, match=r"16 images does not fit into the 2.0 GiB .* SOLVER.MICRO_BATCHES"):
        memory_limit_pixels(cfg_with(), net, 2 * GIB, step_bytes)


def test_a_model_that_needs_other_truth_is_refused(net):
    with pytest.raises(ConfigError, match="cannot measure PanopticDeepLab"):
        memory_limit_pixels(cfg_with("MODEL.META_ARCHITECTURE", "PanopticDeepLab"), net, GIB)


@pytest.mark.parametrize(("batch", "parts", "images"), [(16, 1, 16), (16, 4, 4), (2, 2, 1)])
def test_the_images_of_a_part_of_the_batch_are_measured(net, monkeypatch, batch, parts, images):
    asked = []

    def step_bytes(cfg, model, count, side_px):
        asked.append((model is net, count, side_px))
        return 1000 * side_px**2

    monkeypatch.setattr(image_size, "training_step_bytes", step_bytes)
    cfg = cfg_with("SOLVER.IMS_PER_BATCH", str(batch), "SOLVER.MICRO_BATCHES", str(parts))
    memory_limit_pixels(cfg, net, 8 * GIB)
    assert asked == [(True, images, 192), (True, images, 384)]


# ---- free memory -------------------------------------------------------------------------------------------------


def system(root, available_kib=8_000_000, group="", **files):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 16000000 kB\nMemAvailable: {available_kib} kB\nHugePages_Total: 0\n")
    (root / "proc/self/cgroup").write_text(group)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def free_cpu(root):
    return free_memory_bytes(torch.device("cpu"), root)


def test_without_control_groups_what_the_kernel_calls_available_is_free(tmp_path):
    system(tmp_path)
    assert free_cpu(tmp_path) == 8_000_000 * 1024


@pytest.mark.parametrize("own", ["/", "/a", "/a/b"])
def test_version_2_counts_the_group_and_those_above(tmp_path, own):
    files = {"memory_DOT_max": str(4 * GIB), "memory_DOT_current": str(3 * GIB)}
    files["memory_DOT_stat"] = f"anon 5\ninactive_file {GIB}\n"
    files |= {"a__memory_DOT_max": "max", "a__memory_DOT_current": "7"}
    system(tmp_path, group=f"0::{own}\n", **files)
    assert free_cpu(tmp_path) == 4 * GIB - (3 * GIB - GIB)


def test_version_1_counts_its_memory_group(tmp_path):
    files = {
        "memory__jobs__memory_DOT_limit_in_bytes": str(2 * GIB),
        "memory__jobs__memory_DOT_usage_in_bytes": str(GIB),
        "memory__jobs__memory_DOT_stat": "total_inactive_file 1000\n",
        "memory__memory_DOT_limit_in_bytes": "9223372036854771712",
        "memory__memory_DOT_usage_in_bytes": str(9 * GIB),
        "memory__memory_DOT_stat": "",
    }
    system(tmp_path, group="5:cpu,cpuacct:/jobs\n4:memory:/jobs\n0::/\n", **files)
    assert free_cpu(tmp_path) == GIB + 1000


def test_a_group_that_is_full_leaves_nothing(tmp_path):
    files = {"memory_DOT_max": "1000", "memory_DOT_current": "1500", "memory_DOT_stat": ""}
    system(tmp_path, group="0::/\n", **files)
    assert free_cpu(tmp_path) == 0


def test_other_systems_and_devices_say_nothing(tmp_path):
    assert free_cpu(tmp_path) is None
    assert free_memory_bytes(torch.device("meta")) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machine_has_memory():
    assert 0 < free_memory_bytes(torch.device("cpu")) < 2**50


# ---- a step ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["mask_rcnn", "panoptic_fpn", "semantic"])
def test_a_step_is_measured_and_leaves_no_trace(tiny_cfg, recipe):
    cfg = tiny_cfg(f"shapes/{recipe}.yaml")
    model = build_model(cfg).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    measured = training_step_bytes(cfg, model, 2, 128)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training
    if sys.platform == "linux" and measured is not None:
        gradients = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
        assert measured > gradients


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts a process's peak")
def test_larger_images_take_more(tiny_cfg):
    cfg = tiny_cfg("shapes/semantic.yaml")
    model = build_model(cfg)
    small, large = (training_step_bytes(cfg, model, 2, side) for side in (64, 512))
    if small is not None:
        # 64 channels of the first stage alone, at a quarter of each side, in float32, and its gradient
        assert large - small > 2 * 64 * (512**2 - 64**2) / 16 * 4


@pytest.mark.parametrize("mask_format", ["polygon", "bitmask"])
def test_the_truth_is_of_the_format_that_the_config_names(tiny_cfg, mask_format):
    cfg = tiny_cfg("shapes/mask_rcnn.yaml", "INPUT.MASK_FORMAT", mask_format)
    truth = image_size._image(cfg, 64)["instances"]
    heads = cfg.MODEL.ROI_HEADS
    assert len(truth) == round(heads.BATCH_SIZE_PER_IMAGE * heads.POSITIVE_FRACTION)
    corners = truth.gt_boxes.tensor
    assert (corners >= 0).all()
    assert (corners <= 64).all()
    assert type(truth.gt_masks).__name__ == {"polygon": "PolygonMasks", "bitmask": "BitMasks"}[mask_format]


def test_keypoints_are_made_where_they_are_trained(tiny_cfg):
    cfg = tiny_cfg("shapes/mask_rcnn.yaml", "MODEL.KEYPOINT_ON", "True")
    points = image_size._image(cfg, 64)["instances"].gt_keypoints.tensor
    assert points.shape[1:] == (cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS, 3)


def test_out_of_memory_is_more_than_there_is(tiny_cfg, monkeypatch):
    cfg = tiny_cfg("shapes/semantic.yaml")
    model = build_model(cfg)

    def fail(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(model), "forward", fail)
    assert training_step_bytes(cfg, model, 1, 64) == sys.maxsize
