"""The merge rules by name: a project adds one with `@register_rule("name")` on a frozen dataclass."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from thingstuff.errors import ConfigError
from thingstuff.merge.rule import Rule

RULES: dict[str, type[Rule]] = {}

_RuleClass = TypeVar("_RuleClass", bound=type[Rule])


def register_rule(name: str) -> Callable[[_RuleClass], _RuleClass]:
    """Make a rule known under `name`. A name is given once, so that no import changes what a config means."""

    def register(rule: _RuleClass) -> _RuleClass:
        if not is_dataclass(rule) or not rule.__dataclass_params__.frozen:
            raise TypeError(f"merge rule {name!r}: expected a frozen dataclass, got {rule!r}")
        if not callable(getattr(rule, "merge", None)):
            raise TypeError(f"merge rule {name!r}: expected a method merge(inputs), {rule.__name__} has none")
        if RULES.get(name, rule) is not rule:
            raise ValueError(f"merge rule {name!r}: the name is taken by {RULES[name].__qualname__}")
        RULES[name] = rule
        return rule

    return register


def build_rule(name: str, **thresholds: Any) -> Rule:
    """The rule of this name with these thresholds, and its own defaults for the others."""
    if name not in RULES:
        raise ConfigError(f"no merge rule is named {name!r}: {_suggest(name, list(RULES))}")
    rule = RULES[name]
    known = [field.name for field in fields(rule) if field.init]  # type: ignore[arg-type]
    for threshold in thresholds:
        if threshold not in known:
            raise ConfigError(f"merge rule {name!r} has no threshold {threshold!r}: {_suggest(threshold, known)}")
    return rule(**thresholds)


def _suggest(wrong: str, known: list[str]) -> str:
    near = difflib.get_close_matches(str(wrong), known, n=1)
    listed = f"known are {', '.join(sorted(known))}" if known else "it has none"
    return f"did you mean {near[0]!r}? ({listed})" if near else listed
