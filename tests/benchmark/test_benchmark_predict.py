"""tools/benchmark.py predict: every program finds the injected detections, and odd arguments are refused."""

import json

import pytest
import torch
from helpers import assert_one_line

from thingstuff.benchmark.prediction import process, turns
from thingstuff.benchmark.prediction.agreement import agreement
from thingstuff.benchmark.prediction.images import image_sizes, write_photographs
from thingstuff.benchmark.prediction.process import OWN, Job, _Predicting
from thingstuff.benchmark.prediction.programs import MODES, SYSTEMS
from thingstuff.benchmark.prediction.rows import LEAST_IOU
from thingstuff.benchmark.train_data import write_weights
from thingstuff.config import load_config

PROPOSALS = 40


@pytest.fixture(scope="module")
def opened(tmp_path_factory, small_shapes):
    """A function: system -> what its process would hold, with random weights, small images and one thread."""
    folder = tmp_path_factory.mktemp("predict")
    images = write_photographs(folder, 2, seed=0)
    overrides = ["MODEL.DEVICE", "cpu", "INPUT.MIN_SIZE_TEST", "64", "INPUT.MAX_SIZE_TEST", "106"]
    cfg = load_config("thingstuff://shapes/mask_rcnn.yaml", [*overrides, "MODEL.WEIGHTS", str(folder / "weights.pth")])
    cfg.MODEL.RPN.POST_NMS_TOPK_TEST = PROPOSALS
    write_weights(cfg, folder / "weights.pth", 0, images[0])
    (folder / "config.yaml").write_text(cfg.dump())
    threads, kept = torch.get_num_threads(), {}

    def open_one(system):
        if system not in kept:
            names, sizes = [str(path) for path in images], image_sizes(images)
            kept[system] = _Predicting(
                Job(system, str(folder / "config.yaml"), None, [], names, sizes, PROPOSALS, threads, seed=0)
            )
        return kept[system]

    yield open_one
    torch.set_num_threads(threads)


@pytest.mark.parametrize("detections", ["0", "4"])
@pytest.mark.parametrize("system", [system for system in SYSTEMS if system not in ("stock", "artifact")])
def test_every_program_finds_the_injected_detections(opened, system, detections):
    request = {"do": "call", "image": 1, "detections": detections, "with_records": True}
    answer, expected = (opened(name).answer(**request) for name in (system, "stock"))
    found = agreement([answer["records"]], [expected["records"]])
    assert (found.fewest, found.most, found.unmatched) == (int(detections), int(detections), 0)
    if system not in LEAST_IOU:
        assert found.identical
    elif detections != "0":
        assert found.mean_iou >= LEAST_IOU[system]
    assert {"decode", "resize", "backbone", "proposals", "boxes", "masks", "encode"} <= set(answer["stages"])
    assert all(took >= 0 for took in answer["stages"].values())
    json.dumps(answer)  # goes over a pipe


@pytest.mark.parametrize(("system", "calls"), [("stock", [2]), ("exact", [1, 1]), ("fast", [2]), ("torchvision", [2])])
def test_a_batch_is_one_call_but_in_the_exact_mode(opened, system, calls):
    one = opened(system)
    called = []
    hook = one._program.network.backbone.register_forward_pre_hook(lambda _, inputs: called.append(len(inputs[0])))
    one.answer(do="call", image=0, detections="3", batch=2)
    hook.remove()
    assert called == calls


def test_left_to_themselves_exact_and_stock_find_the_same(opened):
    request = {"do": "call", "image": 0, "detections": OWN, "with_records": True}
    exact, stock = (opened(name).answer(**request)["records"] for name in ("exact", "stock"))
    assert len(stock) > 4
    assert agreement([exact], [stock]).identical


def test_operations_are_counted_by_stage(opened):
    network = opened("stock")._program.network
    flop = opened("stock").answer(do="flops", image=0, detections="3")["stages"]
    predictor, head = network.roi_heads.box_predictor, network.roi_heads.box_head
    products = [head.fc1, head.fc2, predictor.cls_score, predictor.bbox_pred]
    assert flop["boxes"] == 2 * PROPOSALS * sum(layer.in_features * layer.out_features for layer in products)
    assert flop["decode"] == flop["encode"] == 0
    # what is timed afterwards is time again
    assert opened("stock").answer(do="call", image=0, detections="3")["stages"]["decode"] < flop["boxes"]


def test_facts_and_features(opened):
    stock, exact = opened("stock"), opened("exact")
    assert stock.answer(do="facts")["parameters"] == sum(p.numel() for p in stock._program.network.parameters())
    one, other = (program.answer(do="features", image=0) for program in (stock, exact))
    assert one == other
    assert one["precision"] == "float32"


def test_a_plain_product_has_a_rate(monkeypatch):
    monkeypatch.setattr(process, "_MATMUL_SIDE", {"cpu": 16})
    monkeypatch.setattr(process, "_MATMUL_SECONDS", 0.01)
    assert process._matmul_rate("float32", torch.device("cpu")) > 0


def test_our_modes_are_those_that_are_measured():
    assert set(MODES) < set(SYSTEMS)
    assert turns.STOCK in SYSTEMS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--systems", "stock", "quick"], "--systems: there is no 'quick': choose some of stock, exact"),
        (["--detections", "20", "many"], "--detections: expected numbers or own, got 'many'"),
        (["--detections", "-3"], "--detections"),
        (["--batches", "0"], "--batches must be 1 or more, got 0"),
        (["--threads", "0"], "--threads must be 1 or more, got 0"),
        (["--proposals", "0"], "--proposals must be 1 or more, got 0"),
        (["--size", "-1"], "--size must be 0 or more, got -1"),
        (["--count", "0"], "--count 0 means all images of --images"),
        (["--images", "no/folder"], "--images: there is no folder no/folder"),
        (["--artifact", "no.onnx"], "--artifact: there is no file no.onnx"),
        (["--ground-truth", "shapes_val"], "--ground-truth needs --weights"),
        (["--ground-truth", "shapes_vl", "--weights", "w.pth"], "no data set is registered as shapes_vl"),
        (["--plot", "bars.jpg"], "figures are written as .png or .svg"),
        (["--repeats", "0"], "--repeats must be 1 or more, got 0"),
        (
            ["--config-file", "thingstuff://shapes/semantic.yaml"],
            "models that find instances are measured, and a SemanticSegmentor finds none",
        ),
        (["--proposals", "10", "--detections", "11"], "--detections 11 do not come from --proposals 10"),
    ],
)
def test_odd_arguments_are_refused_in_one_line(run_tool, arguments, words):
    code, _, errors = run_tool("benchmark", "predict", "--count", "1", *arguments)
    assert code == 2
    assert_one_line(errors, words)
