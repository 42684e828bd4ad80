"""The folder where what is made of data sets is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """`$THINGSTUFF_CACHE`, or thingstuff/ in the user's cache folder. Everything in it can be made again."""
    base = os.environ.get("THINGSTUFF_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "thingstuff"
    return Path(base).expanduser()
