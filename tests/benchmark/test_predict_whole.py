"""tools/benchmark.py predict with models of other architectures: one stage, their own load, the same records."""

import argparse
import json

import pytest
import torch
from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import Boxes, Instances
from helpers import ROOT, assert_one_line

from thingstuff.benchmark.prediction.agreement import agreement
from thingstuff.benchmark.prediction.images import image_sizes, write_photographs
from thingstuff.benchmark.prediction.process import OWN, Job, _Predicting
from thingstuff.benchmark.prediction.rows import rows_of
from thingstuff.benchmark.prediction.stages import WHOLE
from thingstuff.benchmark.prediction.subjects import SYSTEMS, subjects_of
from thingstuff.benchmark.prediction.tables import latency_table, more_tables
from thingstuff.benchmark.prediction.turns import Measured
from thingstuff.benchmark.train_data import write_weights
from thingstuff.config import load_config
from thingstuff.report.table import text_table

YOLACT = str(ROOT / "projects/YOLACT/configs/shapes.yaml")
PROJECTS = {  # with options under which random weights find something
    "YOLACT": (),
    "SOLOv2": ("MODEL.SOLOV2.CATEGORY_THRESH", "0.001", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"),
    "TorchvisionMaskRCNN": (),
}
MASK_RCNN = "thingstuff://shapes/mask_rcnn.yaml"
SIDE, CHANNELS = 64, 5


@META_ARCH_REGISTRY.register()
class OneConvolution(torch.nn.Module):
    """Without a backbone; it finds the upper left quarter of every image as class 2, whatever its weights."""

    @configurable
    def __init__(self, *, with_masks):
        super().__init__()
        self.with_masks = with_masks
        self.conv = torch.nn.Conv2d(3, CHANNELS, 3, padding=1, bias=False)

    @classmethod
    def from_config(cls, cfg):
        return {"with_masks": cfg.MODEL.MASK_ON}

    def forward(self, batched_inputs):
        return [{"instances": self.found(one)} for one in batched_inputs]

    def found(self, one):
        height, width = one["height"], one["width"]
        score = self.conv(one["image"].float()[None]).mean().sigmoid() / 2 + 0.5
        found = Instances((height, width))
        found.pred_boxes = Boxes(torch.tensor([[0.0, 0.0, width // 2, height // 2]]))
        found.scores, found.pred_classes = score[None], torch.tensor([2])
        if self.with_masks:
            found.pred_masks = torch.zeros(1, height, width, dtype=torch.bool)
            found.pred_masks[:, : height // 2, : width // 2] = True
        return found


@pytest.fixture(scope="module")
def opened(tmp_path_factory, small_shapes):
    """A function: system, config and options -> what its process would hold, with random weights and two images."""
    folder = tmp_path_factory.mktemp("whole")
    images = write_photographs(folder, 2, seed=0)
    threads = torch.get_num_threads()

    def open_one(system, config, *options):
        name = f"{abs(hash((config, options)))}"
        size = ["INPUT.MIN_SIZE_TEST", str(SIDE), "INPUT.MAX_SIZE_TEST", "106", "MODEL.DEVICE", "cpu"]
        cfg = load_config(config, [*size, *options, "MODEL.WEIGHTS", str(folder / f"{name}.pth")])
        if not (folder / f"{name}.pth").exists():
            write_weights(cfg, folder / f"{name}.pth", 0, images[0])
            (folder / f"{name}.yaml").write_text(cfg.dump())
        paths = [str(path) for path in images]
        job = Job(system, str(folder / f"{name}.yaml"), None, [], paths, image_sizes(images), 20, threads, seed=0)
        return _Predicting(job)

    yield open_one
    torch.set_num_threads(threads)


@pytest.mark.parametrize("project", PROJECTS)
def test_a_project_is_measured_whole_and_finds_what_detectron2s_predictor_finds(opened, project):
    config = str(ROOT / f"projects/{project}/configs/shapes.yaml")
    request = {"do": "call", "image": 0, "detections": OWN, "with_records": True}
    stock, exact = (opened(system, config, *PROJECTS[project]) for system in ("stock", "exact"))
    expected, answer = stock.answer(**request), exact.answer(**request)
    assert expected["records"]
    assert agreement([answer["records"]], [expected["records"]]).identical
    for stages in (answer["stages"], expected["stages"]):
        assert set(stages) == {"decode", "resize", WHOLE, "paste", "encode"}
    json.dumps(answer)
    assert len(exact.answer(do="call", image=0, detections=OWN, batch=2)["stages"]) >= 4
    features = exact.answer(do="features", image=0)
    assert features["precision"] == "float32"
    assert features == stock.answer(do="features", image=0)


def test_operations_of_a_whole_network_are_counted(opened):
    program = opened("exact", MASK_RCNN, "MODEL.META_ARCHITECTURE", "OneConvolution")
    flop = program.answer(do="flops", image=0, detections=OWN)["stages"]
    height, width = SIDE, round(SIDE * 640 / 480)  # of the first photograph, 480 x 640
    assert flop[WHOLE] == 2 * CHANNELS * 3 * 3 * 3 * height * width
    assert program.answer(do="facts")["parameters"] == CHANNELS * 3 * 3 * 3
    assert program.answer(do="features", image=0) == {}  # it has no backbone


@pytest.mark.parametrize("masks", ["True", "False"])
def test_a_model_with_boxes_alone_is_measured_too(opened, masks):
    options = ("MODEL.META_ARCHITECTURE", "OneConvolution", "MODEL.MASK_ON", masks)
    request = {"do": "call", "image": 0, "detections": OWN, "with_records": True}
    exact, stock = (opened(name, MASK_RCNN, *options).answer(**request)["records"] for name in ("exact", "stock"))
    assert ("segmentation" in exact[0]) == (masks == "True")
    found = agreement([exact], [stock])
    assert (found.fewest, found.most, found.mean_iou, found.unmatched) == (1, 1, 1.0, 0)
    assert exact[0]["category_id"] == 2


def test_an_operation_that_cannot_be_counted_leaves_no_number(opened, monkeypatch):
    program = opened("exact", MASK_RCNN, "MODEL.META_ARCHITECTURE", "OneConvolution")

    def refuse(self, found):
        raise NotImplementedError("no rule for this operation")

    with monkeypatch.context() as patch:
        patch.setattr(OneConvolution, "found", refuse)
        assert program.answer(do="flops", image=0, detections=OWN) == {"stages": {}}
    assert program.answer(do="call", image=0, detections=OWN)["stages"][WHOLE] > 0  # time again


# ---- which models, with which programs and cases --------------------------------------------------------------------


def subjects(tmp_path, **given):
    values = dict.fromkeys(("systems", "artifact", "detections")) | dict.fromkeys(("size", "seed"), 0)
    values |= {"config_file": MASK_RCNN, "weights": "", "beside": [], "panoptic": "none", "panoptic_weights": ""}
    values |= {"proposals": 20, "opts": ["MODEL.DEVICE", "cpu"]}
    image = write_photographs(tmp_path, 1, seed=0)[0]
    return list(subjects_of(argparse.Namespace(**values | given), image, tmp_path))


def test_models_beside_a_mask_rcnn_are_measured_on_their_own_load(small_shapes, tmp_path):
    weights = tmp_path / "trained.pth"
    first, other, again = subjects(tmp_path, beside=[f"{YOLACT}={weights}", YOLACT], detections=["3"])
    assert (first.part, first.systems, first.cases) == ("instances", SYSTEMS, ("3",))
    assert (other.part, other.systems, other.cases) == ("YOLACT", ("stock", "exact", "fp32", "fast"), (OWN,))
    assert (other.weights, other.cfg.MODEL.WEIGHTS) == (str(weights), str(weights))
    assert (again.part, again.weights) == ("YOLACT shapes", "")
    assert again.cfg.MODEL.WEIGHTS.endswith(".pth")


def test_another_architecture_comes_first_if_it_is_asked_for(small_shapes, tmp_path):
    (one,) = subjects(tmp_path, config_file=YOLACT, panoptic=None, detections=[OWN], size=80)
    assert (one.part, one.cases) == ("YOLACT", (OWN,))
    assert one.cfg.INPUT.MIN_SIZE_TEST == 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--detections", "20"], "--detections: nothing can be injected into YOLACT: leave it out, or say own"),
        (["--systems", "exact", "torchvision"], "torchvision is measured against a Mask R-CNN, and YOLACT is none"),
        (["--beside", "no/such.yaml"], "no/such.yaml"),
        (["--beside", "thingstuff://shapes/semantic.yaml"], "a SemanticSegmentor finds none"),
    ],
)
def test_what_does_not_apply_is_refused_in_one_line(run_tool, small_shapes, arguments, words):
    code, _, errors = run_tool("benchmark", "predict", "--config-file", YOLACT, "--count", "1", *arguments)
    assert code == 2
    assert_one_line(errors, words)


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_the_detections_that_were_found_stand_in_the_table():
    calls = [[{"decode": 1.0, WHOLE: 8.0, "encode": 1.0}] * 2]
    box = {"category_id": 0, "bbox": [0, 0, 5, 5], "score": 0.5}
    one = Measured(10.0, {OWN: calls}, {OWN: [[box] * 3, [box] * 7]}, {"parameters": 10, "peak_mib": 1.0})
    one.matmul = {"float32": 1.0}
    rows = list(rows_of("YOLACT", {"exact": one}, {}))
    assert rows[0].found == [3, 7]
    lines = text_table(**latency_table(rows, images=2, repeats=1)).splitlines()
    assert " ".join(lines[2].split()).startswith("YOLACT exact own, 3 to 7 10.00")
    assert lines[-1].startswith("YOLACT: nothing can be injected there")
    assert text_table(**next(iter(more_tables(rows)))).startswith("ms, YOLACT, own detections")
