"""How many pixels a training image may have so that a step fits into the memory that is free."""

from __future__ import annotations

import copy
import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import BitMasks, Boxes, Instances, Keypoints, PolygonMasks
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from torch import nn

from thingstuff.engine.training.precision import Precision
from thingstuff.engine.training.rng import capture_rng, restore_rng
from thingstuff.errors import ConfigError

SHARE_OF_MEMORY = 0.8  # the rest is for the padding of uneven batches, crowded images and fragmentation
_SIDES_PX = (192, 384)
_SMALLEST_PIXELS = 128 * 128  # what would be learnt from less?
_MEASURABLE = ("GeneralizedRCNN", "PanopticFPN", "RetinaNet", "SemanticSegmentor", "ProposalNetwork")
_UNLIMITED = 1 << 60  # how cgroup v1 writes "no limit" is near 2**63
_TENSORS_OF_OPTIMIZER = {"SGD": 1, "ADAMW": 2, "ADAM": 2}  # of the size of the weights


def memory_limit_pixels(
    cfg: CfgNode, model: nn.Module, free_bytes: int | None = None, measure: Callable[[int], int | None] | None = None
) -> int | None:
    """The most pixels of an image with which a step of IMS_PER_BATCH / MICRO_BATCHES / processes of them fits.

    None where the memory, or a step's share of it, cannot be told. One step each is run on small images of two sizes,
    on a copy of the model and with random numbers of its own; memory grows with the pixels in a straight line.
    `free_bytes` is asked of the system where it is not given. `measure` takes the side of a square image in pixels and
    returns the bytes of a step. Processes agree on the smallest of their limits.
    """
    if cfg.MODEL.META_ARCHITECTURE not in _MEASURABLE:
        raise ConfigError(f"INPUT.MAX_PIXELS -1 cannot measure {cfg.MODEL.META_ARCHITECTURE}: give a number, or 0")
    free = _free_for_this_process(torch.device(cfg.MODEL.DEVICE)) if free_bytes is None else free_bytes
    images = max(1, cfg.SOLVER.IMS_PER_BATCH // (cfg.SOLVER.MICRO_BATCHES * comm.get_world_size()))
    measure = measure or partial(training_step_bytes, cfg, model, images)
    steps = [measure(side) for side in _SIDES_PX]
    known = None if free is None or None in steps else _largest(free, steps, _optimizer_bytes(model, cfg))
    limits = comm.all_gather(known)
    if None in limits:
        return None
    if min(limits) < _SMALLEST_PIXELS:
        raise ConfigError(
            f"a training step of {images} images does not fit into the {free / 2**30:.1f} GiB of memory that are free: "
            "lower SOLVER.IMS_PER_BATCH, or raise SOLVER.MICRO_BATCHES"
        )
    return min(limits)


def _largest(free: int, step_bytes: list[int], optimizer_bytes: int) -> int | None:
    """Where the line through both measurements reaches the memory that may be used; 0 where it begins above."""
    (small, large), (few, many) = step_bytes, (side**2 for side in _SIDES_PX)
    if small >= free:
        return 0
    if large <= small:
        return None
    a_pixel = (large - small) / (many - few)
    without_pixels = max(0.0, small - few * a_pixel)
    return max(0, int((SHARE_OF_MEMORY * free - optimizer_bytes - without_pixels) / a_pixel))


def _optimizer_bytes(model: nn.Module, cfg: CfgNode) -> int:
    """What comes with the first update: the optimiser's tensors, the mean of the weights, DDP's copy of gradients."""
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    tensors = _TENSORS_OF_OPTIMIZER.get(cfg.SOLVER.OPTIMIZER, 2)
    return trained * (tensors + (cfg.SOLVER.EMA_DECAY > 0) + (comm.get_world_size() > 1))


# ---- what is free ------------------------------------------------------------------------------------------------


def _free_for_this_process(device: torch.device) -> int | None:
    """A GPU belongs to one process; the memory of the machine to all that train on it."""
    free = free_memory_bytes(device)
    return free if free is None or device.type == "cuda" else free // comm.get_local_size()


def free_memory_bytes(device: torch.device, root: Path = Path("/")) -> int | None:
    """On a GPU, its own and what PyTorch holds unused; on the CPU, the system's or the container's, on Linux only."""
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held
    if device.type != "cpu":
        return None
    try:
        available = _numbers(root / "proc/meminfo")["MemAvailable:"] * 1024
    except (OSError, KeyError):
        return None
    return min([available, *_left_in_groups(root)])


def _left_in_groups(root: Path) -> Iterator[int]:
    """Of each control group that this process is in, with those above it. A cache of files can be given up."""
    for version, folder in _groups(root):
        limit_file, usage_file, cache = {
            1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            2: ("memory.max", "memory.current", "inactive_file"),
        }[version]
        try:
            limit = int((folder / limit_file).read_text())
            used = int((folder / usage_file).read_text()) - _numbers(folder / "memory.stat").get(cache, 0)
        except (OSError, ValueError):  # "max", or a group that states no memory
            continue
        if limit < _UNLIMITED:
            yield max(0, limit - max(0, used))


def _groups(root: Path) -> Iterator[tuple[int, Path]]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    top = root / "sys/fs/cgroup"
    for line in lines:
        number, controllers, own = line.split(":", 2)
        if number != "0" and "memory" not in controllers.split(","):
            continue
        version, base = (2, top) if number == "0" else (1, top / "memory")
        folder = base / own.lstrip("/")
        # a container may see only its own part of the tree, at the top
        yield from ((version, place) for place in (folder, *folder.parents) if place.is_relative_to(base))


def _numbers(path: Path) -> dict[str, int]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


# ---- what a step takes -------------------------------------------------------------------------------------------


def training_step_bytes(cfg: CfgNode, model: nn.Module, images: int, side_px: int) -> int | None:
    """The most memory that one forward and backward pass holds beside the weights; None where that cannot be told.

    The images are noise, with as many objects as the heads of RoIs take positive samples, so that these are as busy as
    they can be.
    """
    state = capture_rng()
    trial = copy.deepcopy(getattr(model, "module", model)).train()
    trial.zero_grad(set_to_none=True)
    try:
        torch.manual_seed(0)
        batch = [_image(cfg, side_px) for _ in range(images)]
        with _peak(torch.device(cfg.MODEL.DEVICE)) as peak:
            with EventStorage(1), Precision.from_config(cfg).autocast():
                losses = trial(batch)
            sum(losses.values()).backward()
        return peak()
    except torch.OutOfMemoryError:
        return sys.maxsize  # not an error here: other processes wait for this one's limit
    finally:
        restore_rng(state)


@contextmanager
def _peak(device: torch.device) -> Iterator[Callable[[], int | None]]:
    """A function that tells, afterwards, how many bytes more than before were held at most."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield lambda: torch.cuda.max_memory_allocated(device) - before
    else:
        held = _reset_resident() if device.type == "cpu" else None
        yield lambda: None if held is None else _resident("VmHWM:") - held


def _reset_resident() -> int | None:
    """Give freed memory back to the system, let Linux count this process's peak anew, and return what it holds now.

    Unlike a count of tensors this sees the buffers of oneDNN, a third of the whole.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        return _resident("VmRSS:")
    except (OSError, AttributeError, TypeError, KeyError):
        return None


def _resident(key: str) -> int:
    return _numbers(Path("/proc/self/status"))[key] * 1024


def _image(cfg: CfgNode, side_px: int) -> dict[str, Any]:
    """A record as a mapper would give it, with noise for an image and objects anywhere in it."""
    size = (side_px, side_px)
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    labels = torch.randint(0, max(1, cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES), size)
    heads = cfg.MODEL.ROI_HEADS
    objects = max(1, round(heads.BATCH_SIZE_PER_IMAGE * heads.POSITIVE_FRACTION))
    corner = torch.rand(objects, 2) * side_px * 0.6
    extent = 8 + torch.rand(objects, 2) * side_px * 0.3
    truth = Instances(size)
    truth.gt_boxes = Boxes(torch.cat([corner, corner + extent], dim=1))
    truth.gt_classes = torch.zeros(objects, dtype=torch.long)
    if cfg.MODEL.MASK_ON:
        truth.gt_masks = _masks(truth.gt_boxes.tensor, side_px, cfg.INPUT.MASK_FORMAT)
    if cfg.MODEL.KEYPOINT_ON:
        points = corner[:, None] + extent[:, None] * torch.rand(objects, cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS, 2)
        truth.gt_keypoints = Keypoints(torch.cat([points, torch.full((*points.shape[:2], 1), 2.0)], dim=2))
    return {"image": image, "instances": truth, "sem_seg": labels, "height": side_px, "width": side_px}


def _masks(boxes_xyxy: torch.Tensor, side_px: int, mask_format: str) -> PolygonMasks | BitMasks:
    """Full boxes."""
    corners = boxes_xyxy.numpy().astype(np.float64)
    polygons = [[corners[i][[0, 1, 2, 1, 2, 3, 0, 3]]] for i in range(len(corners))]
    if mask_format == "polygon":
        return PolygonMasks(polygons)
    return BitMasks.from_polygon_masks(polygons, side_px, side_px)
