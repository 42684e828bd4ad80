"""What of a config the models cannot be built from, in one line each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec

from thingstuff.data.class_count import require_class_count
from thingstuff.errors import ConfigError

_SCALES = (4.0, 2.0, 1.0, 0.5)  # those that Detectron2's pyramid knows
_STRIDE = 32  # of the last level: what every image is padded to a multiple of
_STAGES = 4


def require_square_pad(cfg: CfgNode) -> None:
    """ConfigError also where images may be larger than the square: Detectron2 would cut them without a word."""
    pad, inputs = cfg.MODEL.FPN.SQUARE_PAD, cfg.INPUT
    if pad < 0 or pad % _STRIDE:
        raise ConfigError(f"MODEL.FPN.SQUARE_PAD is {pad}, expected 0 or a multiple of {_STRIDE} pixels")
    if pad == 0:
        return
    longest = {"INPUT.MAX_SIZE_TEST": inputs.MAX_SIZE_TEST}
    longest |= (
        {"INPUT.JITTER.SIZE": inputs.JITTER.SIZE}
        if inputs.JITTER.ENABLED
        else {"INPUT.MAX_SIZE_TRAIN": inputs.MAX_SIZE_TRAIN}
    )
    if cfg.TEST.AUG.ENABLED:
        longest["TEST.AUG.MAX_SIZE"] = cfg.TEST.AUG.MAX_SIZE
    for key, size in longest.items():
        if not 0 < size <= pad:
            raise ConfigError(
                f"{key} is {size}, and MODEL.FPN.SQUARE_PAD {pad} would cut what is longer: set it to {pad} or less"
            )


def require_valid_vit(cfg: CfgNode) -> None:
    """ConfigError for a value that would fail later, or attend to what it should not."""
    vit = cfg.MODEL.VIT
    _require_counts("VIT", vit, ("PATCH_SIZE", "EMBED_DIM", "DEPTH", "NUM_HEADS", "PRETRAIN_IMG_SIZE"))
    _require_rates("VIT", vit)
    if not 0 < vit.LAYER_DECAY <= 1:
        raise ConfigError(f"MODEL.VIT.LAYER_DECAY is {vit.LAYER_DECAY:g}, expected a number above 0, up to 1")
    if vit.EMBED_DIM % vit.NUM_HEADS or vit.EMBED_DIM % 4:
        raise ConfigError(
            f"MODEL.VIT.EMBED_DIM is {vit.EMBED_DIM}, expected a multiple of 4 and of the {vit.NUM_HEADS} heads"
        )
    _require_patches(vit)
    _require_blocks(vit)
    _require_scales(vit)


def _require_patches(vit: CfgNode) -> None:
    size = vit.PATCH_SIZE
    if size & (size - 1):
        raise ConfigError(f"MODEL.VIT.PATCH_SIZE is {size}, expected a power of 2: levels are called by their strides")
    for key in ("IMG_SIZE", "PRETRAIN_IMG_SIZE"):
        if vit[key] < size:
            raise ConfigError(f"MODEL.VIT.{key} is {vit[key]}, smaller than one patch of {size} pixels")


def _require_blocks(vit: CfgNode) -> None:
    if vit.WINDOW_SIZE < 0:
        raise ConfigError(f"MODEL.VIT.WINDOW_SIZE is {vit.WINDOW_SIZE}, expected a number of patches, or 0")
    for key in ("GLOBAL_BLOCKS", "RESIDUAL_BLOCKS"):
        unknown = [block for block in vit[key] if not 0 <= block < vit.DEPTH]
        if unknown:
            raise ConfigError(f"MODEL.VIT.{key}: {unknown[0]}, expected blocks from 0 to {vit.DEPTH - 1}")


def _require_scales(vit: CfgNode) -> None:
    scales = [float(scale) for scale in vit.SCALE_FACTORS]
    halving = all(a == 2 * b for a, b in pairwise(scales))
    if not scales or not set(scales) <= set(_SCALES) or not halving:
        raise ConfigError(f"MODEL.VIT.SCALE_FACTORS is {scales}, expected neighbours out of {list(_SCALES)}")
    if vit.PATCH_SIZE / scales[0] < 1:
        raise ConfigError(f"MODEL.VIT.SCALE_FACTORS: {scales[0]:g} times patches of {vit.PATCH_SIZE} is below a pixel")


def require_valid_mvit(cfg: CfgNode) -> None:
    mvit = cfg.MODEL.MVIT
    _require_counts("MVIT", mvit, ("IMG_SIZE", "EMBED_DIM", "DEPTH", "NUM_HEADS", "KV_STRIDE", "WINDOW_SIZE"))
    _require_rates("MVIT", mvit)
    if mvit.EMBED_DIM % mvit.NUM_HEADS:
        raise ConfigError(f"MODEL.MVIT.EMBED_DIM is {mvit.EMBED_DIM}, expected a multiple of {mvit.NUM_HEADS} heads")
    if mvit.IMG_SIZE % _STRIDE:
        raise ConfigError(f"MODEL.MVIT.IMG_SIZE is {mvit.IMG_SIZE}, expected a multiple of {_STRIDE} pixels")
    last = list(mvit.LAST_BLOCKS)
    if len(last) != _STAGES or sorted({*last}) != last or last[0] < 0 or last[-1] != mvit.DEPTH - 1:
        raise ConfigError(
            f"MODEL.MVIT.LAST_BLOCKS is {last}, expected the last block of each of the {_STAGES} stages, and of all "
            f"{mvit.DEPTH} blocks the last, {mvit.DEPTH - 1}"
        )
    smallest = max(2 ** (_STAGES - 1), mvit.KV_STRIDE)
    if mvit.KV_STRIDE & (mvit.KV_STRIDE - 1) or mvit.WINDOW_SIZE % smallest:
        raise ConfigError(
            f"MODEL.MVIT.WINDOW_SIZE is {mvit.WINDOW_SIZE} with KV_STRIDE {mvit.KV_STRIDE}, expected a multiple of 8 "
            "and of the stride, a power of 2: windows are halved with every stage"
        )


def require_valid_swin(cfg: CfgNode) -> None:
    swin = cfg.MODEL.SWIN
    _require_counts("SWIN", swin, ("EMBED_DIM", "PRETRAIN_IMG_SIZE"))
    _require_rates("SWIN", swin)
    if swin.WINDOW_SIZE < 2:
        raise ConfigError(f"MODEL.SWIN.WINDOW_SIZE is {swin.WINDOW_SIZE}, expected 2 or more: windows shift by half")
    for key in ("DEPTHS", "NUM_HEADS"):
        if len(swin[key]) != _STAGES or min(swin[key]) < 1:
            raise ConfigError(f"MODEL.SWIN.{key} is {swin[key]}, expected a number for each of {_STAGES} stages")
    for stage, heads in enumerate(swin.NUM_HEADS):
        if swin.EMBED_DIM * 2**stage % heads:
            raise ConfigError(
                f"MODEL.SWIN.NUM_HEADS: {heads} do not share the {swin.EMBED_DIM * 2**stage} channels of stage {stage}"
            )


def require_valid_fcos(cfg: CfgNode, levels: Mapping[str, ShapeSpec]) -> None:
    """ConfigError for a value that would fail, or learn nonsense, later; `levels` are those of the backbone."""
    node = cfg.MODEL.FCOS
    if cfg.MODEL.MASK_ON:
        raise ConfigError("FCOS finds boxes and no masks: set MODEL.MASK_ON False")
    require_class_count(cfg, cfg.DATASETS.TRAIN, may_be_more=True)
    _require_counts("FCOS", node, ("NUM_CONVS", "TOPK_CANDIDATES_TEST"))
    if node.CENTER_SAMPLING_RADIUS <= 0:
        raise ConfigError(f"MODEL.FCOS.CENTER_SAMPLING_RADIUS is {node.CENTER_SAMPLING_RADIUS:g}, expected more than 0")
    if not 0 < node.PRIOR_PROB < 1:
        raise ConfigError(f"MODEL.FCOS.PRIOR_PROB is {node.PRIOR_PROB:g}, expected a number between 0 and 1")
    unknown = [name for name in node.IN_FEATURES if name not in levels]
    if unknown or not node.IN_FEATURES:
        wrong = unknown[0] if unknown else "empty"
        raise ConfigError(f"MODEL.FCOS.IN_FEATURES: {wrong}, the backbone has {', '.join(levels)}")
    strides = [levels[name].stride for name in node.IN_FEATURES]
    if any(b != 2 * a for a, b in pairwise(strides)):
        raise ConfigError(
            f"MODEL.FCOS.IN_FEATURES is {list(node.IN_FEATURES)}, expected each level half as large as the one before"
        )


def _require_counts(name: str, node: CfgNode, keys: tuple[str, ...]) -> None:
    for key in keys:
        if node[key] < 1:
            raise ConfigError(f"MODEL.{name}.{key} is {node[key]}, expected 1 or more")


def _require_rates(name: str, node: CfgNode) -> None:
    if not 0 <= node.DROP_PATH_RATE < 1:
        raise ConfigError(f"MODEL.{name}.DROP_PATH_RATE is {node.DROP_PATH_RATE:g}, expected 0 or more and below 1")
    if not 0 < node.MLP_RATIO < math.inf:
        raise ConfigError(f"MODEL.{name}.MLP_RATIO is {node.MLP_RATIO:g}, expected a number above 0")
