"""What can be asked of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from thingstuff.errors import DataError
from thingstuff.store.image import PredictedImage
from thingstuff.structures import Detections


@dataclass(frozen=True)
class ExportOptions:
    """`score_thresh`: leave out what scores less; None keeps all, and what has no score is always kept.

    For what people look at (`labelme`, `cvat`, `fiftyone`) alone: `include_stuff` writes the stuff regions too,
    `tolerance_px` is how far a polygon may run beside the mask's outline, `image_root` is where the images lie if they
    are not to be looked for beside the JSON files, and `overwrite` replaces LabelMe's files that are there.
    """

    score_thresh: float | None = None
    include_stuff: bool = False
    tolerance_px: float = 0.5
    image_root: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.tolerance_px >= 0:
            raise DataError(f"tolerance_px: expected 0 or more, got {self.tolerance_px}")

    def detections(self, image: PredictedImage) -> Detections:
        """The detections that are good enough; none where the model has none."""
        if image.detections is None:
            return Detections.from_coco([], image.height, image.width)
        return image.detections if self.score_thresh is None else image.detections.above(self.score_thresh)
