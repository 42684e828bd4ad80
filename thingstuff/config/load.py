"""From a config file and `KEY VALUE` pairs to Detectron2's CfgNode, safely and with answers to a misspelt key."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from detectron2.config import CfgNode
from detectron2.config import get_cfg as detectron2_cfg
from detectron2.config.compat import downgrade_config, upgrade_config

from thingstuff.config.locate import config_path
from thingstuff.config.nodes import add_thingstuff_config
from thingstuff.config.panoptic_option import settle_panoptic
from thingstuff.config.projects import import_project, project_names
from thingstuff.config.safe_yaml import read_yaml
from thingstuff.errors import ConfigError

BASE = "_BASE_"
_KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", tuple: "a list"}


def get_cfg() -> CfgNode:
    """Detectron2's defaults with our keys."""
    cfg = detectron2_cfg()
    add_thingstuff_config(cfg)
    return cfg


def load_config(config_file: str | Path | None = None, overrides: Sequence[str] = ()) -> CfgNode:
    """The full config of a file (a path, `model_zoo://...`, `thingstuff://...`), with `KEY VALUE` pairs over it.

    Differs from `CfgNode.merge_from_file`: YAML is read by the safe loader alone, `_BASE_` may name the model zoo,
    `PROJECT` and `IMPORTS` are imported first, and a mistake is a ConfigError with its place and, for a key, the
    nearest known one.
    """
    cfg = get_cfg()
    values = read_config(config_path(config_file)) if config_file else {}
    _refuse_odd_overrides(overrides)
    for module in import_modules(_wanted_imports(values, overrides), _wanted_project(values, overrides)):
        _add_keys(cfg, module)
    if values:
        _merge(cfg, values, str(config_file))
    for key, value in zip(overrides[0::2], overrides[1::2], strict=True):
        _merge_override(cfg, key, value)
    settle_panoptic(cfg)
    return cfg


# ---- files -------------------------------------------------------------------------------------------------------


def read_config(path: Path, _open: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The values of a config file laid over those of its `_BASE_`, a name or a list of names, as plain dictionaries."""
    if path.resolve() in _open:
        raise ConfigError(f"{path} is its own {BASE}: {' -> '.join(p.name for p in (*_open, path))}")
    values = _with_declarations(read_yaml(path), path)
    bases = values.pop(BASE, [])
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        merged = _overlay(merged, read_config(config_path(base, beside=path), (*_open, path.resolve())), path)
    return _overlay(merged, values, path)


def _with_declarations(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """`DATASETS.DECLARE` with absolute paths where a file lies beside the config."""
    sets = values.get("DATASETS")
    stated = sets.get("DECLARE") if isinstance(sets, dict) else None
    if not isinstance(stated, list | tuple) or not all(isinstance(name, str) for name in stated):
        return values
    beside = [path.parent / name for name in stated]
    found = [str(file.absolute()) if file.is_file() else name for file, name in zip(beside, stated, strict=True)]
    return values | {"DATASETS": {**sets, "DECLARE": found}}


def _overlay(below: dict[str, Any], above: dict[str, Any], path: Path) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key, {}), dict):
            merged[key] = _overlay(below.get(key, {}), value, path)
        elif isinstance(below.get(key), dict):
            raise ConfigError(f"{path}: {key} is a group of keys in its {BASE}, got {value!r}")
        else:
            merged[key] = value
    return merged


# ---- a user's own modules ----------------------------------------------------------------------------------------


def _wanted_imports(values: dict[str, Any], overrides: Sequence[str]) -> list[str]:
    wanted = _wanted("IMPORTS", [], values, overrides)
    if not isinstance(wanted, list | tuple) or not all(isinstance(name, str) for name in wanted):
        raise ConfigError(f"IMPORTS is a list of module names, such as [my_package], got {wanted!r}")
    return list(wanted)


def _wanted_project(values: dict[str, Any], overrides: Sequence[str]) -> str:
    wanted = _wanted("PROJECT", "", values, overrides)
    if not isinstance(wanted, str):
        raise ConfigError(f"PROJECT is the name of a folder in projects/, got {wanted!r}")
    return wanted


def _wanted(key: str, default: Any, values: dict[str, Any], overrides: Sequence[str]) -> Any:
    """A value that must be known before the config can be put together."""
    pairs = dict(zip(overrides[0::2], overrides[1::2], strict=True))
    return CfgNode._decode_cfg_value(pairs[key]) if key in pairs else values.get(key, default)


def import_modules(names: Sequence[str], project: str = "") -> list[ModuleType]:
    """Import a project and a user's modules, which may lie in the working folder.

    A process that was handed a config needs them too.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # a script's own folder stands there already, the user's working folder may not
    return [*([import_project(project)] if project else []), *(_import(name) for name in names)]


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"IMPORTS: cannot import {name}: {error}. Install it or run beside its folder") from error
    except Exception as error:
        raise ConfigError(f"IMPORTS: {name} fails when imported: {type(error).__name__}: {error}") from error


