"""How far a long job is: a bar with the time left on a terminal, now and then a plain line in a log."""

from __future__ import annotations

import datetime
import logging
import sys
import time
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Any, TypeVar

from thingstuff.console import is_main_process

_LINE_EVERY_S = 20.0
_QUICK_S = 5.0

logger = logging.getLogger(__name__)


_Item = TypeVar("_Item")


def watched(items: Collection[_Item], title: str) -> Iterator[_Item]:
    """The items, while their progress is shown; of a quick job nothing is said."""
    with Progress(len(items), title, quick_s=_QUICK_S) as progress:
        for item in items:
            yield item
            progress.step()


def duration(seconds: float) -> str:
    """Such as 0:07:00."""
    return str(datetime.timedelta(seconds=round(seconds)))


class Progress:
    """Counts steps of a job; `total` is None where nobody knows how many there are. Only the main process speaks.

    The end of a job that took less than `quick_s` seconds is not reported.
    """

    def __init__(self, total: int | None, title: str, done: int = 0, quick_s: float = 0) -> None:
        self._total, self._title, self._done, self._first = total, title, done, done
        self._quick_s = quick_s
        self._start = self._last_line = time.monotonic()
        from tqdm import tqdm

        silent = not (is_main_process() and sys.stderr.isatty())
        self._bar = tqdm(total=total, initial=done, desc=title, file=sys.stderr, disable=silent, leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if kind is None and time.monotonic() - self._start >= self._quick_s:
            took = duration(time.monotonic() - self._start)
            logger.info("%s: %s in %s", self._title, self._count(), took)

    def step(self, **shown: str) -> None:
        """One step is done; `shown` stands behind the bar or in the line."""
        self._done += 1
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()
        if self._bar.disable and time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            logger.info("%s", self._line(shown))

    def _line(self, shown: dict[str, Any]) -> str:
        per_step = (time.monotonic() - self._start) / max(1, self._done - self._first)
        facts = "".join(f", {name} {value}" for name, value in shown.items())
        line = f"{self._title}: {self._count()}{facts}, {per_step:.2f} s each"
        if self._total is None:
            return line
        return f"{line}, {duration(per_step * (self._total - self._done))} left"

    def _count(self) -> str:
        return str(self._done) if self._total is None else f"{self._done} of {self._total}"
