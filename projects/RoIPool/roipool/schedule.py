"""The order of the trainings, and those of them that are not done yet."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from roipool.runs import Run, Setting, open_study, refuse_mixed, train
from roipool.variants import Variant
from thingstuff.engine.folders import make_writable


def run_missing(
    folder: Path, variants: Sequence[Variant], seeds: Iterable[int], setting: Setting, jobs: int, limit: int | None
) -> list[Run]:
    """Train what is missing, `jobs` at a time and `limit` at most, and return all runs that are done now.

    All variants have their turn with one seed before the next seed begins, so that whatever is done can be compared.
    """
    make_writable(folder, "--output")
    open_study(folder, setting)
    runs = [Run(folder, variant, seed) for seed, variant in itertools.product(seeds, variants)]
    missing = [run for run in runs if not run.is_done]
    todo = missing[:limit]
    print(f"{len(runs) - len(missing)} of {len(runs)} runs are done, {len(todo)} to train now", flush=True)
    _train_all(todo, setting, jobs)
    done = [run for run in runs if run.is_done]
    refuse_mixed(done)
    return done


def _train_all(runs: Sequence[Run], setting: Setting, jobs: int) -> None:
    """The first failure ends it; trainings that run beside it are still finished."""
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_train_one, run, setting) for run in runs]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _train_one(run: Run, setting: Setting) -> None:
    scores = train(run, setting)
    words = f"mask AP {scores.tasks['segm']['AP']:.1f}, box AP {scores.tasks['bbox']['AP']:.1f}"
    print(f"{run.variant.name}, seed {run.seed}: {words} after {scores.train_seconds:.0f} s", flush=True)
