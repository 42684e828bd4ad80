"""File names that no JSON, no list and no terminal can hold, since their bytes are not UTF-8."""

from __future__ import annotations

from collections.abc import Iterable

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.instance_records import shown


def utf8_names(names: Iterable[str], faults: Faults) -> list[str]:
    """The names that are UTF-8; each other one is a fault. Python holds its bytes as lone surrogates."""
    kept = []
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            faults.add("file names that are not UTF-8", f"{shown(name)}: rename it")
            continue
        kept.append(name)
    return kept
