"""A part of a page that a command writes, between two marks, while the rest is written by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from thingstuff.errors import ConfigError
from thingstuff.files import whole_file


@dataclass(frozen=True)
class Marks:
    """The comments that enclose the part of this name."""

    name: str

    @property
    def begin(self) -> str:
        return f"<!-- begin: {self.name} -->"

    @property
    def end(self) -> str:
        return f"<!-- end: {self.name} -->"

    def require(self, page: Path, option: str = "") -> str:
        """The text of the page, which an option may name. ConfigError unless it has both marks, in their order."""
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
        begin, end = self.begin, self.end
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
            place = f"{option} {page}".lstrip()
            raise ConfigError(f"{place}: expected a page with the lines {begin} and {end}, between which it writes")
        return text

    def write(self, page: Path, part: str) -> None:
        """Put `part` in place of what stands between the marks."""
        text = self.require(page)
        before, after = text.partition(self.begin)[0], text.partition(self.end)[2]
        with whole_file(page) as file:
            file.write(f"{before}{self.begin}\n\n{part.strip()}\n\n{self.end}{after}".encode())
