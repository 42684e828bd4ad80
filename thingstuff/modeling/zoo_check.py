"""Does a model of the zoo work here: build it, and run a training step and a prediction of it on small made-up images.

The architecture stays as its config says. What shrinks is the image, the number of proposals and detections, and the
weights are random, so the numbers mean nothing: what is checked is that every head runs, that each loss is finite and
reaches the weights, and that the optimizer moves them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.solver import build_optimizer
from detectron2.structures import BitMasks, Boxes, Instances, Keypoints, PolygonMasks
from detectron2.utils.events import EventStorage
from torch import nn

IMAGE_SIZE = (64, 96)  # height, width: two cells of the coarsest feature map, which batch norm needs to train
IMAGES = 2
_PROPOSALS = 16
_DETECTIONS = 3
_BOXES_XYXY = ((8, 8, 48, 40), (30, 20, 90, 60))


@dataclass(frozen=True)
class ZooRun:
    """What one run gave: the losses by name, the fields of the prediction, and the seconds it took."""

    losses: dict[str, float]
    outputs: tuple[str, ...]
    seconds: float


class ZooError(RuntimeError):
    """A model of the zoo ran, and its result cannot be right."""


def build_without_weights(cfg: CfgNode) -> nn.Module:
    """What Detectron2's `build_model` makes of `cfg` on the meta device: every layer, and no memory for its weights."""
    cfg = cfg.clone()
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        return build_model(cfg)


def run_small(cfg: CfgNode, device: str = "cpu", seed: int = 0) -> ZooRun:
    """Build the model of `cfg` with random weights, train it one step, predict once. ZooError says what is wrong."""
    started = time.perf_counter()
    torch.manual_seed(seed)
    cfg = shrink(cfg, device)
    inputs = synthetic_inputs(cfg, seed)
    with _one_thread():
        model = build_model(cfg)
        losses = train_step(model, cfg, inputs)
        outputs = predict(model, inputs)
    _refuse_missing_outputs(cfg, outputs)
    return ZooRun(losses, outputs, time.perf_counter() - started)


def shrink(cfg: CfgNode, device: str) -> CfgNode:
    """`cfg` for a quick run: fewer proposals and detections, no threshold on scores, no weights to load."""
    cfg = cfg.clone()
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = device, ""
    rpn, heads, retina = cfg.MODEL.RPN, cfg.MODEL.ROI_HEADS, cfg.MODEL.RETINANET
    rpn.PRE_NMS_TOPK_TRAIN = rpn.PRE_NMS_TOPK_TEST = 4 * _PROPOSALS
    rpn.POST_NMS_TOPK_TRAIN = rpn.POST_NMS_TOPK_TEST = _PROPOSALS
    heads.BATCH_SIZE_PER_IMAGE = _PROPOSALS
    # random weights are sure of nothing: without a threshold there is something for the mask and keypoint heads
    heads.SCORE_THRESH_TEST = retina.SCORE_THRESH_TEST = 0.0
    retina.TOPK_CANDIDATES_TEST = _PROPOSALS
    cfg.TEST.DETECTIONS_PER_IMAGE = _DETECTIONS
    cfg.MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH = 0.0
    cfg.MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT = 1
    return cfg


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: on an image this small several only wait for each other, far longer on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# ---- inputs ------------------------------------------------------------------------------------------------------


def synthetic_inputs(cfg: CfgNode, seed: int = 0) -> list[dict]:
    """Images of noise with two objects each and the truth that the model of `cfg` needs, in Detectron2's format."""
    generator = np.random.default_rng(seed)
    return [_one_input(cfg, generator) for _ in range(IMAGES)]


