"""The measurements that the README quotes, as one page: what was run, what it printed, on which machine.

Each is a command of its own, as a user would type it, so that the page can be checked line by line. A run of all makes
it anew; a run of some replaces their sections.
"""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.benchmark.results_page import Section, earlier_page, page_text
from thingstuff.errors import ConfigError, SetupError
from thingstuff.files import whole_file

COMMAND = "tools/benchmark.py"
EXIT_UNEQUAL = 1
_SMALL_PREDICT = ("--config-file", "thingstuff://shapes/mask_rcnn.yaml", "--panoptic", "none", "--size", "64")


@dataclass(frozen=True)
class Run:
    """`arguments` of `tools/benchmark.py`, those of a trial that takes seconds, and the package that it `needs`."""

    name: str
    title: str
    arguments: tuple[str, ...]
    small: tuple[str, ...]
    needs: str | None = None


@dataclass(frozen=True)
class Done:
    """A run's output. `equal` says whether all answers were the reference program's."""

    run: Run
    arguments: tuple[str, ...]
    output: str
    equal: bool
    seconds: float


RUNS = (
    Run(
        "predict",
        "Prediction, from an image's file to COCO RLE",
        ("predict", "--count", "2", "--repeats", "2", "--batches", "1", "4"),
        (
            *("predict", *_SMALL_PREDICT, "--systems", "stock", "exact", "--count", "1", "--repeats", "1"),
            *("--batches", "1", "--detections", "3", "--proposals", "20"),
        ),
    ),
    Run(
        "merge",
        "Things + stuff",
        ("merge", "--instances", "100"),
        ("merge", "--instances", "5", "--sizes", "48x64", "--repeats", "1"),
    ),
    Run(
        "paste",
        "Masks to RLE and into the panoptic map",
        ("paste", "--instances", "100"),
        ("paste", "--instances", "5", "--sizes", "48x64", "--repeats", "1"),
    ),
    Run(
        "evaluate",
        "Evaluation",
        ("evaluate", "--repeats", "3"),
        ("evaluate", "--parts", "ap", "--images", "2", "--repeats", "1"),
    ),
    Run(
        "memory",
        "Memory of an evaluation",
        ("evaluate", "--memory", "--images", "5000"),
        ("evaluate", "--memory", "--images", "2"),
    ),
    Run(
        "ray",
        "Bulk prediction with Ray",
        ("ray", "--images", "2000", "--repeats", "1"),
        (
            *("ray", "--images", "2", "--repeats", "1", "--config-file", "thingstuff://shapes/mask_rcnn.yaml"),
            *("--opts", "INPUT.MIN_SIZE_TEST", "64", "MODEL.RPN.POST_NMS_TOPK_TEST", "20"),
        ),
        needs="ray",
    ),
    Run(
        "ray-2",
        "Bulk prediction with Ray, two workers",
        ("ray", "--images", "2000", "--workers", "2", "--repeats", "1"),
        (
            *("ray", "--images", "4", "--workers", "2", "--repeats", "1"),
            *("--config-file", "thingstuff://shapes/mask_rcnn.yaml"),
            *("--opts", "INPUT.MIN_SIZE_TEST", "64", "MODEL.RPN.POST_NMS_TOPK_TEST", "20"),
        ),
        needs="ray",
    ),
    Run(
        "train",
        "Training",
        ("train", "--repeats", "2"),
        (
            *("train", "--size", "64", "--batch", "1", "--repeats", "1"),
            *("--config-file", "thingstuff://shapes/mask_rcnn.yaml", "MODEL.DEVICE", "cpu"),
            *("INPUT.MASK_FORMAT", "polygon", "MODEL.ROI_HEADS.NUM_CLASSES", "80"),
        ),
    ),
)
_ON_GPU = ", on the GPU"
_ON_GPUS_TOO = {"predict": ("--opts", "MODEL.DEVICE"), "train": ("MODEL.DEVICE",)}  # how a run is told its device


def write_results(
    output: Path, machine: Callable[[], Mapping[str, Any]], *, names: Sequence[str] = (), small: bool = False
) -> list[Done]:
    """Run those of `names`, or all, and write the page. `machine` is asked once all have run.

    With `names`, the other sections stay as an earlier run has written them.
    """
    unknown = [name for name in names if name not in {run.name for run in RUNS}]
    if unknown:
        raise ConfigError(f"--only: there is no {unknown[0]!r}: choose some of {', '.join(run.name for run in RUNS)}")
    done = []
    for run in RUNS:
        if not names and not _is_installed(run.needs):
            print(f"{run.title}: left out, since {run.needs} is not installed", flush=True)
        elif not names or run.name in names:
            for arguments in _on_devices(run, run.small if small else run.arguments):
                print(f"{run.title}: {_typed(arguments)}", flush=True)
                done.append(_run(run, arguments))
    with whole_file(output) as file:
        file.write(_page(output, done, names, machine(), small).encode())
    return done


def _page(output: Path, done: Sequence[Done], names: Sequence[str], machine: Mapping[str, Any], small: bool) -> str:
    sections = {_title(one): _section(one) for one in done}
    before = earlier_page(output) if names and not small else None
    if before is None:
        return page_text(sections.values(), machine, small)
    titles = [run.title for run in RUNS]
    order = [title for run in titles for title in (run, f"{run}{_ON_GPU}")]
    return before.with_sections(sections, machine, order)


def _title(done: Done) -> str:
    return done.run.title + (_ON_GPU if "cuda" in done.arguments else "")


def _section(done: Done) -> Section:
    return Section(_title(done), _typed(done.arguments), round(done.seconds), done.equal, done.output)


def _on_devices(run: Run, arguments: tuple[str, ...]) -> list[tuple[str, ...]]:
    """On the CPU, and on the GPU where there is one."""
    words = _ON_GPUS_TOO.get(run.name)
    if words is None or not _has_gpu():
        return [arguments]
    bare = arguments[: arguments.index("MODEL.DEVICE")] if "MODEL.DEVICE" in arguments else arguments
    rest = arguments[len(bare) + 2 :]
    return [(*bare, *words, device, *rest) for device in ("cpu", "cuda")]


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _is_installed(package: str | None) -> bool:
    return package is None or importlib.util.find_spec(package) is not None


def _run(run: Run, arguments: tuple[str, ...]) -> Done:
    start = time.perf_counter()
    command = [sys.executable, "-m", "thingstuff.cli.benchmark", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode not in (0, EXIT_UNEQUAL) or not answer.stdout.strip():
        reason = (answer.stderr.strip() or f"exit code {answer.returncode}").splitlines()[-1]
        raise SetupError(f"{_typed(arguments)} failed: {reason.removeprefix('benchmark: error: ')}")
    return Done(run, arguments, answer.stdout.rstrip(), answer.returncode == 0, time.perf_counter() - start)


def _typed(arguments: Sequence[str]) -> str:
    return f"{COMMAND} {shlex.join(arguments)}"
