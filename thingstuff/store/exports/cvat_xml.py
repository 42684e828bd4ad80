"""The elements of CVAT's XML 1.1 for images, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures.categories import Color
from thingstuff.structures.runs import run_starts
from thingstuff.structures.spans import Box

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class CvatAttribute:
    """What a label's shapes can have besides their place."""

    name: str
    input_type: Literal["text", "checkbox"]
    default: str = ""


def opening(size: int, labels: Iterable[tuple[str, Color, CvatAttribute | None]]) -> Iterator[str]:
    """What stands before the images, which are `size`; a label is a name, a colour and perhaps an attribute."""
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield "<annotations>"
    yield "  <version>1.1</version>"
    yield f"  <meta><task><size>{size}</size><mode>annotation</mode><labels>"
    for name, color, attribute in labels:
        red_green_blue = "".join(f"{value:02x}" for value in color)
        yield f"    <label><name>{escape(in_xml(name))}</name><color>#{red_green_blue}</color><type>any</type>"
        yield f"      <attributes>{'' if attribute is None else _attribute(attribute)}</attributes></label>"
    yield "  </labels></task></meta>"


def closing() -> str:
    return "</annotations>"


def image_element(number: int, name: str, size_hw: tuple[int, int], shapes: Iterable[str]) -> Iterator[str]:
    """An image with its shapes. CVAT goes by the number, which counts the images of a task in their order, from 0."""
    height, width = size_hw
    yield f'  <image id="{number}" name={quoteattr(in_xml(name))} width="{width}" height="{height}">'
    yield from (f"    {shape}" for shape in shapes)
    yield "  </image>"


def shape_element(shape: tuple[str, str], common: str, attribute: tuple[str, str] | None = None) -> str:
    """`shape` is its kind and its place, `attribute` a name and a value."""
    kind, place = shape
    inner = "" if attribute is None else f'<attribute name="{attribute[0]}">{attribute[1]}</attribute>'
    return f"<{kind} {place} {common}>{inner}</{kind}>"


def mask_shape(crop: NDArray[np.uint8], box: Box) -> tuple[str, str]:
    """The run lengths of a crop with pixels along its rows, zeros first, and where the crop lies."""
    flat = crop.reshape(-1)
    starts = run_starts(flat)
    lengths = np.diff(starts, append=flat.size).tolist()
    runs = [0, *lengths] if flat[0] else lengths
    x0, y0, x1, y1 = box
    place = f'left="{x0}" top="{y0}" width="{x1 - x0}" height="{y1 - y0}"'
    return "mask", f'rle="{", ".join(map(str, runs))}" {place}'


def box_shape(x0: float, y0: float, x1: float, y1: float) -> tuple[str, str]:
    return "box", f'xtl="{x0:.2f}" ytl="{y0:.2f}" xbr="{x1:.2f}" ybr="{y1:.2f}"'


def common_attributes(label: str, z_order: int, source: Literal["auto", "manual"]) -> str:
    return f'label={quoteattr(in_xml(label))} source="{source}" occluded="0" z_order="{z_order}"'


def _attribute(attribute: CvatAttribute) -> str:
    return (
        f"<attribute><name>{attribute.name}</name><mutable>False</mutable>"
        f"<input_type>{attribute.input_type}</input_type><default_value>{attribute.default}</default_value>"
        f"<values>{attribute.default}</values></attribute>"
    )


def in_xml(text: str) -> str:
    """The text, if XML has all of its characters."""
    found = _NOT_IN_XML.search(text)
    if found:
        raise DataError(f"{text!r}: XML cannot hold the character {found.group()!r}: rename it")
    return text
