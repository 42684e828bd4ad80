"""What was measured of each program, as rows: latency, its stages, memory, throughput, agreement with Detectron2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thingstuff.benchmark.prediction.agreement import Agreement, agreement
from thingstuff.benchmark.prediction.process import OWN
from thingstuff.benchmark.prediction.stages import STAGES
from thingstuff.benchmark.prediction.turns import ARTIFACT, STOCK, TORCHVISION, Measured, Stages

# mean IoU of masks with Detectron2's that a program must reach; others must find the same to the last bit. Under other
# rounding another copy of an object may win; torchvision pastes into boxes of whole pixels.
LEAST_IOU = {"fp32": 0.99, "fast": 0.95, "torchvision": 0.8, "torchvision-mixed": 0.8}


@dataclass(frozen=True)
class PredictRow:
    """One program in one case (a number of detections, or what it finds itself). Milliseconds are of whole images.

    `found` says how many detections it has in each image. Percentiles are over images and turns; `ratio` is the median,
    over the same images in the same turns, of Detectron2's milliseconds / these; `stages_ms` are means, and add up to
    `mean_ms`. `gflop` and `parameters` are those of Detectron2's network for it and its kin, whatever they save of it,
    and torchvision's own for torchvision.
    """

    part: str
    system: str
    case: str
    found: list[int]
    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    ratio: float | None
    first_ms: float
    peak_mib: float
    agreement: dict[str, Any]
    agrees: str
    equal: bool
    features_off: float | None
    stages_ms: Stages
    gflop: Stages
    precision: str | None
    parameters: int | None
    matmul_gflop_s: Mapping[str, float | None]
    images_per_s: dict[str, float]
    accuracy: dict[str, Any]


@dataclass(frozen=True)
class _References:
    """What a program is held against: Detectron2, the network whose operations can be counted, and plain products."""

    stock: Measured | None
    plain: Measured | None
    matmul: Mapping[str, float | None]


def rows_of(
    part: str, measured: Mapping[str, Measured], accuracy: Mapping[str, Mapping[str, Any]]
) -> Iterator[PredictRow]:
    """Case by case, in each the systems in their order."""
    stock = measured.get(STOCK)
    plain = stock or measured.get("exact")  # whose operations can be counted
    matmul = next(iter(measured.values())).matmul
    for case in dict.fromkeys(case for one in measured.values() for case in one.calls):
        for system, one in measured.items():
            if case in one.calls:
                yield _row(part, system, case, one, _References(stock, plain, matmul), accuracy.get(system, {}))


def _row(
    part: str,
    system: str,
    case: str,
    one: Measured,
    references: _References,
    accuracy: Mapping[str, Any],
) -> PredictRow:
    stock = references.stock
    totals = _totals(one.calls[case])
    has_stock = stock is not None and case in stock.calls
    agreed = agreement(one.records[case], stock.records[case]) if has_stock else None
    own_count = agreement(one.records[case], one.records[case])
    counted = one if system.startswith(TORCHVISION) else None if system == ARTIFACT else references.plain
    return PredictRow(
        part=part,
        system=system,
        case=case,
        found=[len(records) for records in one.records[case]],
        p50_ms=float(np.percentile(totals, 50)),
        p90_ms=float(np.percentile(totals, 90)),
        p99_ms=float(np.percentile(totals, 99)),
        mean_ms=float(totals.mean()),
        ratio=float(np.median(_totals(stock.calls[case]) / totals)) if has_stock else None,
        first_ms=one.first_ms,
        peak_mib=one.facts["peak_mib"],
        agreement=asdict(agreed or own_count),
        agrees=agreed.words() if agreed else "",
        equal=_is_equal(system, case, agreed, own_count),
        features_off=_features_off(one, stock) if stock and not system.startswith(TORCHVISION) else None,
        stages_ms=mean_stages(one.calls[case]),
        gflop={stage: flop / 1e9 for stage, flop in counted.flop.get(case, {}).items() if flop} if counted else {},
        precision=one.features["precision"] if one.features else None,
        parameters=counted.facts["parameters"] if counted else None,
        matmul_gflop_s=references.matmul,
        images_per_s={str(batch): 1000 * batch / float(np.median(ms)) for batch, ms in one.batch_ms.items()},
        accuracy=dict(accuracy),
    )


def mean_stages(turns: Sequence[Sequence[Stages]]) -> Stages:
    """Over all calls; a stage that a call did not have took no time there."""
    calls = [call for turn in turns for call in turn]
    names = sorted({name for call in calls for name in call}, key=_place)
    return {name: float(np.mean([call.get(name, 0.0) for call in calls])) for name in names}


def _place(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else len(STAGES)


def _totals(turns: Sequence[Sequence[Stages]]) -> np.ndarray:
    """Turn by turn, image by image."""
    return np.array([sum(call.values()) for turn in turns for call in turn])


def _is_equal(system: str, case: str, agreed: Agreement | None, counted: Agreement) -> bool:
    """The number that was asked for, and Detectron2's answer within what the system promises.

    What networks find themselves is held against Detectron2's in the exact mode alone: with random weights another
    rounding finds something else.
    """
    if case == OWN:
        return system != "exact" or agreed is None or agreed.identical
    if not counted.fewest == counted.most == int(case):
        return False
    if agreed is None:
        return True
    if system not in LEAST_IOU:
        return agreed.identical
    return agreed.unmatched == 0 and (agreed.mean_iou is None or agreed.mean_iou >= LEAST_IOU[system])


def _features_off(one: Measured, stock: Measured) -> float | None:
    """Root mean square of the difference of the backbones' features, relative to Detectron2's."""
    features, expected = one.features, stock.features
    if features is None or expected is None or features["shape"] != expected["shape"]:
        return None
    a, b = np.array(features["values"]), np.array(expected["values"])
    return float(np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)))
