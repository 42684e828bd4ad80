"""Training, checkpoints, prediction and evaluation: Detectron2's own engine, made safe and told in fewer lines."""

import thingstuff.config  # noqa: F401  mends Detectron2 before it is imported
