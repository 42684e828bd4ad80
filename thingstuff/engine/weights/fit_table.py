"""What became of the weights of a file, in one table of the model's parts; in one line where everything fits."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from tabulate import tabulate

from thingstuff.engine.weights.fit import Fit

_COLUMNS = ("part", "matched", "other shape", "not in file", "no place", "")
# the last layer of a network that was trained to name 1000 kinds of images, under the names of several collections
_CLASSIFIERS = re.compile(r"(fc1000|fc|stem\.fc|head\.fc|linear|head|classifier)\.(weight|bias)")
_BODIES = ("bottom_up", "net")  # of Detectron2's FPN, and of its plain ViT

logger = logging.getLogger(__name__)


def log_fit(fit: Fit, perfect: int = logging.INFO) -> None:
    """`perfect`: the level at which it is said that nothing is lacking."""
    if not (fit.missing or fit.reshaped or fit.unplaced):
        logger.log(perfect, "all %d tensors of %s fit this model", len(fit.matched), fit.file)
        return
    logger.info("weights from %s\n%s", fit.file, fit_table(fit))
    if fit.heads:
        logger.info("heads that start anew: %s", fit.heads_in_words())


def fit_table(fit: Fit) -> str:
    """A row for each part of the model, then for each part of the file that the model has not."""
    rows = [
        (row.part, *(len(names) or "" for names in (row.matched, row.reshaped, row.missing, row.unplaced)), _why(row))
        for row in _rows(fit)
    ]
    return tabulate(rows, _COLUMNS, tablefmt="simple", disable_numparse=True, colalign=("left", *["right"] * 4, "left"))


@dataclass
class _Row:
    part: str
    matched: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)


def _rows(fit: Fit) -> Iterable[_Row]:
    rows: dict[str, _Row] = {}
    for name in [*fit.in_model, *fit.unplaced]:
        rows.setdefault(_part(name), _Row(_part(name)))
    for kind in ("matched", "reshaped", "missing", "unplaced"):
        for name in getattr(fit, kind):
            getattr(rows[_part(name)], kind).append(name)
    for head in fit.heads:
        rows[_part(fit.heads[head][0])].heads.append(fit.words(head))
    return [row for row in rows.values() if row.matched or row.reshaped or row.missing or row.unplaced]


def _part(name: str) -> str:
    """`backbone.bottom_up.res2.0.conv1.weight` -> `backbone.bottom_up`."""
    parts = name.split(".")[:-1] or [name]
    if parts[0] == "roi_heads":
        return ".".join(parts[:2])
    if parts[0] != "backbone" or len(parts) == 1:
        return parts[0]
    if parts[1] in _BODIES:
        return f"backbone.{parts[1]}"
    return "backbone.fpn" if parts[1].startswith(("fpn_", "top_block", "simfp_")) else "backbone"


def _why(row: _Row) -> str:
    reasons = [f"{words}: starts anew" for words in dict.fromkeys(row.heads)]
    if row.missing:
        some = row.matched or row.reshaped
        reasons.append(f"the file lacks {_some(row.missing)}" if some else "not in the file: starts with fresh values")
    if row.unplaced and all(_CLASSIFIERS.fullmatch(name) for name in row.unplaced):
        reasons.append("the ImageNet classifier")
    elif row.unplaced:
        known = row.matched or row.reshaped or row.missing
        reasons.append(f"this model has no {_some(row.unplaced) if known else row.part}")
    return "; ".join(reasons)


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
