"""The configs of Detectron2's model zoo: their names, what each is for, and the config itself."""

from __future__ import annotations

from functools import cache

from thingstuff.config import load_config
from thingstuff.config.locate import ZOO, zoo_root

KINDS = ("instance", "keypoint", "panoptic", "semantic", "detection", "proposal", "base")
_KIND_OF_ARCHITECTURE = {"PanopticFPN": "panoptic", "SemanticSegmentor": "semantic", "ProposalNetwork": "proposal"}


@cache
def zoo_names() -> tuple[str, ...]:
    """Names of all YAML configs, relative to the zoo's folder ("COCO-Detection/retinanet_R_50_FPN_1x.yaml"), sorted."""
    root = zoo_root()
    return tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*.yaml")))


def build_config(name: str):
    """The full `CfgNode` of the zoo's config `name`, read by the safe loader."""
    return load_config(f"{ZOO}{name}")


def kind_of(name: str, cfg) -> str:
    """One of KINDS, told by what the model of `cfg` predicts; "base" where `name` is made for others to build upon."""
    if name.rpartition("/")[2].startswith("Base-"):
        return "base"
    if cfg.MODEL.META_ARCHITECTURE in _KIND_OF_ARCHITECTURE:
        return _KIND_OF_ARCHITECTURE[cfg.MODEL.META_ARCHITECTURE]
    if cfg.MODEL.KEYPOINT_ON:
        return "keypoint"
    return "instance" if cfg.MODEL.MASK_ON else "detection"


@cache
def zoo_kinds() -> dict[str, str]:
    """The kind of every config of the zoo, by name."""
    return {name: kind_of(name, build_config(name)) for name in zoo_names()}
