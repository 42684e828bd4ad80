"""Every run with bitmap masks warns that "the given NumPy array is not writable".

Detectron2 resizes a mask with Pillow, whose pixels come back as a read-only array, and hands that to
`torch.from_numpy`, which shares its memory. The tensor is stacked, and so copied, at once; a copy one step earlier
costs little and is writable.
"""

from __future__ import annotations

from types import ModuleType

from thingstuff.config.compat.on_import import after_import
from thingstuff.config.compat.respell import respell


def apply() -> None:
    after_import("detectron2.data.detection_utils", _mend)


def _mend(detection_utils: ModuleType) -> None:
    words = {"torch.from_numpy(np.ascontiguousarray(x))": "torch.from_numpy(np.array(x, order='C'))"}
    respell(detection_utils.annotations_to_instances, words)
