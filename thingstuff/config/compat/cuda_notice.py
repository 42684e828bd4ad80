"""On a machine without a GPU, the first line of a run is "No CUDA runtime is found, using CUDA_HOME=...".

torch logs it when `torch.utils.cpp_extension` is imported where a CUDA toolkit is installed but no device is visible.
Detectron2 imports that module only to report the versions it sees, and its report states the missing GPU properly.
The line is kept from the terminal while that module is imported; nothing else of that logger is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from thingstuff.config.compat.on_import import during_import

_MODULE = "torch.utils.cpp_extension"
_MESSAGE = "No CUDA runtime is found"


def apply() -> None:
    during_import(_MODULE, _quiet)


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger(_MODULE)
    logger.addFilter(_is_other)
    try:
        yield
    finally:
        logger.removeFilter(_is_other)


def _is_other(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_MESSAGE)
