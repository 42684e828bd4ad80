"""pyarrow, which Parquet shards need and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from thingstuff.errors import DataError, SetupError


def parquet_module() -> ModuleType:
    """`pyarrow.parquet`, imported when it is first needed."""
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        message = "Parquet files need pyarrow, which is not installed for this Python: pip install 'thingstuff[ray]'"
        raise SetupError(message) from error
    module: ModuleType = pyarrow.parquet
    return module


@contextmanager
def damage_named(path: Path | str, remedy: str) -> Iterator[None]:
    """Turns what pyarrow raises of a file that is cut off, damaged or no Parquet into one line."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: is damaged or no Parquet file ({what}): {remedy}") from error
