"""Every workaround for a version of Detectron2, torch or numpy, one matter a file; `apply()` puts all of them in place.

Each file says what breaks, since which version, and why its mend is right. A mend waits until the module that it
concerns is imported, so applying them is cheap, and it serves a Detectron2 that was imported earlier as well.
"""

from __future__ import annotations

import functools

from thingstuff.config.compat import (
    amp,
    cuda_notice,
    deform_conv,
    fx_notice,
    hungarian_trackers,
    keypoint_arrays,
    meshgrid,
    panopticapi,
    percentile,
    pkg_resources,
    read_only_masks,
    sem_seg_copy,
    timm_layers,
    torchscript_notice,
)

MATTERS = (
    amp,
    cuda_notice,
    deform_conv,
    fx_notice,
    hungarian_trackers,
    keypoint_arrays,
    meshgrid,
    panopticapi,
    percentile,
    pkg_resources,
    read_only_masks,
    sem_seg_copy,
    timm_layers,
    torchscript_notice,
)


@functools.cache
def apply() -> None:
    """Put every workaround in place, once. Call it before importing Detectron2; later calls do nothing."""
    for matter in MATTERS:
        matter.apply()
