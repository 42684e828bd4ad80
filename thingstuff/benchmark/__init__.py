"""What `tools/benchmark.py` measures: one measurement a file, each against the program that it replaces."""

import thingstuff.config  # noqa: F401  mends Detectron2, which is imported later
