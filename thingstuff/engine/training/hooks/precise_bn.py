"""Detectron2's precise batch norm, on the same batches each time, so that a resumed training has the same numbers."""

from __future__ import annotations

from detectron2.engine import hooks


class SameBatchesPreciseBN(hooks.PreciseBN):
    """Unlike its parent it begins its loader anew each time, instead of going on where it was."""

    def update_stats(self) -> None:
        self._data_iter = None
        super().update_stats()
