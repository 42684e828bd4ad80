"""Weights as a model of this project takes them: ultralytics' names, and other numbers of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from thingstuff.errors import WeightsError

PREFIX = "network."
_THEIRS = re.compile(r"model\.\d+\.")
_OF_CLASSES = re.compile(r"network\.model\.\d+\.cv3\..+")  # a branch as wide as there are classes, up to 100
_LAST = re.compile(r"network\.model\.\d+\.cv3\.\d+\.2\.bias")


def adapted(file: str, state: Mapping[str, Tensor], ours: Mapping[str, Tensor], reinit: bool) -> dict[str, Tensor]:
    """The tensors of `file` under the names of `ours`, those of a model.

    Where the classes alone differ, the parts of the branch for classes that do not fit are left out with `reinit`, as
    ultralytics leaves them out; without it that is a WeightsError.
    """
    named = {PREFIX + name if _THEIRS.match(name) else name: value for name, value in state.items()}
    unfit = [name for name, value in named.items() if name in ours and value.shape != ours[name].shape]
    of_classes = [name for name in unfit if _OF_CLASSES.fullmatch(name)]
    if not of_classes or len(of_classes) < len(unfit):  # or weights of another size: the checkpointer tells
        return named
    if not reinit:
        last = next(name for name in named if _LAST.fullmatch(name))
        raise WeightsError(
            f"{file} is for {len(named[last])} classes, this model has {len(ours[last])}: set "
            "MODEL.ROI_HEADS.NUM_CLASSES to the number of the weights, or pass MODEL.REINIT_HEADS True to train the "
            "branch for classes anew"
        )
    return {name: value for name, value in named.items() if name not in of_classes}
