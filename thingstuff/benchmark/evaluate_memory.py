"""The memory of an AP evaluation: how far a program rises above the records that it is given, in its own process."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thingstuff.benchmark.coco_scenes import random_coco
from thingstuff.benchmark.evaluate_ap import IOU_TYPES, NAMES, write_files
from thingstuff.benchmark.measure import MemoryRow
from thingstuff.benchmark.peak_memory import peak_mib, restart_peak
from thingstuff.benchmark.pycocotools_ap import REFERENCE, same_numbers, stats_of_records
from thingstuff.errors import SetupError

PROGRAMS = ("ours", "theirs")


def memory_rows(images: int, objects: float, seed: int) -> Iterator[MemoryRow]:
    truth, detections = random_coco(images, objects, seed)
    for iou_type in IOU_TYPES:
        with tempfile.TemporaryDirectory() as folder:
            files = write_files(Path(folder), truth, detections, iou_type)
            ours, theirs = (_in_own_process(program, *files, iou_type) for program in PROGRAMS)
        yield MemoryRow(
            case=f"{NAMES[iou_type]}, {images} images, {len(detections)} detections",
            reference=REFERENCE,
            ours_mib=ours["rise_mib"],
            reference_mib=theirs["rise_mib"],
            ratio=theirs["rise_mib"] / max(ours["rise_mib"], 1e-9),
            equal=same_numbers(ours["numbers"], theirs["numbers"]),
        )


def measure_rise(program: str, truth_file: Path, results_file: Path, iou_type: str) -> dict[str, Any]:
    """Load both files, then run `program` on the records: its 12 numbers, and the peak of resident memory above that.

    What a program imports is imported before, so that it does not count.
    """
    run = _programs()[program]
    truth, results = json.loads(truth_file.read_bytes()), json.loads(results_file.read_bytes())
    gc.collect()
    loaded_mib = restart_peak()
    numbers = run(truth, results, iou_type)
    return {"numbers": numbers, "rise_mib": peak_mib() - loaded_mib}


def _in_own_process(program: str, truth_file: Path, results_file: Path, iou_type: str) -> dict[str, Any]:
    command = [sys.executable, "-m", __name__, program, str(truth_file), str(results_file), iou_type]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        reason = (answer.stderr.strip() or f"exit code {answer.returncode}").splitlines()[-1]
        raise SetupError(f"the memory of {program} could not be measured: {reason}")
    return json.loads(answer.stdout)


def _programs() -> dict[str, Any]:
    import hotcoco  # noqa: F401
    import pycocotools.cocoeval  # noqa: F401

    from thingstuff.evaluation import evaluate_coco

    return {
        "ours": lambda truth, results, iou_type: list(evaluate_coco(truth, results, iou_type).numbers.values()),
        "theirs": stats_of_records,
    }


if __name__ == "__main__":
    print(json.dumps(measure_rise(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])))
