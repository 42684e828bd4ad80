"""The tensors of a file under the names that a model has for them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from detectron2.checkpoint.c2_model_loading import align_and_update_state_dicts
from fvcore.common.checkpoint import _strip_prefix_if_present
from torch import Tensor, nn

from thingstuff.engine.weights.heads import head_of
from thingstuff.errors import WeightsError

_CERTAIN_PARTS = 3  # `stem.conv1.weight` means one tensor of a backbone, `norm.weight` might mean any


def named_as_in_model(file: str, content: Mapping[str, Any], model: nn.Module) -> dict[str, Tensor]:
    """`content["model"]` with `module.` taken off and, if `matching_heuristics` is set, matched as Detectron2 does.

    Unlike there a tensor that was matched but has another shape gets its name too, so that it can be reported. A model
    that reads files of another program has a method `adapted_weights(file, state) -> state`, which is called last.
    """
    state = content["model"]
    if content.get("matching_heuristics"):
        ours = model.state_dict()
        try:
            with _silenced("detectron2.checkpoint.c2_model_loading"):  # a table tells what it would
                state = align_and_update_state_dicts(ours, state, content.get("__author__") == "Caffe2")
        except ValueError as error:
            raise WeightsError(f"{file} was made for another model: {error}") from error
        state = _with_misfits_named(state, ours)
    _strip_prefix_if_present(state, "module.")
    adapt = getattr(model, "adapted_weights", None)
    return adapt(file, state) if adapt else state


def _with_misfits_named(state: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    placed = {name: value for name, value in state.items() if name in ours}
    rest = {name: value for name, value in state.items() if name not in ours}
    misfits = {}
    for name in (name for name in ours if name not in placed):
        suffix = max((end for end in rest if name.endswith(f".{end}")), key=len, default=None)
        if suffix and _is_certain(name, suffix, rest[suffix], ours[name], placed):
            misfits[name] = suffix
    used = set(misfits.values())
    named = {name: rest[suffix] for name, suffix in misfits.items()}
    return placed | named | {name: value for name, value in rest.items() if name not in used}


def _is_certain(name: str, suffix: str, theirs: Tensor, ours: Tensor, placed: Mapping[str, Tensor]) -> bool:
    """Whether the file's `suffix` is the model's `name`, and not some layer's whose name ends alike."""
    if head_of(name, tuple(theirs.shape), tuple(ours.shape)):
        return True
    prefix = name.removesuffix(suffix)
    return suffix.count(".") + 1 >= _CERTAIN_PARTS and any(other.startswith(prefix) for other in placed)


@contextmanager
def _silenced(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
