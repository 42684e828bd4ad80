"""The package ultralytics: imported late, silent and offline, with nothing of this process or of the disk changed."""

from __future__ import annotations

import copy
import functools
import importlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from thingstuff.errors import SetupError

NAME = "ultralytics"
_QUIET = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}

logger = logging.getLogger("thingstuff.yoloseg")


@dataclass(frozen=True)
class Package:
    """What is used of ultralytics. `models` is the folder of its architectures."""

    version: str
    model_class: type[torch.nn.Module]
    loss_class: Any
    models: Path


@functools.cache
def load_package() -> Package:
    """Import ultralytics and tell its licence, both once. SetupError where it is not installed.

    An ultralytics that the program has imported before stays as the program made it.
    """
    with ExitStack() as stack:
        if NAME not in sys.modules:
            stack.enter_context(_undisturbed())
        package = _import()
    logger.info(
        "this model is made of ultralytics %s, which is under the AGPL-3.0: so is what you build on it and distribute "
        "or serve, unless you hold another licence of Ultralytics",
        package.version,
    )
    return package


def _import() -> Package:
    try:
        top = importlib.import_module(NAME)
        tasks, loss = (importlib.import_module(f"{NAME}.{name}") for name in ("nn.tasks", "utils.loss"))
    except ModuleNotFoundError as error:
        missing = "" if error.name == NAME else f" (it lacks {error.name})"
        raise SetupError(
            f"PROJECT YOLOSeg needs the package ultralytics{missing}: pip install 'thingstuff[yolo]'"
        ) from error
    _forbid_sync(importlib.import_module(f"{NAME}.utils").SETTINGS)
    return Package(top.__version__, tasks.SegmentationModel, loss.v8SegmentationLoss, Path(top.__file__).parent / "cfg")


def _forbid_sync(settings: Any) -> None:
    """In this process alone: what sets an item of theirs the usual way writes a file."""
    dict.__setitem__(settings, "sync", False)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Its import asks the network whether it is there, writes settings, and changes what belongs to the program.

    Those are environment variables, the threads of OpenCV, how arrays are printed, functions such as `torch.save` and
    `PIL.Image.open`, and the filters of warnings. The settings go into a folder that is removed at once.
    """
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(_environment())
        stack.enter_context(_printing())
        stack.enter_context(_functions())
        threads = cv2.getNumThreads()
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        os.environ.update(_QUIET | {"YOLO_CONFIG_DIR": folder})
        try:
            yield
        finally:
            cv2.setNumThreads(threads)


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


@contextmanager
def _functions() -> Iterator[None]:
    """It puts its own in the place of some: by its `Image.open`, a damaged image is another error than by Pillow's."""
    before = [(module, dict(vars(module))) for module in (torch, cv2, Image)]
    try:
        yield
    finally:
        for module, functions in before:
            for name, function in functions.items():
                if str(getattr(vars(module)[name], "__module__", "")).startswith(f"{NAME}."):
                    setattr(module, name, function)


@contextmanager
def _printing() -> Iterator[None]:
    of_torch = torch._tensor_str.PRINT_OPTS
    tensors, arrays = copy.copy(vars(of_torch)), np.get_printoptions()
    try:
        yield
    finally:
        vars(of_torch).update(tensors)
        np.set_printoptions(**arrays)
