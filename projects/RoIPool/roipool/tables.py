"""The comparison in Markdown: a sentence, a row a variant, and a row an IoU threshold."""

from __future__ import annotations

import math
import statistics
from typing import Any

from roipool.comparison import Comparison
from roipool.paired import PairedDifference
from roipool.scores import IOUS, iou_key
from roipool.variants import BASELINE
from roipool.verdict import verdict
from thingstuff.report.table import UNDEFINED, Table

_NOTE = (
    "Differences are points of AP: the mean over pairs of runs with the same seed, with the 95 % interval of Student's "
    "t; bold where it leaves zero out. Each interval stands for itself, not for all of them at once."
)


def tables(compared: Comparison) -> str:
    parts = [part for part in (verdict(compared), _by_variant(compared)) if part]
    if len(compared.variants) > 1:
        parts += [
            "Mask AP at each IoU threshold, that of the baseline and what the others add:",
            _by_iou(compared),
            _NOTE,
        ]
    return "\n\n".join(parts) + "\n"


def _by_variant(compared: Comparison) -> str:
    headers = ["model", "runs", "mask AP", "AP50", "AP75", "difference", "box AP", "difference", "s a training"]
    rows = [_variant_row(compared, variant.name, variant.title) for variant in compared.variants]
    return Table(rows, headers, align="lrrrrrrrr", digits=1).markdown()


def _variant_row(compared: Comparison, name: str, title: str) -> list[Any]:
    return [
        title,
        len(compared.seeds(name)),
        _mean_and_spread(compared.values(name, "segm", "AP")),
        compared.mean(name, "segm", "0.50"),
        compared.mean(name, "segm", "0.75"),
        shown(compared.difference(name, "segm", "AP")),
        _mean_and_spread(compared.values(name, "bbox", "AP")),
        shown(compared.difference(name, "bbox", "AP")),
        f"{compared.train_seconds(name):.0f}",
    ]


def _mean_and_spread(values: list[float]) -> str:
    mean = f"{statistics.fmean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.1f}"


def _by_iou(compared: Comparison) -> str:
    others = [variant for variant in compared.variants if variant.name != BASELINE]
    headers = ["IoU", compared.variants[0].name, *(variant.name for variant in others)]
    metrics = [(iou_key(iou), iou_key(iou)) for iou in IOUS]
    metrics += [("0.50:0.95", "AP"), ("small", "APs"), ("medium", "APm"), ("large", "APl")]
    rows = [
        [
            title,
            compared.mean(BASELINE, "segm", metric),
            *(shown(compared.difference(variant.name, "segm", metric)) for variant in others),
        ]
        for title, metric in metrics
    ]
    return Table(rows, headers, align="l" + "r" * (len(headers) - 1), digits=1).markdown()


def shown(difference: PairedDifference | None) -> str:
    """`-1.2 (-2.0 to -0.4)`, in bold where the interval leaves zero out."""
    if difference is None or math.isnan(difference.mean):
        return UNDEFINED
    if difference.runs == 1:
        return f"{difference.mean:+.1f}"
    text = f"{difference.mean:+.1f} ({difference.low:+.1f} to {difference.high:+.1f})"
    return f"**{text}**" if difference.is_sure else text
