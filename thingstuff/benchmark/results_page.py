"""The page of results as text: a table of the machine, and a section a measurement, which can be replaced alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.report.table import Table

_HEAD = (
    "# Results",
    "Written by `make bench`; not to be edited by hand. Each table is what the command above it printed, and says"
    " how it was measured; [benchmarks](benchmark.md) tells more.",
)
_TRIAL = "**A trial at small sizes: these numbers mean nothing.**"
_UNEQUAL = "\n\n**Not all answers were as they should be: see the column `equal`.**"
_HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
_ROW = re.compile(r"^\| (?!machine )(\S+) +\| (.*?) +\|$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """A measurement: the command as it is typed, how long it took, whether all answers were equal, what it printed."""

    title: str
    command: str
    seconds: int
    equal: bool
    output: str

    def text(self, apart: str = "") -> str:
        """`apart` says what was another machine than that of the page."""
        verdict = "" if self.equal else _UNEQUAL
        return (
            f"## {self.title}\n\n    {self.command}\n\ntook {self.seconds} s{apart}:{verdict}\n\n"
            f"```text\n{self.output}\n```"
        )


@dataclass(frozen=True)
class EarlierPage:
    """A page that was written before: its text down to the first section, its machine, its sections by title."""

    head: str
    machine: Mapping[str, str]
    sections: Mapping[str, str]

    def with_sections(self, new: Mapping[str, Section], machine: Mapping[str, Any], order: Sequence[str]) -> str:
        """The page with these sections instead of those of the same titles, in the order of all titles."""
        apart = _apart(self.machine, _shown(machine))
        texts = dict(self.sections) | {title: section.text(apart) for title, section in new.items()}
        known = [title for title in order if title in texts]
        others = [title for title in texts if title not in known]
        return "\n\n".join([self.head, *(texts[title] for title in (*known, *others))]) + "\n"


def page_text(sections: Iterable[Section], machine: Mapping[str, Any], small: bool) -> str:
    table = Table([list(row) for row in _shown(machine).items()], ["machine", ""]).markdown()
    parts = [*_HEAD, *([_TRIAL] if small else []), table, *(section.text() for section in sections)]
    return "\n\n".join(parts) + "\n"


def earlier_page(path: Path) -> EarlierPage | None:
    """What `page_text` has written there; None for a trial, another file or none."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not text.startswith(_HEAD[0]) or _TRIAL in text:
        return None
    head, *rest = _HEADING.split(text)
    pairs = zip(rest[::2], rest[1::2], strict=True)
    sections = {title: f"## {title}{body.rstrip()}" for title, body in pairs}
    return EarlierPage(head.rstrip(), dict(_ROW.findall(head)), sections)


def _shown(machine: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in machine.items() if value is not None}


def _apart(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """How the machine of a section is another one than that of the page."""
    cells = {name: value.replace("|", "\\|") for name, value in now.items()}
    differ = [f"{name} {value}" for name, value in cells.items() if before.get(name) != value]
    return f", on another day with {', '.join(differ)}" if differ else ""
