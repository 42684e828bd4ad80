"""Where a config is: a path, `model_zoo://NAME` in Detectron2's zoo, or `thingstuff://NAME` among our recipes."""

from __future__ import annotations

import difflib
from pathlib import Path

from thingstuff.errors import ConfigError

ZOO = "model_zoo://"
OURS = "thingstuff://"
_PACKAGE = Path(__file__).resolve().parents[1]


def config_path(name: str | Path, beside: Path | None = None) -> Path:
    """The file that `name` means. A relative path counts from `beside` (a config file) or the working folder."""
    text = str(name)
    if text.startswith(ZOO):
        return _inside(zoo_root(), text.removeprefix(ZOO), "Detectron2's model zoo")
    if text.startswith(OURS):
        return _inside(recipes_root(), text.removeprefix(OURS), "the recipes of thingstuff")
    path = Path(text).expanduser()
    if beside is not None and not path.is_absolute():
        path = beside.parent / path
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name a config file in it")
    if not path.is_file():
        named_by = f" (named by {beside})" if beside else ""
        raise ConfigError(f"no config file {path}{named_by}{_hint(path.name, path.parent, path.suffix)}")
    return path


def zoo_root() -> Path:
    """The folder of the YAML files that come with Detectron2."""
    import detectron2.model_zoo

    return Path(detectron2.model_zoo.__path__[0]) / "configs"


def recipes_root() -> Path:
    """The folder of our recipes: `configs/` of a checkout, a copy inside the package of an installed wheel."""
    checkout = _PACKAGE.parent / "configs"
    return checkout if checkout.is_dir() else _PACKAGE / "configs"


def _inside(root: Path, name: str, what: str) -> Path:
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ConfigError(f"{name} points outside {what}")
    if not path.is_file():
        known = [str(p.relative_to(root)) for p in root.rglob("*.yaml")]
        raise ConfigError(f"there is no {name} in {what}{_nearest(name, known)}")
    return path


def _hint(name: str, folder: Path, suffix: str) -> str:
    if not folder.is_dir():
        return f": there is no folder {folder}"
    return _nearest(name, [p.name for p in folder.iterdir() if p.suffix == suffix])


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f": did you mean {close[0]}?" if close else ""
