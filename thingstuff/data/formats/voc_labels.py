"""The classes of a VOC data set, by index and by colour: VOC's own twenty, or those of its labelmap.txt."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.instance_records import MOST_LABEL_CHARACTERS, checked_label, shown
from thingstuff.data.truth import Record
from thingstuff.errors import DataError

BACKGROUND, VOID = 0, 255
MOST_CLASSES = 254
LABELMAP = "labelmap.txt"
_BLACK, _VOID_COLOR, _VOID_NAMES = (0, 0, 0), (224, 224, 192), ("ignored", "void")
_COLOR = re.compile(r"\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*")
_MOST_BYTES = 1 << 20
_VOC_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

Rgb = tuple[int, int, int]


def voc_colors() -> NDArray[np.uint8]:
    """VOC's colour map, 256 x 3: three bits of an index at a time, from the lowest, are the next bit of R, G and B."""
    indices, colors = np.arange(256), np.zeros((256, 3), np.uint8)
    for place in range(8):
        for channel in range(3):
            colors[:, channel] |= ((indices >> (3 * place + channel) & 1) << (7 - place)).astype(np.uint8)
    return colors


def color_codes(colors: NDArray[np.uint8]) -> NDArray[np.int64]:
    """K x 3 colours -> K numbers, as `read_label_png` gives them with `rgb_ids`."""
    return colors.astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])


@dataclass(frozen=True)
class VocLabels:
    """`names`: class index -> name. `index_of`: the code of a colour -> class index, with 0 and 255 among them.

    `has_own_colors`: a labelmap.txt says what colours mean, and goes before the indices of a palette.
    """

    names: Mapping[int, str]
    index_of: Mapping[int, int]
    has_own_colors: bool
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, root: Path) -> VocLabels:
        path = root / LABELMAP
        is_there = os.path.isfile(path)  # noqa: PTH113  Path.is_file raises for long names
        return _from_labelmap(path) if is_there else _with_voc_colors(dict(enumerate(_VOC_NAMES, 1)))

    def categories(self) -> list[Record]:
        """COCO's records, whose ids are the class indices."""
        code_of = {index: code for code, index in self.index_of.items()}
        records: list[Record] = []
        for index, name in self.names.items():
            code = code_of.get(index)
            color = {} if code is None else {"color": [code & 255, code >> 8 & 255, code >> 16]}
            records.append({"id": index, "name": name, **color})
        return records


def labelmap_text(names: Sequence[str]) -> str:
    """The labelmap.txt of these classes, with VOC's colours; the background is class 0."""
    colors = voc_colors().tolist()
    lines = [f"{name}:{','.join(map(str, colors[index]))}::" for index, name in enumerate(("background", *names))]
    return "\n".join(["# label:color_rgb:parts:actions", *lines, ""])


def fits_labelmap(name: str) -> bool:
    """Whether a line can name a class so, and is read as that again."""
    is_line = name.strip() == name and name.splitlines() == [name] and len(name) <= MOST_LABEL_CHARACTERS
    is_text = name.encode("utf-8", "replace").decode() == name
    return is_line and is_text and ":" not in name and not name.startswith("#") and not is_background(name)


def _with_voc_colors(names: Mapping[int, str], notes: tuple[str, ...] = ()) -> VocLabels:
    codes = color_codes(voc_colors()).tolist()
    return VocLabels(names, {codes[index]: index for index in (BACKGROUND, *names, VOID)}, False, notes)


# ---- labelmap.txt ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    name: str
    color: Rgb | None
    place: str

    @property
    def is_void(self) -> bool:
        """Whether it is the border that VOC draws around objects, which some programs list among the classes."""
        return self.color == _VOID_COLOR and self.name.lower() in _VOID_NAMES


def _from_labelmap(path: Path) -> VocLabels:
    """The background is class 0 wherever it stands, and the others count from 1 in their order."""
    lines = [_line(text, f"{path}, line {n}") for n, text in enumerate(_text(path).splitlines(), 1) if _is_label(text)]
    background = _background(lines)
    numbered = dict(enumerate((line for line in lines if line is not background), 1))
    if len(numbered) > MOST_CLASSES:
        raise DataError(f"{path}: {len(numbered)} labels are more than the {MOST_CLASSES} that an index can tell apart")
    classes = {n: line for n, line in numbered.items() if not line.is_void}
    _refuse_twice(line for line in lines if not line.is_void)
    names = {n: line.name for n, line in classes.items()}
    colored = {_code(line.color): n for n, line in classes.items() if line.color is not None}
    notes: tuple[str, ...] = ()
    if background is not None and not is_background(background.name):
        notes = (f"{path}: {shown(background.name)} is black, and so the background",)
    if not colored:
        return _with_voc_colors(names, notes)
    own = {_code(background.color): BACKGROUND} if background is not None and background.color else {}
    return VocLabels(names, {_code(_BLACK): BACKGROUND, _code(_VOID_COLOR): VOID, **own, **colored}, True, notes)


def _code(color: Rgb) -> int:
    return int(color_codes(np.array([color], np.uint8))[0])


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise DataError(f"{path}: expected a line for each label, got more than {_MOST_BYTES} bytes")
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _is_label(text: str) -> bool:
    return bool(text.strip()) and not text.lstrip().startswith("#")


def _line(text: str, place: str) -> _Line:
    """`name:r,g,b:parts:actions`; the fields behind the name may be missing."""
    name, color, *_ = [*text.split(":"), ""]
    if not color.strip():
        return _Line(checked_label(name.strip(), place), None, place)
    found = _COLOR.fullmatch(color)
    red, green, blue = map(int, found.groups()) if found else (256, 256, 256)
    if max(red, green, blue) > 255:
        raise DataError(f"{place}: expected name:r,g,b:parts:actions with colours of 0 to 255, got {shown(text)}")
    return _Line(checked_label(name.strip(), place), (red, green, blue), place)


def _background(lines: Sequence[_Line]) -> _Line | None:
    """What is black, as pixels that are nobody's are, or else the class of that name."""
    black = [line for line in lines if line.color == _BLACK]
    named = [line for line in lines if is_background(line.name)]
    return next(iter([*black, *named]), None)


def is_background(name: str) -> bool:
    """Other programs write it as _background_ too."""
    return name.strip("_").lower() == "background"


def _refuse_twice(lines: Iterable[_Line]) -> None:
    first: dict[object, _Line] = {}
    for line in lines:
        for value in (line.name, line.color):
            if value is not None and first.setdefault(value, line) is not line:
                raise DataError(f"{line.place}: {shown(value)} is that of a label before: give each label its own")
