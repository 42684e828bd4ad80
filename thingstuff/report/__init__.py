"""What people look at: overlays, tables, figures and the comparison page."""

import thingstuff.config  # noqa: F401  mends Detectron2 before it is imported
