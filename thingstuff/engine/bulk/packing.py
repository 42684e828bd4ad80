"""What one stage finds, small on its way to the next: maps and masks shrink to a fiftieth, and pixels do not."""

from __future__ import annotations

import pickle
from typing import Any

_CODEC = "zstd"
_SIZE = 8  # bytes in front, which say how many there were before


def pack(value: Any) -> bytes:
    import pyarrow as pa

    raw = pickle.dumps(value, protocol=5)
    return len(raw).to_bytes(_SIZE, "little") + pa.compress(raw, codec=_CODEC, asbytes=True)


def unpack(packed: Any) -> Any:
    """What `pack` was given by our own worker; `packed` is a buffer of pyarrow."""
    import pyarrow as pa

    size = int.from_bytes(packed.slice(0, _SIZE).to_pybytes(), "little")
    return pickle.loads(pa.decompress(packed.slice(_SIZE), size, codec=_CODEC))  # noqa: S301
