"""YAML read as plain data: no tag can run code, and every mistake is said with its file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from thingstuff.errors import ConfigError

# Detectron2's Base-RetinaNet.yaml states its anchor sizes as a Python expression. Its text is recognised and answered
# with its value; it is never evaluated.
_RETINANET_SIZES = "[[x, x * 2**(1.0/3), x * 2**(2.0/3) ] for x in [32, 64, 128, 256, 512 ]]"
_EVAL_TAG = "tag:yaml.org,2002:python/object/apply:eval"


class _Loader(yaml.SafeLoader):
    """SafeLoader that also refuses a key given twice, of which YAML would silently keep the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if key.value in keys[:number]:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
        return super().construct_mapping(node, deep)


def _known_expression(loader: _Loader, node: yaml.Node) -> list:
    if isinstance(node, yaml.SequenceNode) and [v.value for v in node.value] == [_RETINANET_SIZES]:
        return [[x, x * 2 ** (1.0 / 3), x * 2 ** (2.0 / 3)] for x in (32, 64, 128, 256, 512)]
    raise yaml.constructor.ConstructorError(None, None, "a !!python tag would run code", node.start_mark)


_Loader.add_constructor(_EVAL_TAG, _known_expression)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. ConfigError names the file and the line of what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the config {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text file (byte {error.start} is not UTF-8): pass a YAML config") from error
    content = read_value(text, str(path))
    if not isinstance(content or {}, dict):
        raise ConfigError(f"{path}: expected `KEY: value` lines, got a {type(content).__name__}")
    return content or {}


def read_value(text: str, name: str) -> Any:
    """What a text says as YAML; `name` is for messages."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(_message(name, error)) from error
    except RecursionError:
        raise ConfigError(f"{name}: its lists are nested too deeply for anybody to have written them") from None
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:  # of a date in month 99
        raise ConfigError(f"{name}: a value cannot be read: {_one_line(error)}") from error


def _message(name: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"{name}, line {mark.line + 1}" if mark else name
    problem = getattr(error, "problem", None) or _one_line(error)
    if "python" in problem:
        return f"{where}: a !!python tag would run code and is not accepted: write the value itself"
    return f"{where}: {problem}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
