"""Loading keypoints warns that a tensor made from a list of numpy arrays is "extremely slow".

torch does so since 1.10, and rightly: it walks the numbers one by one. Detectron2 collects the keypoints of an image
in such a list; joining them into one array first gives the same tensor.
"""

from __future__ import annotations

from types import ModuleType

from thingstuff.config.compat.on_import import after_import
from thingstuff.config.compat.respell import respell


def apply() -> None:
    after_import("detectron2.data.detection_utils", _mend)


def _mend(detection_utils: ModuleType) -> None:
    respell(detection_utils.annotations_to_instances, {"Keypoints(kpts)": "Keypoints(np.asarray(kpts))"})