def _add_keys(cfg: CfgNode, module: ModuleType) -> None:
    for attribute, function in sorted(vars(module).items()):
        if attribute.startswith("add_") and attribute.endswith("config") and callable(function):
            function(cfg)


# ---- merging -----------------------------------------------------------------------------------------------------


def _merge(cfg: CfgNode, values: dict[str, Any], source: str) -> None:
    _refuse_unknown_keys(cfg, values, source)
    loaded = CfgNode(values)
    version = values.get("VERSION", cfg.VERSION)
    try:
        if version == cfg.VERSION:
            cfg.merge_from_other_cfg(loaded)
        else:
            _merge_old_version(cfg, loaded, version)
    except (ValueError, KeyError, AssertionError) as error:
        raise ConfigError(f"{source}: {_text(error)}") from error


def _merge_old_version(cfg: CfgNode, loaded: CfgNode, version: int) -> None:
    old = downgrade_config(cfg, to_version=version)
    old.merge_from_other_cfg(loaded)
    upgraded = upgrade_config(old)
    cfg.clear()
    cfg.update(upgraded)


def _refuse_unknown_keys(cfg: CfgNode, values: dict[str, Any], source: str) -> None:
    if values.get("VERSION", cfg.VERSION) != cfg.VERSION:
        return  # an old version's keys have other names; the merge itself checks them
    for key in _unknown_keys(cfg, cfg, values, ""):
        raise ConfigError(f"{source}: there is no key {key}{_nearest_key(cfg, key)}")


def _unknown_keys(root: CfgNode, node: CfgNode, values: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        key = f"{prefix}{name}"
        if name not in node:
            if not (node.is_new_allowed() or root.key_is_deprecated(key) or root.key_is_renamed(key)):
                yield key
        elif isinstance(value, dict) and isinstance(node[name], CfgNode):
            yield from _unknown_keys(root, node[name], value, f"{key}.")


def _nearest_key(cfg: CfgNode, key: str) -> str:
    known = [str(k) for k in _all_keys(cfg, "")]
    last = key.rpartition(".")[2]
    projects = [name for name in project_names() if name.lower() == last.lower()]
    if projects:
        return f": the project of that name brings its keys: add PROJECT: {projects[0]}"
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.75) or [
        k for k in known if k.rpartition(".")[2].lower() == last.lower()
    ]
    return f": did you mean {close[0]}?" if close else ": Detectron2's config reference lists the keys"


def _all_keys(node: CfgNode, prefix: str) -> Iterator[str]:
    for name, value in node.items():
        yield f"{prefix}{name}"
        if isinstance(value, CfgNode):
            yield from _all_keys(value, f"{prefix}{name}.")


def _refuse_odd_overrides(overrides: Sequence[str]) -> None:
    flags = [word for word in overrides if word.startswith("--")]
    if flags:
        raise ConfigError(f"the option {flags[0]} must stand before the KEY VALUE pairs")
    if len(overrides) % 2:
        if "=" in overrides[-1]:
            raise ConfigError(f"write {overrides[-1].replace('=', ' ', 1)} with a space: options are KEY VALUE pairs")
        raise ConfigError(f"options come as KEY VALUE pairs, and {overrides[-1]} has no partner")


def _merge_override(cfg: CfgNode, key: str, value: str) -> None:
    if "=" in key:
        raise ConfigError(f"write {key.replace('=', ' ', 1)} with a space: options come as KEY VALUE pairs")
    if key not in set(_all_keys(cfg, "")):
        raise ConfigError(f"there is no key {key}{_nearest_key(cfg, key)}")
    now = _value_at(cfg, key)
    if _value_at(get_cfg(), key, default=now) is None:
        _set_value(cfg, key, None)  # a key that is unset by default takes a value of any type
    elif isinstance(now, float) and value.lstrip("-").isdigit():
        value = f"{value}.0"
    try:
        cfg.merge_from_list([key, value])
    except (ValueError, AssertionError) as error:
        kind = _KINDS.get(type(now), f"a {type(now).__name__}")
        raise ConfigError(f'{key} {value}: expected {kind} such as "{now}"') from error


def _value_at(cfg: CfgNode, key: str, default: Any = None) -> Any:
    """The value of a dotted key; `default` where a module of the user's has added it."""
    for part in key.split("."):
        if part not in cfg:
            return default
        cfg = cfg[part]
    return cfg


def _set_value(cfg: CfgNode, key: str, value: Any) -> None:
    node, _, name = key.rpartition(".")
    (_value_at(cfg, node) if node else cfg)[name] = value


def _text(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
