"""The peak of this process's resident memory, counted anew from a moment that the caller chooses. On Linux only."""

from __future__ import annotations

from pathlib import Path

from thingstuff.errors import SetupError

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # what Linux wants to hear


def restart_peak() -> float:
    """Forget the peak so far; what is resident now, in MiB."""
    try:
        _RESET.write_text(_RESET_PEAK)
    except OSError as error:
        raise SetupError(f"{_RESET}: {error.strerror}: peak memory is measured on Linux only") from error
    return _status_mib("VmRSS")


def peak_mib() -> float:
    """The most that was resident since `restart_peak`, in MiB."""
    return _status_mib("VmHWM")


def _status_mib(field: str) -> float:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[field].split()[0]) / 1024  # stated in KiB
