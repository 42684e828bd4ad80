"""All entries, one after the other: trained, scored, timed. What is done is kept, and what fails is a row that says so.

Nothing else should run meanwhile: whoever is disturbed does fewer steps.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thingstuff.benchmark.projects.entries import Entry
from thingstuff.benchmark.projects.row import ProjectRow
from thingstuff.benchmark.projects.scores import SCENES_NAME, draw_scenes, scenes_folder, score_entry
from thingstuff.benchmark.projects.settings import Settings
from thingstuff.benchmark.projects.training import Training, config_key, kept_training, train_entry
from thingstuff.errors import UserError
from thingstuff.files import write_json
from thingstuff.progress import duration

_MEASURED = "measured.json"
_GUESSED_S = (60.0, 0.2)  # of an entry beside its training, and more for each scene, until the first one is done
Say = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """`unmeasured` entries were not asked for and have no result of these settings."""

    rows: Sequence[ProjectRow]
    unmeasured: Sequence[str]

    @property
    def is_whole(self) -> bool:
        return not any(row.failure for row in self.rows)


def measure_projects(
    entries: Sequence[Entry], wanted: Sequence[Entry], settings: Settings, work: Path, say: Say = print
) -> Report:
    """Measure those `wanted`; of the others there is a row where an earlier run has left one. In the entries' order."""
    scenes = scenes_folder(work, settings.scenes)
    each = {entry: _One(entry, settings, work / entry.slug, scenes) for entry in entries}
    kept = {entry: one.kept() for entry, one in each.items()}
    pending = [entry for entry in wanted if kept[entry] is None]
    if pending:
        draw_scenes(scenes, settings.scenes)
    clock = _Clock(settings, len(pending))
    for number, entry in enumerate(pending, 1):
        clock.begin()
        kept[entry] = each[entry].measure(_Speaker(say, entry.name, number, clock))
    rows = [row for row in kept.values() if row is not None]
    return Report(rows, [entry.name for entry, row in kept.items() if row is None])


@dataclass
class _Clock:
    """When all will be done, as far as is known."""

    settings: Settings
    count: int
    starts: list[float] = field(default_factory=list)

    def begin(self) -> None:
        """The next entry."""
        self.starts.append(time.monotonic())

    def left_s(self) -> float:
        """Those that are done tell how long one takes, and until then a guess."""
        first, each = _GUESSED_S
        an_entry = self.settings.seconds + first + each * self.settings.scenes
        if len(self.starts) > 1:
            an_entry = (self.starts[-1] - self.starts[0]) / (len(self.starts) - 1)
        of_this = max(0.0, an_entry - (time.monotonic() - self.starts[-1]))
        return of_this + an_entry * (self.count - len(self.starts))


@dataclass(frozen=True)
class _Speaker:
    say: Say
    name: str
    number: int
    clock: _Clock

    def __call__(self, text: str) -> None:
        self.say(f"[{self.number}/{self.clock.count}] {self.name}: {text} (all: {duration(self.clock.left_s())} left)")


@dataclass(frozen=True)
class _One:
    """One entry on its way to its row."""

    entry: Entry
    settings: Settings
    folder: Path
    scenes: Path

    def measure(self, say: Say) -> ProjectRow:
        """Whatever a project raises is its failure; what is known by then stands in the row."""
        self.folder.mkdir(parents=True, exist_ok=True)
        known: dict[str, Any] = {}
        try:
            cfg = self._config()
            training = known["training"] = self._trained(cfg, say)
            known |= self._measured(training.key) or self._measure(cfg, training, say)
        except (UserError, OSError) as error:
            reason = " ".join(str(error).split())
            say(f"failed: {reason}")
            return ProjectRow(self.entry.name, **known, failure=reason)
        say("done")
        return ProjectRow(self.entry.name, **known)

    def _trained(self, cfg: Any, say: Say) -> Training:
        key = config_key(cfg, self.settings)
        kept = kept_training(self.folder, key)
        if kept is None:
            return train_entry(self.entry, key, self.settings, self.folder, say)
        say(f"trained already, {kept.iterations} steps in {kept.train_seconds:.0f} s")
        return kept

    def kept(self) -> ProjectRow | None:
        """The row of an earlier run, if it is whole."""
        try:
            cfg = self._config()
        except UserError:
            return None
        training = kept_training(self.folder, config_key(cfg, self.settings))
        measured = training and self._measured(training.key)
        return ProjectRow(self.entry.name, training, **measured) if measured else None

    def _config(self) -> Any:
        from thingstuff.config import load_config
        from thingstuff.engine.device import settle_device

        cfg = load_config(self.entry.config_file, self.settings.overrides)
        settle_device(cfg)
        return cfg

    def _measured(self, key: str) -> Mapping[str, Any] | None:
        file = self.folder / _MEASURED
        if not file.is_file():
            return None
        found = json.loads(file.read_bytes())
        of_this = found.pop("key") == self._measuring_key(key)
        return found if of_this else None

    def _measuring_key(self, key: str) -> list[Any]:
        return [key, self.settings.scenes, *self.settings.latency]

    def _measure(self, cfg: Any, training: Training, say: Say) -> Mapping[str, Any]:
        from thingstuff.benchmark.projects.latency import latencies, latency_record

        say(f"evaluating on {self.settings.scenes} scenes")
        scores = score_entry(self.entry, training.weights, self.settings, self.scenes, self.folder)
        say("timing")
        count, repeats = self.settings.latency
        cfg.MODEL.WEIGHTS, cfg.DATASETS.TEST = training.weights, (SCENES_NAME,)
        images = sorted((self.scenes / "shapes" / "val").glob("*.png"))[:count]
        rows = latencies(cfg, self.entry.name, images, repeats, self.folder / "latency", self.settings.seed)
        found = {"scores": scores, "latency": latency_record(rows)}
        write_json(self.folder / _MEASURED, {"key": self._measuring_key(training.key), **found})
        return found
