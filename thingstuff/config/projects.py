"""Projects: ideas that ride on the toolkit, each in `projects/NAME`, found by the config's `PROJECT`."""

from __future__ import annotations

import difflib
import importlib
import sys
from pathlib import Path
from types import ModuleType

from thingstuff.errors import ConfigError, SetupError, UserError

_CHECKOUT = Path(__file__).resolve().parents[2]
_FOLDER = "projects"
_NO_PACKAGES = ("tests", "configs")


def project_names() -> list[str]:
    return sorted(project_folders())


def project_folders() -> dict[str, Path]:
    """By name: those beside the package, in a checkout, and below the working folder; the former count."""
    folders = (path.parent.parent for root in _roots() for path in root.glob("*/*/__init__.py"))
    found: dict[str, Path] = {}
    for folder in folders:
        found.setdefault(folder.name, folder)
    return found


def import_project(name: str) -> ModuleType:
    """The package of `projects/NAME`, imported: so it registers what its configs name."""
    folder = _folder_of(name)
    inner = sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    packages = [each for each in inner if each not in _NO_PACKAGES]
    if len(packages) != 1:
        raise ConfigError(f"PROJECT {name}: expected one package in {folder}, got {', '.join(packages) or 'none'}")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        return importlib.import_module(packages[0])
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise SetupError(f"PROJECT {name} needs the package {error.name}: install it, or see {folder}") from error
    except Exception as error:
        raise ConfigError(f"PROJECT {name} fails when imported: {type(error).__name__}: {error}") from error


def _roots() -> list[Path]:
    roots = dict.fromkeys((_CHECKOUT / _FOLDER, Path.cwd() / _FOLDER))
    return [root for root in roots if root.is_dir()]


def _folder_of(name: str) -> Path:
    known = project_names()
    if name not in known:
        close = [one for one in known if one.lower() == name.lower()] or difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known) or 'none'}"
        raise ConfigError(f"there is no PROJECT {name!r}: {hint}")
    return project_folders()[name]
