"""What a check is: codes with a severity and a way to mend, and a function that yields findings."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from thingstuff.data.checks.image_facts import ImageFiles
from thingstuff.data.checks.shapes import Shapes
from thingstuff.data.truth import SplitTruth

Severity = Literal["error", "warning", "info"]  # would fail or teach nonsense; probably a mistake; worth knowing


@dataclass(frozen=True)
class Code:
    """One kind of mistake, by its name as "polygon-outside"; `mend` says what to do, in a few words."""

    name: str
    severity: Severity
    mend: str
    is_fixable: bool = False


@dataclass(frozen=True)
class Finding:
    """One mistake: which, in which split, where (file and record), and what exactly is wrong."""

    code: Code
    split: str
    place: str
    message: str


@dataclass(frozen=True)
class Checked:
    """What is checked: the splits of a data set, and the class counts of a config if there is one.

    With `is_quick` a check looks at the annotations and at the names of files, and opens no image.
    """

    splits: Mapping[str, SplitTruth]
    is_quick: bool = False
    class_counts: Mapping[str, int] = field(default_factory=dict)  # "MODEL.ROI_HEADS.NUM_CLASSES" -> 80

    @cached_property
    def shapes(self) -> Mapping[str, Shapes]:
        """The masks, polygons and boxes of each split as columns, measured once for all checks."""
        return {name: Shapes.of(split) for name, split in self.splits.items()}

    @cached_property
    def image_files(self) -> Mapping[str, ImageFiles]:
        """Where the images of each split are, and, once a check asks for that, what they hold."""
        return {name: ImageFiles.of(split) for name, split in self.splits.items()}


@dataclass(frozen=True)
class Check:
    """`run` yields findings of `codes`. `mend` gives the split without what is fixable, leaving the files alone.

    `is_quick`: it has something to say without opening images.
    """

    codes: tuple[Code, ...]
    run: Callable[[Checked], Iterator[Finding]]
    is_quick: bool
    mend: Callable[[SplitTruth], SplitTruth] | None = None


def as_text(value: Any, most: int = 60) -> str:
    """A value of somebody's file for a message."""
    shortener = reprlib.Repr()  # it may be huge, or lists in lists in lists
    shortener.maxlevel, shortener.maxlist, shortener.maxtuple = 4, most, most
    shortener.maxstring = shortener.maxlong = shortener.maxother = 4 * most
    text = shortener.repr(value)
    return text if len(text) <= most else f"{text[:most]} ..."
