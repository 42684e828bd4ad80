"""What the two ends of a JSON file tell of it, so that COCO's kinds are known without reading gigabytes."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.data.formats.coco_json import find_json

_END_BYTES = 1 << 16
_TRIES = 3
# a text that is cut off ends with the file, so that no text is searched twice
_TOKEN = re.compile(r'"(?:[^"\\]|\\[\s\S])*+(?:"|\\?\Z)|[{}\[\]]')
_CATEGORIES = re.compile(r'"categories"\s*:\s*')


@dataclass(frozen=True)
class CocoEnds:
    """The beginning and the end of a file that is COCO-like; `categories` are its own if an end holds them whole."""

    path: Path
    head: str
    tail: str
    categories: list[dict[str, Any]] | None

    @property
    def is_panoptic(self) -> bool:
        return '"segments_info"' in self.head or '"segments_info"' in self.tail

    @property
    def is_lvis(self) -> bool:
        """Images say what is absent from them, or categories have LVIS's fields."""
        ends = (self.head, self.tail)
        if any(key in end for end in ends for key in ('"neg_category_ids"', '"not_exhaustive_category_ids"')):
            return True
        return any('"synset"' in end and '"frequency"' in end for end in ends)

    @property
    def is_stuff(self) -> bool:
        """Categories are COCO's stuff, or none is said to be a thing and the name speaks of stuff alone."""
        name = self.path.stem.lower()
        is_named = "stuff" in name and "thing" not in name
        if self.categories is None:
            return is_named
        if not self.categories or any(c.get("isthing") for c in self.categories):
            return False
        return is_named or all(c.get("isthing") == 0 for c in self.categories) or _are_coco_stuff(self.categories)


def coco_ends(path: Path) -> CocoEnds | None:
    """Of a file, or of the JSON in a folder; None for what is not there, unreadable, or nothing like COCO's."""
    try:
        found = find_json(path)
        head, tail = _ends(found)
        return CocoEnds(found, head, tail, _categories(head, tail)) if _is_coco(head, tail) else None
    except (OSError, ValueError, RecursionError):
        return None


def _ends(path: Path) -> tuple[str, str]:
    with path.open("rb") as file:
        head = file.read(_END_BYTES)
        file.seek(max(len(head), path.stat().st_size - _END_BYTES))
        return head.decode("utf-8-sig", "replace"), file.read(_END_BYTES).decode("utf-8", "replace")


def _is_coco(head: str, tail: str) -> bool:
    if not head.lstrip().startswith("{"):
        return False
    keys = set(_top_keys(head))
    if keys & {"images", "annotations"}:
        return True
    return "categories" in keys and ('"image_id"' in tail or '"file_name"' in tail)


def _top_keys(head: str) -> Iterator[str]:
    depth = 0
    for token in _TOKEN.finditer(head):
        text = token.group()
        if text in "{[":
            depth += 1
        elif text in "}]":
            depth -= 1
        elif depth == 1 and head[token.end() : token.end() + 40].lstrip().startswith(":"):
            yield text[1:-1]


def _categories(head: str, tail: str) -> list[dict[str, Any]] | None:
    for text in (head, tail, head + tail):
        for start in itertools.islice(_CATEGORIES.finditer(text), _TRIES):
            try:
                found, _ = json.JSONDecoder().raw_decode(text, start.end())
            except (ValueError, RecursionError):  # it goes on beyond this end
                continue
            if isinstance(found, list) and all(isinstance(each, dict) for each in found):
                return found
    return None


def _are_coco_stuff(categories: list[dict[str, Any]]) -> bool:
    """COCO numbers its stuff from 92 on."""
    ids = [c.get("id") for c in categories]
    return all(isinstance(i, int) and i >= 92 for i in ids) and all("supercategory" in c for c in categories)
