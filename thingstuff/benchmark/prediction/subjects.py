"""The models that are measured: each by its config, ready for this machine, with the programs and cases it can take."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.benchmark.prediction.process import OWN
from thingstuff.benchmark.prediction.turns import TORCHVISION
from thingstuff.errors import ConfigError

SYSTEMS = ("stock", "exact", "fp32", "fast", "torchvision", "torchvision-mixed")
LOADS = ("20", "100")
RECIPE = "thingstuff://coco/mask_rcnn_R_50_FPN_3x.yaml"
PANOPTIC = "thingstuff://coco/panoptic_fpn_R_50_3x.yaml"
NO_PANOPTIC = "none"
INSTANCES, WITH_STUFF = "instances", "panoptic"  # the parts of a measurement; others are called by their architecture
_LONGEST = 1333 / 800  # the longest side of an image to its shorter side at test, as in Detectron2's recipes
_WITHOUT_INSTANCES = ("SemanticSegmentor",)


@dataclass(frozen=True)
class Subject:
    """`part` is its name in the tables; `weights` is "" for random ones, which `cfg` has in a file nevertheless."""

    part: str
    cfg: Any
    weights: str
    systems: tuple[str, ...]
    cases: tuple[str, ...]
    artifact: str | None = None


@dataclass(frozen=True)
class _Named:
    """As a user named it; `part` is None where its architecture is to be its name."""

    part: str | None
    config_file: str
    weights: str


def subjects_of(args: argparse.Namespace, image: Path, folder: Path) -> Iterator[Subject]:
    """The model of --config-file first, then the panoptic one, then those beside them; all checked before the first.

    `image` settles the norms of random weights, which go below `folder`.
    """
    parts: list[str] = []
    ready = []
    for named in _named(args):
        cfg = _loaded(named.config_file, args)
        part = _part(named, cfg, parts)
        parts.append(part)
        ready.append((named, part, cfg))
        if named is ready[0][0] and args.panoptic is None and _is_fed(cfg):
            ready.append((_Named(WITH_STUFF, PANOPTIC, args.panoptic_weights), WITH_STUFF, _loaded(PANOPTIC, args)))
    checked = [_checked(named, part, cfg, number == 0, args) for number, (named, part, cfg) in enumerate(ready)]
    for number, subject in enumerate(checked):
        _give_weights(subject, folder / f"random_{number}.pth", image, args.seed)
        yield subject


def _named(args: argparse.Namespace) -> list[_Named]:
    found = [_Named(None, args.config_file, args.weights)]
    if args.panoptic not in (None, NO_PANOPTIC):
        found.append(_Named(WITH_STUFF, args.panoptic, args.panoptic_weights))
    for text in args.beside:
        config_file, _, weights = text.partition("=")
        found.append(_Named(None, config_file, weights))
    return found


def _part(named: _Named, cfg: Any, taken: Sequence[str]) -> str:
    """The first Mask R-CNN is that of the instances."""
    if named.part:
        return named.part
    if not taken and _is_fed(cfg):
        return INSTANCES
    name = str(cfg.MODEL.META_ARCHITECTURE)
    return f"{name} {Path(named.config_file).stem}" if name in taken else name


def _is_fed(cfg: Any) -> bool:
    from thingstuff.benchmark.prediction.programs import takes_load

    return takes_load(cfg)


def _loaded(config_file: str, args: argparse.Namespace) -> Any:
    from thingstuff.config import load_config
    from thingstuff.engine.device import settle_device

    cfg = load_config(config_file, args.opts)
    if cfg.MODEL.META_ARCHITECTURE in _WITHOUT_INSTANCES:
        kind = cfg.MODEL.META_ARCHITECTURE
        raise ConfigError(f"{config_file}: models that find instances are measured, and a {kind} finds none")
    settle_device(cfg)
    if args.size:
        cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = args.size, round(args.size * _LONGEST)
    return cfg


def _checked(named: _Named, part: str, cfg: Any, is_first: bool, args: argparse.Namespace) -> Subject:
    """With the programs and cases of those asked for that it can take."""
    systems = tuple(dict.fromkeys(args.systems or SYSTEMS))
    if part != INSTANCES:
        systems = tuple(name for name in systems if not name.startswith(TORCHVISION))
    if is_first and args.systems and len(systems) < len(dict.fromkeys(args.systems)):
        raise ConfigError(f"--systems: torchvision is measured against a Mask R-CNN, and {part} is none: leave it out")
    cases = tuple(dict.fromkeys(args.detections or LOADS))
    if _is_fed(cfg):
        counts = [int(case) for case in cases if case != OWN]
        cfg.MODEL.RPN.POST_NMS_TOPK_TEST = args.proposals
        cfg.TEST.DETECTIONS_PER_IMAGE = max([cfg.TEST.DETECTIONS_PER_IMAGE, *counts])
    elif is_first and args.detections and set(cases) != {OWN}:
        raise ConfigError(f"--detections: nothing can be injected into {part}: leave it out, or say {OWN}")
    else:
        cases = (OWN,)
    artifact = args.artifact if is_first else None
    if artifact:
        cases = tuple(dict.fromkeys([*cases, OWN]))
    return Subject(part, cfg, named.weights, systems, cases, artifact)


def _give_weights(subject: Subject, file: Path, image: Path, seed: int) -> None:
    from thingstuff.benchmark.train_data import write_weights

    subject.cfg.MODEL.WEIGHTS = subject.weights
    if not subject.weights:
        write_weights(subject.cfg, file, seed, image)
        subject.cfg.MODEL.WEIGHTS = str(file)
