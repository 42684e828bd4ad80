"""What the table has a row for: the Mask R-CNN of the embedded data set, and what each project trains on it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thingstuff.errors import ConfigError

YARDSTICK = "Mask R-CNN"
_PLAIN, _MORE = "shapes.yaml", "shapes_*.yaml"


@dataclass(frozen=True)
class Entry:
    """`config_file` as `load_config` takes it; `project` is the folder's name, "" for the yardstick."""

    name: str
    config_file: str
    project: str = ""

    @property
    def slug(self) -> str:
        """A name for its folder."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")


def find_entries(folders: Mapping[str, Path]) -> list[Entry]:
    """The yardstick, then of each project, by name and folder, `configs/shapes.yaml` and every `shapes_*.yaml`."""
    found = [Entry(YARDSTICK, "thingstuff://shapes/mask_rcnn.yaml")]
    for project, folder in sorted(folders.items(), key=lambda item: item[0].lower()):
        configs = folder / "configs"
        for file in [configs / _PLAIN, *sorted(configs.glob(_MORE))]:
            if file.is_file():
                variant = file.stem.removeprefix("shapes").replace("_", " ")
                found.append(Entry(f"{project}{variant}", str(file), project))
    return found


def chosen(entries: Sequence[Entry], names: Iterable[str]) -> list[Entry]:
    """Those of these names, by project or by row; all for none."""
    wanted = list(names)
    for name in wanted:
        if not any(_is_called(entry, name) for entry in entries):
            known = [entry.name for entry in entries]
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"choose some of {', '.join(known)}"
            raise ConfigError(f"--only: there is no {name!r}: {hint}")
    return [entry for entry in entries if not wanted or any(_is_called(entry, name) for name in wanted)]


def _is_called(entry: Entry, name: str) -> bool:
    """Whatever its capitals, spaces and hyphens are."""
    return _bare(name) in {_bare(entry.name), _bare(entry.project)} - {""}


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())
