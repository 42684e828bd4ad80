"""Detectron2's model zoo imports `pkg_resources` for the path of one file.

`pkg_resources` prints that it is deprecated, takes long to load, and is leaving setuptools, which promises it up to
version 80 only. The zoo needs only `resource_filename`, which is a path inside a package's folder: `importlib` knows
that. A stand-in with this function is importable while the zoo's module loads and no longer, so that nobody else
mistakes it for the real one.
"""

from __future__ import annotations

import importlib
import importlib.resources
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from thingstuff.config.compat.on_import import during_import

_ZOO = "detectron2.model_zoo.model_zoo"
_LOADED_BY_THE_ZOO = ("detectron2.checkpoint", "detectron2.config", "detectron2.modeling")


def apply() -> None:
    during_import(_ZOO, _stand_in)


@contextmanager
def _stand_in() -> Iterator[None]:
    if "pkg_resources" in sys.modules:
        yield
        return
    for name in _LOADED_BY_THE_ZOO:  # first, so that only the zoo's own module can meet the stand-in
        importlib.import_module(name)
    sys.modules["pkg_resources"] = _make()
    try:
        yield
    finally:
        del sys.modules["pkg_resources"]


def _make() -> ModuleType:
    module = ModuleType("pkg_resources", "What Detectron2's model zoo uses of pkg_resources.")
    module.resource_filename = resource_filename
    module.resource_exists = resource_exists
    return module


def resource_filename(package: str, resource: str) -> str:
    """Path of `resource` ("a/b.yaml") in the folder of `package`, whether it exists or not."""
    return str(importlib.resources.files(package).joinpath(resource))


def resource_exists(package: str, resource: str) -> bool:
    """Whether `package` holds a file or folder `resource`."""
    found = importlib.resources.files(package).joinpath(resource)
    return found.is_file() or found.is_dir()
