"""Options of the form NAME=VALUE, given once for each name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thingstuff.errors import ConfigError


def numbers_by_name(texts: Sequence[str], option: str, what: str) -> dict[str, float]:
    """`what` is expected, with an example: "NAME=SHARE such as train=0.8"."""
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise ConfigError(f"{option}: expected {what}, got {text}") from None
    return found


def values_by_name(texts: Sequence[str], option: str, example: str) -> dict[str, Any]:
    """Values as YAML has them: numbers, texts, lists in brackets, mappings in braces."""
    from thingstuff.config.safe_yaml import read_value

    found = {}
    for text in texts:
        name, line, value = text.partition("=")
        if not line or not name:
            raise ConfigError(f"{option}: expected NAME=VALUE such as {example}, got {text}")
        found[name] = read_value(value, f"{option} {name}")
    return found
