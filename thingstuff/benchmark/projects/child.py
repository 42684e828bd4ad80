"""A command of the toolkit in a process of its own, with its words in a file, and the reason if it fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from thingstuff.benchmark.own_process import thread_variables
from thingstuff.errors import UserError

_BEAT_S = 60.0
_ERROR = ": error: "
_OWN_ERROR = re.compile(r"^thingstuff\.[\w.]+: ")
_KILLED = -9


class ChildError(UserError):
    """A process that failed; the message is its last word."""


def run_child(
    module: str,
    arguments: Sequence[str],
    log: Path,
    *,
    threads: int,
    variables: Mapping[str, str] = {},
    beat: Callable[[], None] = lambda: None,
) -> None:
    """`python -m module arguments`. What it says goes to `log`, made anew; `beat` is called once in a while."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", module, *arguments]
    environment = os.environ | thread_variables(threads) | dict(variables)
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        try:
            code = _wait(process, beat)
        finally:
            process.kill()  # where it is not waited for any more
            process.wait()
    if code:
        raise ChildError(_reason(log, code))


def _wait(process: subprocess.Popen[bytes], beat: Callable[[], None]) -> int:
    last = time.monotonic()
    while True:
        try:
            return process.wait(timeout=max(0.0, last + _BEAT_S - time.monotonic()))
        except subprocess.TimeoutExpired:
            last = time.monotonic()
            beat()


def _reason(log: Path, code: int) -> str:
    """A user's error, or the last line, which in a traceback is the exception's."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    said = [line for line in lines if _ERROR in line]
    reason = said[-1].partition(_ERROR)[2] if said else lines[-1] if lines else f"exit code {code}"
    reason = _OWN_ERROR.sub("", reason)
    if code == _KILLED:
        reason = "it was killed, as by a system that is out of memory"
    return reason.replace(f"{Path.cwd()}{os.sep}", "")
