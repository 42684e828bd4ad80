"""CVAT's XML, read as a stream: the labels of its task, and image after image with the shapes in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from thingstuff.data.formats.instance_records import checked_label, shown
from thingstuff.errors import DataError

_CHUNK_BYTES = 1 << 20
_DEEPEST = 32
_MOST_PIECES = 8  # of the text in one element; expat gives some thousand characters at once
_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,15}\s*")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
CROWD = "is_crowd"  # the attribute by which CVAT's importers know a region of COCO that is a crowd

Attributes = dict[str, str]


@dataclass(frozen=True)
class CvatLabel:
    name: str
    color: list[int] | None


@dataclass
class CvatShape:
    """A child of an image, as it stands there."""

    kind: str
    attributes: Attributes
    place: str
    is_crowd: bool = False


@dataclass(frozen=True)
class CvatImage:
    id: int
    name: str
    height: int
    width: int
    place: str
    shapes: list[CvatShape] = field(default_factory=list)


def read_cvat_file(path: Path, add_image: Callable[[CvatImage], None]) -> list[CvatLabel]:
    """Calls `add_image` at the end of every image; the labels. Entities, whose expansion has no end, are refused."""
    reader = _Reader(path.name, add_image)
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                reader.parser.Parse(chunk, False)
        reader.parser.Parse(b"", True)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except DataError:
        raise
    except expat.ExpatError as error:
        raise DataError(f"{path}: no XML, or cut off: {error}") from error
    except (LookupError, ValueError) as error:  # of an encoding that nobody knows
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    return reader.labels


def whole_number(attributes: Attributes, name: str, place: str, default: str | None = None) -> int:
    text = attributes.get(name, default)
    if text is None or not _WHOLE.fullmatch(text):
        raise DataError(f"{place}: expected {name} as a whole number, got {shown(text)}")
    return int(text)


class _Reader:
    """Expat's handlers. `_path` are the names of the elements that are open."""

    def __init__(self, name: str, add_image: Callable[[CvatImage], None]) -> None:
        self.labels: list[CvatLabel] = []
        self._name, self._add_image = name, add_image
        self._path: list[str] = []
        self._image: CvatImage | None = None
        self._label: dict[str, str] = {}
        self._text: list[str] = []
        self._attribute = ""
        self.parser: Any = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.EntityDeclHandler = self._refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _refuse_doctype(self, *_: object) -> None:
        raise DataError(f"{self._place()}: expected CVAT's XML, got a document type or an entity, which it never has")

    def _start(self, tag: str, attributes: Attributes) -> None:
        self._path.append(tag)
        self._text = []
        depth = len(self._path)
        if depth > _DEEPEST:
            raise DataError(f"{self._place()}: elements are nested deeper than {_DEEPEST}, as CVAT never does")
        if depth == 1 and tag != "annotations":
            raise DataError(f"{self._place()}: expected CVAT's <annotations>, got <{tag[:40]}>")
        if depth == 2 and tag == "track":
            raise DataError(
                f"{self._place()}: a <track> is of CVAT's format for videos, which is not read: "
                'export the task as "CVAT for images 1.1"'
            )
        if depth == 2 and tag == "image":
            self._image = self._new_image(attributes)
        elif depth == 3 and self._image is not None:
            self._image.shapes.append(CvatShape(tag, attributes, f"{self._place()}: {tag[:40]}"))
        elif tag == "attribute":
            self._attribute = attributes.get("name", "")
        elif tag == "label" and self._path[-2] == "labels":
            self._label = {}

    def _end(self, tag: str) -> None:
        depth, text = len(self._path), "".join(self._text).strip()
        if depth == 2 and self._image is not None:
            image, self._image = self._image, None
            self._add_image(image)
        elif depth == 4 and self._image is not None and tag == "attribute" and self._attribute == CROWD:
            self._image.shapes[-1].is_crowd = text.lower() in ("true", "1")
        elif tag in ("name", "color", "parent") and self._path[-3:-1] == ["labels", "label"]:
            self._label[tag] = text
        elif tag == "label" and self._path[-2] == "labels":
            self._add_label()
        self._path.pop()
        self._text = []

    def _characters(self, text: str) -> None:
        if len(self._text) < _MOST_PIECES:
            self._text.append(text)

    def _new_image(self, attributes: Attributes) -> CvatImage:
        place = f"{self._place()}: image {shown(attributes.get('name', ''))}"
        return CvatImage(
            id=whole_number(attributes, "id", place),
            name=_image_name(attributes.get("name", ""), place),
            height=whole_number(attributes, "height", place),
            width=whole_number(attributes, "width", place),
            place=place,
        )

    def _add_label(self) -> None:
        if self._label.get("parent"):  # a joint of a skeleton
            return
        name = checked_label(self._label.get("name", ""), f"{self._place()}: label")
        color = self._label.get("color", "")
        rgb = [int(color[at : at + 2], 16) for at in (1, 3, 5)] if _COLOR.fullmatch(color) else None
        self.labels.append(CvatLabel(name, rgb))

    def _place(self) -> str:
        return f"{self._name}:{self.parser.CurrentLineNumber}"


def _image_name(name: str, place: str) -> str:
    if not name:
        raise DataError(f"{place}: expected a name")
    return name
