"""The tables of a measurement of predictions, as `text_table` takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from thingstuff.benchmark.prediction.process import OWN
from thingstuff.benchmark.prediction.rows import PredictRow
from thingstuff.benchmark.prediction.stages import STAGES, WHOLE
from thingstuff.benchmark.prediction.subjects import INSTANCES
from thingstuff.benchmark.prediction.turns import ARTIFACT

_OPTION = ("stuff labels", "merge")
_HEAD = "stuff head"
_NOTES = (
    "milliseconds from a file to COCO RLE, over {images} images in {repeats} turns; ratio = Detectron2's / this one's,"
    " image by image in the same turns: above 1, this one is faster",
    "first: the first call of the process, compiling and planning included; peak: memory above the imported libraries",
    "agrees: masks and boxes against Detectron2's, of the detections that were injected alike; equal: as many as asked"
    " for, and as near as its precision promises",
)


_OWN_LOAD = (
    "{parts}: nothing can be injected there, and the network is one stage; the load is what the weights find, as many"
    " detections an image as the column says"
)


def latency_table(rows: Sequence[PredictRow], images: int, repeats: int) -> dict[str, Any]:
    cells = [
        [
            *(
                shown_name(row),
                _detections(row),
                row.p50_ms,
                row.p90_ms,
                row.p99_ms,
                row.ratio,
            ),
            *(row.first_ms, row.peak_mib, row.agrees or "-", _scientific(row.features_off), row.equal),
        ]
        for row in rows
    ]
    return {
        "rows": cells,
        "headers": (
            *("system", "detections", "p50 ms", "p90 ms", "p99 ms", "ratio", "first ms", "peak MiB"),
            *("agrees", "features off", "equal"),
        ),
        "align": "lrrrrrrrlrl",
        "digits": 2,
        "footnotes": [note.format(images=images, repeats=repeats) for note in _NOTES] + _notes_of_whole(rows),
    }


def shown_name(row: PredictRow) -> str:
    return row.system if row.part == INSTANCES else f"{row.part} {row.system}"


def _detections(row: PredictRow) -> str:
    """What was asked for, or what was found."""
    if row.case != OWN or not row.found:
        return row.case
    fewest, most = min(row.found), max(row.found)
    return f"{OWN}, {fewest}" if fewest == most else f"{OWN}, {fewest} to {most}"


def _notes_of_whole(rows: Sequence[PredictRow]) -> list[str]:
    whole = dict.fromkeys(row.part for row in rows if WHOLE in row.stages_ms and row.system != ARTIFACT)
    return [_OWN_LOAD.format(parts=", ".join(whole))] if whole else []


def more_tables(rows: Sequence[PredictRow]) -> Iterator[dict[str, Any]]:
    """Stages, arithmetic, throughput, the panoptic option's cost, accuracy: those for which there are numbers."""
    for part in dict.fromkeys(row.part for row in rows):
        own = [row for row in rows if row.part == part]
        last = [row for row in own if row.case == own[-1].case]
        yield _stages_table(last)
        if any(row.gflop for row in last):
            yield _limits_table(last)
        if any(row.images_per_s for row in last):
            yield _throughput_table(last)
    panoptic = [row for row in rows if "merge" in row.stages_ms]
    if panoptic:
        yield _option_table(panoptic)
    if any(row.accuracy for row in rows):
        yield _accuracy_table(rows)


def _stages_table(rows: Sequence[PredictRow]) -> dict[str, Any]:
    stages = [stage for stage in STAGES if any(stage in row.stages_ms for row in rows)]
    others = sorted({stage for row in rows for stage in row.stages_ms} - set(STAGES))
    names = [*stages, *others]
    return {
        "rows": [[row.system, *(row.stages_ms.get(name) for name in names), row.mean_ms] for row in rows],
        "headers": (f"ms, {_case(rows)}", *names, "sum"),
        "digits": 1,
        "footnotes": ["means; what is not marked apart belongs to the next stage, and the stages add up to the whole"],
    }