def _one_input(cfg: CfgNode, generator: np.random.Generator) -> dict:
    height, width = IMAGE_SIZE
    pixels = generator.integers(0, 256, (3, height, width), dtype=np.uint8)
    record = {"image": torch.from_numpy(pixels), "height": height, "width": width, "instances": _truth(cfg)}
    sem_seg = np.zeros(IMAGE_SIZE, np.int64)
    sem_seg[height // 2 :] = cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES - 1
    record["sem_seg"] = torch.from_numpy(sem_seg)
    if cfg.MODEL.PROPOSAL_GENERATOR.NAME == "PrecomputedProposals":
        record["proposals"] = _proposals()
    return record


def _truth(cfg: CfgNode) -> Instances:
    truth = Instances(IMAGE_SIZE)
    truth.gt_boxes = Boxes(torch.tensor(_BOXES_XYXY, dtype=torch.float32))
    truth.gt_classes = torch.zeros(len(_BOXES_XYXY), dtype=torch.int64)
    if cfg.MODEL.MASK_ON:
        truth.gt_masks = _masks(cfg.INPUT.MASK_FORMAT)
    if cfg.MODEL.KEYPOINT_ON:
        truth.gt_keypoints = _keypoints(cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS)
    return truth


def _masks(mask_format: str) -> PolygonMasks | BitMasks:
    polygons = [[np.array([x0, y0, x1, y0, x1, y1, x0, y1], np.float64)] for x0, y0, x1, y1 in _BOXES_XYXY]
    return PolygonMasks(polygons) if mask_format == "polygon" else BitMasks.from_polygon_masks(polygons, *IMAGE_SIZE)


def _keypoints(count: int) -> Keypoints:
    """The points along each box's diagonal, all visible."""
    share = np.linspace(0.1, 0.9, count)[:, None]
    points = [(1 - share) * box[:2] + share * box[2:] for box in np.array(_BOXES_XYXY, np.float32)]
    return Keypoints(np.stack([np.concatenate([p, np.full((count, 1), 2)], axis=1) for p in points]))


def _proposals() -> Instances:
    proposals = Instances(IMAGE_SIZE)
    proposals.proposal_boxes = Boxes(torch.tensor(_BOXES_XYXY, dtype=torch.float32) + 2)
    proposals.objectness_logits = torch.ones(len(_BOXES_XYXY))
    return proposals


# ---- running -----------------------------------------------------------------------------------------------------


def train_step(model: nn.Module, cfg: CfgNode, inputs: list[dict]) -> dict[str, float]:
    """Forward, backward and a step of the config's optimizer; the losses. ZooError if a loss or the step is void."""
    model.train()
    optimizer = build_optimizer(cfg, model)
    with EventStorage():
        losses = model(inputs)
    values = {name: float(loss.detach()) for name, loss in losses.items()}
    if not values or not all(np.isfinite(value) for value in values.values()):
        raise ZooError(f"the losses are not finite: {values}")
    sum(losses.values()).backward()
    learning = [p for p in model.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    if not learning:
        raise ZooError("no weight received a gradient")
    before = learning[-1].detach().clone()
    optimizer.step()
    if torch.equal(before, learning[-1]):
        raise ZooError("the optimizer did not change the weights")
    return values


@torch.no_grad()
def predict(model: nn.Module, inputs: list[dict]) -> tuple[str, ...]:
    """Names of all that the model predicts for the first image: "sem_seg", "instances.pred_masks" and so on."""
    model.eval()
    output = model(inputs[:1])[0]
    fields = output["instances"].get_fields() if "instances" in output else ()
    return tuple(sorted([*output, *(f"instances.{field}" for field in fields)]))


def _refuse_missing_outputs(cfg: CfgNode, outputs: tuple[str, ...]) -> None:
    wanted = set()
    if cfg.MODEL.MASK_ON:
        wanted.add("instances.pred_masks")
    if cfg.MODEL.KEYPOINT_ON:
        wanted.add("instances.pred_keypoints")
    if cfg.MODEL.META_ARCHITECTURE == "PanopticFPN":
        wanted |= {"sem_seg", "panoptic_seg"}
    if wanted - set(outputs):
        raise ZooError(f"the prediction lacks {', '.join(sorted(wanted - set(outputs)))}: it has {', '.join(outputs)}")
