"""Models."""

import thingstuff.config  # noqa: F401  mends Detectron2 before it is imported
