"""How every project is trained and measured: the same for all, so that rows can be compared."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from thingstuff.errors import ConfigError

SECONDS = 420.0
SCENES = 500
SCENE_SEED = 20261  # of a draw that nobody has trained on
_SMALL_OPTIONS = ("MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0", "SOLVER.IMS_PER_BATCH", "2")
_SMALL_SCENES, _SMALL_STEPS = 5, 2


@dataclass(frozen=True)
class Settings:
    """`seconds` of training and `threads` of it; `scenes` to evaluate on; `options` are the user's, over every config.

    `small` is a trial of two steps and a few scenes.
    """

    seconds: float = SECONDS
    threads: int = 1
    scenes: int = SCENES
    seed: int = 0
    options: tuple[str, ...] = ()
    small: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.seconds < float("inf"):
            raise ConfigError(f"--seconds must be more than 0, got {self.seconds:g}")
        for name, least in {"threads": 1, "scenes": 2, "seed": 0}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"--{name} must be {least} or more, got {getattr(self, name)}")

    @classmethod
    def trial(cls, threads: int, seed: int, options: tuple[str, ...]) -> Settings:
        return cls(1.0, threads, _SMALL_SCENES, seed, options, small=True)

    @property
    def overrides(self) -> tuple[str, ...]:
        """Of every config."""
        own = ("SEED", str(self.seed))
        return (*own, *(_SMALL_OPTIONS if self.small else ()), *self.options)

    @property
    def probe_steps(self) -> tuple[int, int]:
        """Steps that warm up, and those that are timed."""
        return (1, 1) if self.small else (10, 40)

    @property
    def latency(self) -> tuple[int, int]:
        """Images, and turns over them."""
        return (1, 1) if self.small else (20, 3)

    def iterations(self, seconds_each: float) -> int:
        """As many as go into the time."""
        steps = max(1, round(self.seconds / seconds_each))
        return min(steps, _SMALL_STEPS) if self.small else steps

    def command(self) -> str:
        """What measures the same."""
        words = [f"--seconds {self.seconds:g}", f"--threads {self.threads}"]
        words = ["--small", *words[1:]] if self.small else [*words, f"--scenes {self.scenes}"]
        options = f" --opts {shlex.join(self.options)}" if self.options else ""
        return f"tools/benchmark.py projects {' '.join(words)} --seed {self.seed}{options}"
