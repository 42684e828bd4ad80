"""`torch.export`'s archive, `.pt2`: written and run by PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from thingstuff.engine.device import require_device
from thingstuff.engine.exported.archive import CARD_NAME, read_safe_archive
from thingstuff.engine.exported.card import Card
from thingstuff.engine.exported.traced import quietly
from thingstuff.errors import DataError


def write_torch(program: torch.export.ExportedProgram, card: Card, file: BinaryIO) -> None:
    """Write a traced network, with its card as an extra file of the archive."""
    for node in program.graph.nodes:  # the lines of Python that it came from, which name folders of this machine
        node.meta.pop("stack_trace", None)
    program._guards_code = []  # code as text, which no reader of ours runs
    with quietly():
        torch.export.save(program, file, extra_files={CARD_NAME: card.text()})


class TorchNetwork:
    """A `.pt2` of ours, ready to run. What could run code is refused before PyTorch opens it."""

    def __init__(self, path: Path, device: str | None = None) -> None:
        self.card = Card.parse(read_safe_archive(path), path)
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        require_device(self._device)
        try:
            with quietly():
                self._module = self._loaded(path)
        except Exception as error:  # whatever the reader meets in a damaged file
            raise DataError(f"{path} is damaged, or of a PyTorch that this one cannot read: export again") from error

    def _loaded(self, path: Path) -> torch.nn.Module:
        program = torch.export.load(path)
        if self._device != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, self._device)
        return program.module(check_guards=False)  # they would be compiled from text; sizes are checked without them

    def __call__(self, image: NDArray[np.float32], image_size: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """`image` 3 x H x W on its canvas, `image_size` height and width -> outputs by name."""
        with torch.inference_mode():
            values = self._module(*(torch.from_numpy(a).to(self._device) for a in (image, image_size)))
        return {name: value.cpu().numpy() for name, value in zip(self.card.outputs, values, strict=True)}
