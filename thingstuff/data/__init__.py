"""Data sets: where they come from, how they are registered, and how they reach a model."""

import thingstuff.config  # noqa: F401  mends Detectron2 before it is imported
