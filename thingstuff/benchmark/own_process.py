"""A program in a process of its own that answers one request at a time, so that programs can take turns.

Its memory, its allocator and what it changes in libraries are then its own. Requests and answers are lines of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from thingstuff.errors import SetupError, UserError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_FAILED = "failed"  # the key of an answer that is a user's error


def thread_variables(threads: int) -> dict[str, str]:
    """What tells the libraries of a process, before they are loaded, how many threads they may use."""
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


class OwnProcess:
    """`python -m module arguments`, which has called `answer_requests`; a context manager."""

    def __init__(self, title: str, module: str, arguments: Sequence[str], threads: int, errors: Path) -> None:
        """What the process says on standard error goes to the file `errors`."""
        variables = os.environ | thread_variables(threads)
        self._title = title
        self._errors = errors.open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=variables,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SetupError(f"{self._title} stopped: {self._last_words()}")
        answer = json.loads(line)
        if _FAILED in answer:
            raise SetupError(f"{self._title}: {answer[_FAILED]}")
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"exit code {code}"

    def __enter__(self) -> OwnProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()


def answer_requests(prepare: Callable[[], Callable[..., Mapping[str, Any]]]) -> None:
    """In the process: prepare, then answer every request by what `prepare` gave, called with the request's words.

    A user's error becomes the answer, and the process goes on; any other ends it.
    """
    with _answers() as answers:
        answer = None
        for line in sys.stdin:
            try:
                answer = answer or prepare()
                reply = answer(**json.loads(line))
            except UserError as error:
                reply = {_FAILED: str(error)}
            print(json.dumps(reply), file=answers, flush=True)


@contextmanager
def _answers() -> Iterator[IO[str]]:
    """Standard output for answers alone: whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with answers:
        yield answers
