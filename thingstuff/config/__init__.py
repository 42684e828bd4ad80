"""The one door to Detectron2: importing this package mends what is broken in it on today's PyTorch.

That is cheap: each mend waits for the module that it concerns. The functions here load Detectron2 when first used.
"""

from typing import TYPE_CHECKING, Any

from thingstuff.config.compat import apply

if TYPE_CHECKING:
    from thingstuff.config.load import get_cfg, import_modules, load_config, read_config
    from thingstuff.config.locate import config_path
    from thingstuff.config.nodes import add_thingstuff_config

apply()

_HOME = {
    "add_thingstuff_config": "nodes",
    "config_path": "locate",
    "get_cfg": "load",
    "import_modules": "load",
    "load_config": "load",
    "read_config": "load",
}
__all__ = ["add_thingstuff_config", "config_path", "get_cfg", "import_modules", "load_config", "read_config"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
