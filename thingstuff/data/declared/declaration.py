"""A data set in a short YAML file: where its files are, in which formats, and how it is split."""

from __future__ import annotations

import difflib
import os
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thingstuff.config.safe_yaml import read_yaml
from thingstuff.data.declared.yolo_yaml import as_declaration, is_yolo_yaml
from thingstuff.data.formats.format import PATH_OPTIONS
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.panoptic.names import is_encodable
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category

KINDS = ("instances", "stuff", "panoptic")
POLICIES = ("fail", "area", "order")
SPLIT = "{split}"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_LONGEST_PATH = 1000
KEYS = {
    "name",
    "root",
    "splits",
    "seed",
    "lenient",
    "categories",
    "keypoints",
    "format",
    "annotations",
    "images",
    *KINDS,
}
PART_KEYS = {"format", "annotations", "images"}


@dataclass(frozen=True)
class Part:
    """The files of one kind of truth; `{split}` in a path stands for the split's name. `kind` "" is what they hold."""

    kind: str
    format: str
    annotations: str
    images: str | None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """`share` of all images, or those of `list_file`; neither: the split has files of its own.

    `paths` stand in for the `annotations` and `images` of the (only) part.
    """

    name: str
    share: float | None = None
    list_file: Path | None = None
    paths: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_of_a_pool(self) -> bool:
        return self.share is not None or self.list_file is not None


@dataclass(frozen=True)
class Keypoints:
    """`flips` are pairs of names that change places in a mirrored image."""

    names: tuple[str, ...]
    flips: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Declaration:
    """`build_panoptic` is the policy for overlaps by which panoptic truth is made of instances and stuff, if it is.

    `lenient`: records that cannot be read are left out and told, where they would be refused.
    """

    path: Path
    name: str
    root: Path
    splits: tuple[Split, ...]
    parts: tuple[Part, ...]
    categories: Categories | None = None
    keypoints: Keypoints | None = None
    build_panoptic: str | None = None
    seed: int = 0
    lenient: bool = False

    def registered(self, split: str) -> str:
        """The name of a split in Detectron2's catalog."""
        return f"{self.name}_{split}"


def read_declaration(path: Path) -> Declaration:
    """Of a declaration, or of Ultralytics' data.yaml. DataError names the file and the key of what is wrong."""
    if not path.is_file():
        raise DataError(f"there is no declaration of a data set at {path}")
    values = read_yaml(path)
    try:
        return _declaration(path, as_declaration(path, values) if is_yolo_yaml(values) else values)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _declaration(path: Path, values: Mapping[str, Any]) -> Declaration:
    name = values.get("name", path.stem)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DataError(f"name: expected letters, digits, _ . and -, got {shown(name)}")
    root = _folder(_path(values, "root", "."), path.parent)
    splits = _splits(values.get("splits", ["train"]), root)
    parts = _parts(values, splits)
    seed = values.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise DataError(f"seed: expected a whole number, 0 or more, got {shown(seed)}")
    policy = _policy(values.get("panoptic"), parts)
    lenient = values.get("lenient", False)
    if not isinstance(lenient, bool):
        raise DataError(f"lenient: expected true or false, got {shown(lenient)}")
    categories, keypoints = _categories(values.get("categories")), _keypoints(values.get("keypoints"))
    return Declaration(path, name, root, splits, parts, categories, keypoints, policy, seed, lenient)


def _folder(text: str, beside: Path) -> Path:
    """A folder, relative to the declaration's own, with $VARIABLES and ~."""
    variables = {"DETECTRON2_DATASETS": str(Path("datasets").absolute()), **os.environ}
    try:
        folder = Path(string.Template(text).substitute(variables)).expanduser()
    except (KeyError, ValueError) as error:
        raise DataError(f"root: {shown(text)}: a variable that is not set, or no variable ({error})") from error
    except RuntimeError as error:
        raise DataError(f"root: {shown(text)}: nobody of that name has a home folder here") from error
    return (beside / folder).absolute()


