"""The thresholds that a tuning of the greedy rule tries, and those that it starts from."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from thingstuff.errors import ConfigError
from thingstuff.merge import Greedy

CONFIDENCES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
OVERLAPS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
AREA_STEPS = (0, 0.25, 0.5, 1, 2, 4)  # times the present limit, which knows the size of the images
MOST_COMBINATIONS = 10_000
_SAME_SHARE = 1e-9
_FLAGS = {
    "confidences": ("--confidence", "instances_confidence_thresh"),
    "overlaps": ("--overlap", "overlap_thresh"),
    "areas": ("--area", "stuff_area_limit"),
}


@dataclass(frozen=True)
class MergeGrid:
    """All combinations are tried. `areas` are pixels, or below 1 shares of the image; None: around the present one.

    An impossible value is refused under the name of the command's option.
    """

    confidences: tuple[float, ...] = CONFIDENCES
    overlaps: tuple[float, ...] = OVERLAPS
    areas: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        sizes = 1
        for name, (flag, threshold) in _FLAGS.items():
            values = getattr(self, name)
            if values is None:
                continue
            if not values:
                raise ConfigError(f"{flag}: expected one value or more")
            for value in values:
                _check(flag, threshold, value)
            sizes *= len(set(values))
        if sizes > MOST_COMBINATIONS:
            raise ConfigError(f"the grid has {sizes} combinations: leave out values until it has {MOST_COMBINATIONS}")

    def rules(self, present: Greedy) -> tuple[Greedy, ...]:
        """The present rule, and then each other combination once."""
        areas = areas_around(present.stuff_area_limit) if self.areas is None else self.areas
        product = itertools.product(self.confidences, self.overlaps, areas)
        return tuple(dict.fromkeys([present, *(Greedy(overlap, area, score) for score, overlap, area in product)]))


def areas_around(limit: float) -> tuple[float, ...]:
    """Limits of the same kind, pixels or shares, from 0 to four times this one; of 0, shares of the image."""
    if limit == 0:
        return (0, 0.001, 0.0025, 0.005, 0.01, 0.02)
    found = [limit * step for step in AREA_STEPS]
    return tuple(area for area in found if area == 0 or (area < 1) == (limit < 1))


def rule_of_ledgers(ledgers: Iterable[Iterable[Mapping[str, Any]] | None], sizes_px: Iterable[int]) -> Greedy | None:
    """The thresholds that the ledgers of a run's images name; where nothing was dropped, the rule's own.

    None if they name none at all, or not the same everywhere. An area limit is a share of the image where its pixels
    are another number in images of other sizes.
    """
    named: dict[str, set[float]] = {"confidence": set(), "overlap": set(), "area": set()}
    shares = set()
    for ledger, size_px in zip(ledgers, sizes_px, strict=True):
        for entry in ledger or ():
            if entry.get("reason") in named and entry.get("threshold") is not None:
                named[entry["reason"]].add(float(entry["threshold"]))
                if entry["reason"] == "area":
                    shares.add(float(entry["threshold"]) / size_px)
    if len(named["area"]) > 1 and max(shares) < 1 and max(shares) - min(shares) < _SAME_SHARE:
        named["area"] = {round(max(shares), 9)}
    if not any(named.values()) or any(len(values) > 1 for values in named.values()):
        return None
    own = Greedy()
    defaults = {
        "overlap": own.overlap_thresh,
        "area": own.stuff_area_limit,
        "confidence": own.instances_confidence_thresh,
    }
    return Greedy(*(next(iter(named[reason]), default) for reason, default in defaults.items()))


def _check(flag: str, threshold: str, value: float) -> None:
    try:
        Greedy(**{threshold: value})
    except ConfigError as error:
        raise ConfigError(f"{flag} {value:g}: {str(error).partition(': ')[2]}") from error