def _limits_table(rows: Sequence[PredictRow]) -> dict[str, Any]:
    """By stage: operations, and each program's time in units of what a plain matrix product would take for as many."""
    stages = [stage for stage in STAGES if any(stage in row.gflop for row in rows)]
    rates = {name: rate for name, rate in rows[0].matmul_gflop_s.items() if rate}
    counted = [row for row in rows if row.gflop]
    cells = [
        [stage, max(row.gflop.get(stage, 0.0) for row in counted[:1]), *(_times(row, stage) for row in counted)]
        for stage in stages
    ]
    cells.append(["together", sum(counted[0].gflop.values()), *(_times(row, None) for row in counted)])
    speed = ", ".join(f"{rate:.0f} in {name}" for name, rate in rates.items())
    millions = ", ".join(f"{row.system} {(row.parameters or 0) / 1e6:.1f}" for row in counted)
    return {
        "rows": cells,
        "headers": (f"times the limit, {_case(rows)}", "GFLOP", *(row.system for row in counted)),
        "align": "l" + "r" * (len(counted) + 1),
        "digits": 2,
        "footnotes": [
            f"the limit: as many operations in a plain matrix product of the program's precision, GFLOP/s: {speed}",
            "GFLOP: 2 for each multiplication with addition of convolutions and products, of the first image",
            f"parameters, millions: {millions}",
        ],
    }


def _times(row: PredictRow, stage: str | None) -> float | None:
    rate = row.matmul_gflop_s.get(row.precision or "float32")
    names = list(row.gflop) if stage is None else [stage]
    gflop = sum(row.gflop.get(name, 0.0) for name in names)
    if not rate or not gflop:
        return None
    return sum(row.stages_ms.get(name, 0.0) for name in names) / (1000 * gflop / rate)


def _throughput_table(rows: Sequence[PredictRow]) -> dict[str, Any]:
    batches = list(dict.fromkeys(batch for row in rows for batch in row.images_per_s))
    return {
        "rows": [[row.system, *(row.images_per_s.get(batch) for batch in batches)] for row in rows],
        "headers": (f"images/s, {_case(rows)}", *(f"batch {batch}" for batch in batches)),
        "digits": 2,
        "footnotes": ["copies of the first image in one call; ours in a stream, in the mode exact one by one"],
    }


def _option_table(rows: Sequence[PredictRow]) -> dict[str, Any]:
    """What stuff costs on top of instances, in the same calls."""
    cells = []
    for row in rows:
        head, option = row.stages_ms.get(_HEAD, 0.0), sum(row.stages_ms.get(stage, 0.0) for stage in _OPTION)
        instances = row.mean_ms - head - option
        cells.append([row.system, row.case, instances, head, 100 * head / instances, option, 100 * option / instances])
    return {
        "rows": cells,
        "headers": ("panoptic", "detections", "instances ms", "head ms", "head %", "labels + merge ms", "%"),
        "align": "lrrrrrr",
        "digits": 1,
        "footnotes": [
            "percent of the instances; the head is the semantic one, labels + merge all else that stuff needs"
        ],
    }


def _accuracy_table(rows: Sequence[PredictRow]) -> dict[str, Any]:
    cells = []
    # the latency of what a program finds itself goes with its accuracy, where it was measured
    ordered = sorted(rows, key=lambda row: row.case == OWN)
    for row in {(row.part, row.system): row for row in ordered if row.accuracy}.values():
        for metric, found in row.accuracy.items():
            bounds = [found.get(key) for key in ("difference", "low", "high")]
            cells.append([shown_name(row), metric, found["percent"], *bounds, found.get("verdict", "-"), row.p50_ms])
    return {
        "rows": cells,
        "headers": ("accuracy", "metric", "percent", "minus exact", "95 % from", "to", "verdict", "p50 ms"),
        "align": "llrrrrlr",
        "digits": 2,
        "footnotes": ["of the very programs that were timed; differences over the same drawn images"],
    }


def _scientific(value: float | None) -> str | None:
    return None if value is None else f"{value:.1e}"


def _case(rows: Sequence[PredictRow]) -> str:
    part, case = rows[0].part, rows[0].case
    return f"{part}, {case} detections"
