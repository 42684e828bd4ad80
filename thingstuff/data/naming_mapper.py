"""A mapper whose errors name the image: a damaged file in a training is the user's to mend, not a bug."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

from thingstuff.errors import DataError, UserError

Mapper = Callable[[dict[str, Any]], dict[str, Any] | None]  # as in Detectron2, None skips the record

# what image readers and Detectron2's own comparison of sizes raise
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


class NamingMapper:
    """Any mapper of Detectron2's kind; what it raises on a file that cannot be read becomes a DataError of one line."""

    def __init__(self, mapper: Mapper) -> None:
        self.mapper = mapper

    def __call__(self, record: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return self.mapper(record)
        except UserError:
            raise
        except _DAMAGE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            name = record.get("file_name")
            raise DataError(
                f"{name}: cannot be read, or is not as its record says ({reason}): mend or remove it, "
                "tools/dataset.py check finds all such images"
            ) from error