def _text(values: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = values.get(key, default)
    if not isinstance(value, str) or not value:
        raise DataError(f"{key}: expected a text, got {shown(value)}" if key in values else f"the key {key} is missing")
    return value


def _path(values: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """The name of a file or folder, which need not be there."""
    return checked_path(_text(values, key, default), key)


def checked_path(text: str, key: str) -> str:
    if len(text) > _LONGEST_PATH or text.splitlines() != [text] or not is_encodable(text):
        raise DataError(f"{key}: expected the name of a file or folder, got {shown(text)}")
    return text


# ---- splits ------------------------------------------------------------------------------------------------------


def _splits(value: Any, root: Path) -> tuple[Split, ...]:
    if isinstance(value, list):
        value = {name: {} for name in value} if all(isinstance(v, str) for v in value) else None
    if not isinstance(value, Mapping) or not value:
        raise DataError("splits: expected a list of names, or names with a share, a list of files, or paths")
    for name in value:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise DataError(f"splits: expected names of letters, digits, _ . and -, got {shown(name)}")
    splits = tuple(_split(name, what, root) for name, what in value.items())
    shares = [s.share for s in splits if s.share is not None]
    if shares and (len(shares) < len(splits) or sum(shares) > 1 + 1e-9):
        raise DataError(f"splits: shares are for all splits or none, and at most 1 in all, got {shares}")
    if any(s.is_of_a_pool for s in splits) and not all(s.is_of_a_pool for s in splits):
        raise DataError("splits: either every split is a share or a list of one pool, or every one has its own files")
    return splits


def _split(name: str, what: Any, root: Path) -> Split:
    if isinstance(what, int | float) and not isinstance(what, bool) and 0 < what <= 1:
        return Split(name, share=float(what))
    if isinstance(what, Mapping) and set(what) == {"list"} and isinstance(what["list"], str):
        return Split(name, list_file=root / _path(what, "list"))
    if isinstance(what, Mapping) and set(what) <= {"annotations", "images"}:
        return Split(name, paths={key: _path(what, key) for key in what})
    raise DataError(
        f"splits: {name}: expected a share from 0 to 1, {{list: FILE}}, or {{annotations: PATH, images: PATH}}, "
        f"got {shown(what)}"
    )


# ---- parts -------------------------------------------------------------------------------------------------------


def _parts(values: Mapping[str, Any], splits: Sequence[Split]) -> tuple[Part, ...]:
    named = {kind: values[kind] for kind in KINDS if kind in values and not _is_policy(values[kind])}
    if named and "annotations" in values:
        raise DataError(f"annotations stands beside {', '.join(named)}: give one kind of truth, or one key for each")
    known = KEYS if not named else KEYS - {"annotations"}
    options = {key: value for key, value in values.items() if key not in KEYS}
    if named:
        _refuse_unknown(options, known)
        shared = {key: values[key] for key in ("images", "format") if key in values}
        return tuple(_part(kind, shared | _mapping(kind, part), splits) for kind, part in named.items())
    own = {key: value for key, value in values.items() if key in PART_KEYS} | options
    return (_part("", own, splits),)


def _is_policy(value: Any) -> bool:
    return isinstance(value, Mapping) and "build" in value


def _policy(value: Any, parts: Sequence[Part]) -> str | None:
    if not _is_policy(value):
        return None
    if set(value) != {"build"} or value["build"] not in POLICIES:
        raise DataError(f"panoptic: expected {{build: POLICY}}, one of {', '.join(POLICIES)}, got {shown(value)}")
    kinds = {part.kind for part in parts}
    if not {"instances", "stuff"} <= kinds:
        raise DataError("panoptic: build makes it of instances and stuff: declare both")
    return str(value["build"])


def _mapping(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{key}: expected keys such as format and annotations, got {shown(value)}")
    return value


def _part(kind: str, values: Mapping[str, Any], splits: Sequence[Split]) -> Part:
    given = all("annotations" in split.paths for split in splits)
    annotations = "" if given else _path(values, "annotations")
    images = _path(values, "images") if "images" in values else None
    options = {key: value for key, value in values.items() if key not in PART_KEYS}
    is_pool = any(split.is_of_a_pool for split in splits)
    # a list of its images can tell a split too, where all labels lie together
    telling = [annotations, *(options[key] for key in PATH_OPTIONS if isinstance(options.get(key), str))]
    is_told = any(SPLIT in path for path in telling)
    if not given and not is_told and len(splits) > 1 and not is_pool:
        raise DataError(f"annotations: expected {SPLIT} in {shown(annotations)}, since there are several splits")
    if is_pool and (is_told or SPLIT in (images or "")):
        raise DataError(f"the splits are parts of one pool, so no path can hold {SPLIT}")
    return Part(kind, _text(values, "format", "auto"), annotations, images, options)


def _refuse_unknown(values: Mapping[str, Any], known: set[str]) -> None:
    for key in values:
        raise DataError(unknown_key(key, known))


def unknown_key(key: Any, known: Sequence[str] | set[str]) -> str:
    text = key if isinstance(key, str) and key.isprintable() and len(key) < 60 else shown(key)
    close = difflib.get_close_matches(text, sorted(known), n=1)
    hint = f"did you mean {close[0]}?" if close else f"the keys are {', '.join(sorted(known))}"
    return f"there is no key {text}: {hint}"


# ---- categories --------------------------------------------------------------------------------------------------


def _categories(value: Any) -> Categories | None:
    """Names, or mappings with a name and perhaps id, isthing and color; ids go on from 1 in their order."""
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise DataError(f"categories: expected a list of names, or of {{name: ..., isthing: ...}}, got {shown(value)}")
    return Categories(tuple(_category(number, one) for number, one in enumerate(value)))


def _category(number: int, value: Any) -> Category:
    values = {"name": value} if isinstance(value, str) else value
    if not isinstance(values, Mapping) or set(values) - {"id", "name", "isthing", "color"} or "name" not in values:
        raise DataError(f"categories[{number}]: expected a name, or name, id, isthing and color, got {shown(value)}")
    isthing, color = values.get("isthing", True), values.get("color")
    if not isinstance(isthing, bool | int):
        raise DataError(f"categories[{number}]: isthing: expected true or false, got {shown(isthing)}")
    return Category(
        values.get("id", number + 1),
        values["name"],
        bool(isthing),
        tuple(color) if isinstance(color, list) else color,
    )


def _keypoints(value: Any) -> Keypoints | None:
    if value is None:
        return None
    names = value.get("names") if isinstance(value, Mapping) else None
    flips = value.get("flips", []) if isinstance(value, Mapping) else None
    fits = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    if not fits or not isinstance(flips, list) or set(value) - {"names", "flips"}:
        raise DataError(f"keypoints: expected names, and flips as pairs of names, got {shown(value)}")
    for pair in flips:
        if not isinstance(pair, list) or len(pair) != 2 or not all(name in names for name in pair):
            raise DataError(f"keypoints: flips: expected pairs of names, got {shown(pair)}")
    return Keypoints(tuple(names), tuple((a, b) for a, b in flips))
