"""Export a model: build it, trace it, write the file, and keep the file only if it predicts what the model predicts."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.modeling import PanopticFPN
from torch import nn

from thingstuff.data.catalog import metadata_with_classes
from thingstuff.engine.exported.canvas import padded
from thingstuff.engine.exported.card import Card
from thingstuff.engine.exported.onnx_file import write_onnx
from thingstuff.engine.exported.parity import Parity, compare
from thingstuff.engine.exported.predictor import ExportedPredictor
from thingstuff.engine.exported.torch_file import write_torch
from thingstuff.engine.exported.traced import trace
from thingstuff.engine.predictor import Predictor
from thingstuff.engine.preprocess import Preprocess
from thingstuff.engine.weights.cache import local_weights
from thingstuff.errors import ConfigError
from thingstuff.files import whole_file
from thingstuff.merge import Rule, build_rule
from thingstuff.modeling.exportable import exportable
from thingstuff.modeling.exportable.network import Network
from thingstuff.modeling.label_space import LabelSpace
from thingstuff.modeling.stuff_sources import HeadSource
from thingstuff.modeling.things_and_stuff import ThingsAndStuff

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
MASK_THRESHOLD = 0.5
logger = logging.getLogger(__name__)

_WRITERS = {"onnx": write_onnx, "torch": write_torch}
_PACKAGES = ("thingstuff", "detectron2", "torch", "torchvision", "onnx", "onnxscript")
_WIDEST = 1333 / 800  # of the model zoo: the longest side by the shortest
_LEAST_DYNAMIC = 2  # multiples: torch.export takes a size of 1 for a constant
_LONGEST_DYNAMIC_PX = 2048


@dataclass(frozen=True)
class Canvas:
    """What images an export is for: of one size (`size`), of any (`dynamic`), or of the config's for a lying image."""

    size: tuple[int, int] | None = None
    dynamic: bool = False


def export_model(
    cfg: CfgNode, path: Path, canvas: Canvas, images: Sequence[np.ndarray], report: Callable[[Parity], None]
) -> Card:
    """Write the model of `cfg` to `path`, whose suffix says the format. Without `images` nothing is compared.

    The file takes its name only when it is complete and `report`, which is given the comparison, raises nothing.
    """
    cfg = cfg.clone()
    cfg.MODEL.DEVICE = "cpu"
    predictor = Predictor(cfg)
    network = exportable(network_of(predictor.model))
    card = describe(cfg, predictor, network, canvas)
    logger.info("writing %s: tracing the network takes a minute or so", path)
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with whole_file(draft) as file:
            _writer(path)(trace(network, card), card, file)
        if images:
            logger.info("comparing with the model on %d images", len(images))
            report(compare(predictor, ExportedPredictor.open(draft, device="cpu"), images))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return card


def _writer(path: Path) -> Callable[..., None]:
    return next(_WRITERS[name] for name, suffix in SUFFIXES.items() if suffix == path.suffix)


def network_of(model: nn.Module) -> nn.Module:
    """The Detectron2 model, where the panoptic option is put around it."""
    if not isinstance(model, ThingsAndStuff):
        return model
    if not isinstance(model.stuff, HeadSource):
        raise ConfigError(
            "stuff from a second model or from files cannot go into one file: export with PANOPTIC.ENABLED False, "
            "and the second model by its own config"
        )
    return model.things


# ---- the card ----------------------------------------------------------------------------------------------------


def describe(cfg: CfgNode, predictor: Predictor, network: Network, canvas: Canvas) -> Card:
    """The card of a network that is exported for `canvas`."""
    preprocess = Preprocess.from_config(cfg)
    multiple = network.side_multiple
    height, width = (None, None) if canvas.dynamic else canvas.size or usual_canvas(preprocess, multiple)
    _refuse_impossible(height, width, multiple)
    has_stuff = network.semantic is not None
    labels = LabelSpace.from_metadata(metadata_with_classes(cfg.DATASETS.TEST[0])) if has_stuff else LabelSpace(())
    return Card(
        outputs=network.output_names,
        height=height,
        width=width,
        side_multiple=multiple,
        shortest_canvas_px=_LEAST_DYNAMIC * multiple,
        longest_canvas_px=padded(max(preprocess.longest_px, _LONGEST_DYNAMIC_PX), multiple),
        preprocess=preprocess,
        categories=predictor.categories,
        score_thresh=0.0 if network.detector is None else network.detector.score_thresh,
        mask_threshold=MASK_THRESHOLD,
        logits_stride=network.logits_stride,
        label_ids=labels.label_ids,
        merge=_merge(predictor.model),
        architecture=cfg.MODEL.META_ARCHITECTURE,
        config=cfg.dump(),
        weights_sha256=_weights_sha256(cfg.MODEL.WEIGHTS),
        versions={name: _version(name) for name in _PACKAGES},
    )


def usual_canvas(preprocess: Preprocess, multiple: int) -> tuple[int, int]:
    """For images that lie: as high as the config makes them, and as wide, up to the zoo's 1333 by 800."""
    shortest, longest = preprocess.shortest_px, preprocess.longest_px
    if not shortest:
        raise ConfigError("INPUT.MIN_SIZE_TEST is 0, images keep their size: say --size H W, or --dynamic")
    width = max(shortest, min(longest, math.ceil(shortest * _WIDEST)))
    return padded(shortest, multiple), padded(width, multiple)


def _refuse_impossible(height: int | None, width: int | None, multiple: int) -> None:
    for side in (height, width):
        if side is not None and not multiple <= side <= padded(8192, multiple):
            raise ConfigError(f"--size {height} {width}: expected sides from {multiple} to {padded(8192, multiple)}")
        if side is not None and side % multiple:
            near = f"{padded(height or 0, multiple)} {padded(width or 0, multiple)}"
            raise ConfigError(f"--size {height} {width}: sides must be multiples of {multiple}, for example {near}")


def _merge(model: nn.Module) -> dict[str, Any] | None:
    rule = _rule(model)
    if rule is None:
        return None
    from thingstuff.merge import RULES

    name = next(name for name, kind in RULES.items() if type(rule) is kind)
    return {"rule": name, "thresholds": {f: getattr(rule, f) for f in type(rule).__dataclass_fields__}}


def _rule(model: nn.Module) -> Rule | None:
    """Of the panoptic option, or what a PanopticFPN does by itself."""
    if isinstance(model, ThingsAndStuff):
        return model.rule
    if not isinstance(model, PanopticFPN):
        return None
    return build_rule(
        "greedy",
        overlap_thresh=model.combine_overlap_thresh,
        stuff_area_limit=model.combine_stuff_area_thresh,
        instances_confidence_thresh=model.combine_instances_score_thresh,
    )


def _weights_sha256(name: str) -> str:
    with local_weights(str(name).partition("?")[0]).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
