"""What this processor says that it can do."""

from __future__ import annotations

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def cpu_flags(cpuinfo: Path | None = None) -> frozenset[str]:
    """The names of its instructions as Linux writes them; none where there is no such file."""
    file = cpuinfo or _CPUINFO
    if not file.is_file():
        return frozenset()
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    flags = (line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features")))
    return frozenset(next(flags, ()))


def multiplies_bf16_pairs(cpuinfo: Path | None = None) -> bool:
    """Whether it has AVX-512 BF16 and not AMX, with which PyTorch's own convolutions are faster than Winograd's."""
    flags = cpu_flags(cpuinfo)
    return "avx512_bf16" in flags and "amx_bf16" not in flags
