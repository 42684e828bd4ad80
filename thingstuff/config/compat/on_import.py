"""Do something to a module while it is imported or right after: a mend need not load Detectron2, which is slow."""

from __future__ import annotations

import importlib.abc
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from importlib.machinery import ModuleSpec
from types import ModuleType

_surroundings: dict[str, list[Callable[[], AbstractContextManager]]] = defaultdict(list)
_mends: dict[str, list[Callable[[ModuleType], None]]] = defaultdict(list)


def during_import(name: str, surrounding: Callable[[], AbstractContextManager]) -> None:
    """Import module `name` inside `surrounding()`. A module that is imported already stays as it is."""
    _listen()
    _surroundings[name].append(surrounding)


def after_import(name: str, mend: Callable[[ModuleType], None]) -> None:
    """Call `mend(module)` as soon as module `name` is imported, before anyone else sees it; at once if it is."""
    _listen()
    _mends[name].append(mend)
    if name in sys.modules:
        mend(sys.modules[name])


class _Listener(importlib.abc.MetaPathFinder):
    """Finds nothing itself: asks the other finders, and wraps the running of the modules that somebody waits for."""

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        if fullname not in _surroundings and fullname not in _mends:
            return None
        spec = self._find_elsewhere(fullname, path, target)
        if spec is not None and spec.loader is not None:
            _wrap(spec)
        return spec

    def _find_elsewhere(self, *wanted) -> ModuleSpec | None:
        found = (finder.find_spec(*wanted) for finder in sys.meta_path if finder is not self)
        return next((spec for spec in found if spec is not None), None)


def _wrap(spec: ModuleSpec) -> None:
    """Make the loader, which belongs to this one module, run it inside its surroundings and mend it afterwards."""
    run = spec.loader.exec_module

    def run_mended(module: ModuleType) -> None:
        with ExitStack() as stack:
            for surrounding in _surroundings.get(spec.name, ()):
                stack.enter_context(surrounding())
            run(module)
        for mend in _mends.get(spec.name, ()):
            mend(module)

    spec.loader.exec_module = run_mended


_listener = _Listener()


def _listen() -> None:
    if _listener not in sys.meta_path:
        sys.meta_path.insert(0, _listener)
