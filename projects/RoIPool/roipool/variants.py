"""The models that the study compares: a name, a config, and in words what differs from the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thingstuff.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "study"
BASELINE = "align2"
_ALSO = {"mask28": BASELINE}  # the same model by another name, which is not trained twice


@dataclass(frozen=True)
class Variant:
    """A model of the study. `title` is its row in the tables."""

    name: str
    title: str

    @property
    def config(self) -> Path:
        return CONFIGS / f"shapes_{self.name}.yaml"


VARIANTS = {
    each.name: each
    for each in (
        Variant(BASELINE, "RoIAlign, 2 x 2 samples, masks 28 x 28"),
        Variant("roipool", "RoIPool"),
        Variant("roipool_mask", "RoIPool in the mask head alone"),
        Variant("align1", "RoIAlign, 1 sample"),
        Variant("mask14", "masks 14 x 14"),
        Variant("mask56", "masks 56 x 56"),
    )
}


def chosen(names: Sequence[str]) -> list[Variant]:
    """The variants of these names, the baseline always among them and first; none is named: all."""
    unknown = [name for name in names if name not in VARIANTS and name not in _ALSO]
    if unknown:
        raise ConfigError(f"there is no variant {unknown[0]!r}: expected some of {', '.join([*VARIANTS, *_ALSO])}")
    wanted = {_ALSO.get(name, name) for name in names} or set(VARIANTS)
    return [variant for variant in VARIANTS.values() if variant.name in wanted | {BASELINE}]
