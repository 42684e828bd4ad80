"""A look into a `.pt2` before PyTorch opens it: PyTorch would run what some places of such a file hold.

`torch.export.load` unpickles what the file calls pickled, evaluates its size expressions as Python, calls whatever
function of `torch` a node names, writes the nodes' names into source code, and loads compiled libraries. None of that
is in a file of ours, so a file with any of it is refused. The archive is read with PyTorch's own reader, so that both
see the same.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from thingstuff.errors import DataError

CARD_NAME = "thingstuff.json"
_MODEL = "models/model.json"
_CARD = f"extra/{CARD_NAME}"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_ALLOWED_FILE = re.compile(
    r"data/weights/weight_\d+|data/constants/tensor_\d+|data/sample_inputs/model\.pt|archive_format|archive_version"
    r"|\.data/\w+|byteorder|version"
)
_OPERATORS = "add|sub|mul|floordiv|mod|neg|pow|truediv|ge|le|gt|lt|eq|ne|and_|or_|not_|getitem"
# a file's name is the one thing that an operator of aten could use
_TARGET = re.compile(rf"torch\.ops\.(aten|torchvision)\.(?!from_file)\w+\.\w+|torch\.sym_\w+|_operator\.({_OPERATORS})")
_EXPRESSION_WORDS = re.compile(r"[A-Za-z_]\w*")
_EXPRESSION = re.compile(r"[\w\s(),='*+/-]*")
_SYMBOL = re.compile(r"[su]\d+")
_KNOWN_WORDS = {
    *("Symbol", "Integer", "Rational", "Float", "Add", "Mul", "Pow", "Min", "Max", "Mod", "Not", "And", "Or"),
    *("GreaterThan", "LessThan", "StrictGreaterThan", "StrictLessThan", "Equality", "Unequality"),
    *("FloorDiv", "CleanDiv", "CeilDiv", "PythonMod", "ModularIndexing", "PowByNatural", "IntTrueDiv", "FloatTrueDiv"),
    *("ToFloat", "TruncToInt", "CeilToInt", "FloorToInt", "Identity", "Where"),
    *("integer", "positive", "nonnegative", "precision", "true", "false", "True", "False"),
}
_PLAIN = re.compile(r"[\w.:+\-*/ \[\]]*")


def read_safe_archive(path: Path) -> str:
    """The card of a `.pt2` in which nothing can run; DataError says what else it is."""
    if not path.is_file():
        raise DataError(f"no exported model at {path}")
    try:
        reader = torch._C.PyTorchFileReader(str(path))
        names = reader.get_all_records()
        if _CARD not in names:
            raise DataError(f"{path} was not made by tools/export.py: it does not say what its outputs mean")
        _check(names, lambda name: bytes(reader.get_record(name)))
        return bytes(reader.get_record(_CARD)).decode()
    except _UnsafeError as error:
        raise DataError(f"{path} holds {error}, which no export of ours does: it is not opened") from error
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is damaged, cut short or no archive of torch.export: export again") from error


class _UnsafeError(Exception):
    """What was found."""


def _check(names: list[str], read: Callable[[str], bytes]) -> None:
    if len(set(names)) != len(names):
        raise _UnsafeError("two files of one name")
    for name in names:
        if name not in (_MODEL, _CARD, *_CONFIGS) and not _ALLOWED_FILE.fullmatch(name):
            raise _UnsafeError(f"the file {name!r}")
    if "data/sample_inputs/model.pt" in names and read("data/sample_inputs/model.pt"):
        raise _UnsafeError("sample inputs")
    for name in _CONFIGS:
        _check_payloads(json.loads(read(name)))
    _check_model(json.loads(read(_MODEL)))


def _check_payloads(record: Any) -> None:
    for name, payload in record["config"].items():
        if payload["use_pickle"] is not False or not re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"]):
            raise _UnsafeError(f"{name!r} as a pickle")


def _check_model(record: Any) -> None:
    if record.get("guards_code") or record["graph_module"].get("treespec_namedtuple_fields"):
        raise _UnsafeError("code for guards or named tuples")
    for key in record["range_constraints"]:
        _check_expression(key)
    for key, text in _texts(record):
        _check_text(key, text)


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text with the key that it stands under. What nodes remember of their origin is never run."""
    if isinstance(value, dict):
        for name, entry in value.items():
            yield "key", name
            if name != "metadata":
                yield from _texts(entry, name)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry, key)
    elif isinstance(value, str):
        yield key, value


def _check_text(key: str, text: str) -> None:
    if key == "expr_str":
        _check_expression(text)
    elif not _GOOD.get(key, _is_plain)(text):
        raise _UnsafeError(f"{text[:60]!r} as {key}")


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None


def _is_name(text: str) -> bool:
    return text == "" or (text.isidentifier() and not keyword.iskeyword(text))


def _is_target(text: str) -> bool:
    return _TARGET.fullmatch(text) is not None or _is_name(text)  # the name of a weight, as in "target" of an input


_GOOD: dict[str, Callable[[str], bool]] = {
    "as_string": lambda text: True,  # a value, which is quoted wherever it goes
    "in_spec": lambda text: "__enum__" not in text,
    "out_spec": lambda text: "__enum__" not in text,
    "target": _is_target,
    "as_operator": _is_target,
    "name": _is_name,
    "as_name": _is_name,
}


def _check_expression(text: str) -> None:
    words = set(_EXPRESSION_WORDS.findall(text)) - _KNOWN_WORDS
    if not _EXPRESSION.fullmatch(text) or not all(_SYMBOL.fullmatch(word) for word in words) or len(text) > 10_000:
        raise _UnsafeError(f"{text[:60]!r} as an expression")
