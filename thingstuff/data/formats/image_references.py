"""Images as programs in a browser name them, by URL, upload or path of another computer -> files below a folder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.image_files import IMAGE_SUFFIXES
from thingstuff.data.formats.instance_records import shown
from thingstuff.errors import DataError

_LOCAL_FILE = "/data/local-files/?d="  # Label Studio's, for files that stay where they are
_UPLOADS = "/data/upload/"
_UPLOAD_PREFIX = re.compile("[0-9a-f]{8}-(?=.)")  # which Label Studio puts before the name of an upload
_SCHEME_AND_HOST = re.compile("[A-Za-z][A-Za-z0-9+.-]*://[^/]*")
_DRIVE = re.compile("[A-Za-z]:/")
_MOST_CHARACTERS = 4096
_DEEPEST = 16  # folders that are looked for


@dataclass(frozen=True)
class ImageReference:
    """`names` are what the file can be called below the image folder, the surest first; `stated` if none is there."""

    names: tuple[str, ...]
    stated: str

    @classmethod
    def of(cls, value: Any, place: str) -> ImageReference:
        if not isinstance(value, str) or len(value) > _MOST_CHARACTERS or "\0" in value:
            raise DataError(f"{place}: expected the path or the URL of its image, got {shown(value)}")
        path, is_relative = _path(value)
        parts = [part for part in path.split("/") if part not in ("", ".")]
        inner = parts[_after_last(parts, "..") :]
        if not inner or "\0" in path:
            raise DataError(f"{place}: expected the path or the URL of its image, got {shown(value)}")
        names = ["/".join(inner[first:]) for first in range(max(0, len(inner) - _DEEPEST), len(inner))]
        if _UPLOADS in value:
            names.append(_UPLOAD_PREFIX.sub("", inner[-1], count=1))
        return cls(tuple(dict.fromkeys(names)), "/".join(parts) if is_relative else names[-1])

    def below(self, root: Path) -> str:
        """The first name that is a file there."""
        # Path.is_file raises for names that are too long
        return next((name for name in self.names if os.path.isfile(root / name)), self.stated)  # noqa: PTH113

    @property
    def is_image(self) -> bool:
        """Whether it ends as images do."""
        return self.stated.lower().endswith(IMAGE_SUFFIXES)


def reference_or_fault(value: Any, place: str, faults: Faults) -> ImageReference | None:
    """None where the value names no image, which is a fault then."""
    if isinstance(value, str) and not _is_utf8(value):
        faults.add("images whose names are not UTF-8", f"{place}: {shown(value)}")
        return None
    with faults.skipping("records that name no image"):
        return ImageReference.of(value, place)
    return None


def _path(value: str) -> tuple[str, bool]:
    """With "/" between its parts; whether it is relative to a folder that somebody can have here too."""
    if _LOCAL_FILE in value:
        return unquote(value.partition(_LOCAL_FILE)[2]).replace("\\", "/"), True
    text = value.replace("\\", "/")
    scheme = _SCHEME_AND_HOST.match(text)
    if scheme and not text.lower().startswith("http"):  # of a bucket, where a name is as it stands
        return text[scheme.end() :], False
    if scheme or text.startswith(_UPLOADS):
        return unquote(re.split("[?#]", text[scheme.end() if scheme else 0 :])[0]).replace("\\", "/"), False
    return text, not (text.startswith("/") or _DRIVE.match(text))


def _after_last(parts: list[str], part: str) -> int:
    return max((number for number, each in enumerate(parts, 1) if each == part), default=0)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
