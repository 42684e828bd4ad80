"""Detectron2's checkpointer without pickle, with writes that cannot be half done, and with a word when nothing fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from thingstuff.engine.weights.cache import local_weights
from thingstuff.engine.weights.file import read_weights_file
from thingstuff.errors import WeightsError
from thingstuff.files import whole_file

_LEAST_SHARE = 0.5  # of a file's tensors that must find their place, or it was made for another model


class Checkpointer(DetectionCheckpointer):
    """Loads what Detectron2's does (same names, matching and `?matching_heuristics=True`), but by `read_weights_file`.

    With `whole_model` every parameter must be found in the file, as evaluation and prediction need it: weights left
    at random would give numbers that mean nothing. `key` is the config's name for the file, for messages.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        whole_model: bool = False,
        key: str = "MODEL.WEIGHTS",
        **checkpointables: Any,
    ) -> None:
        super().__init__(model, save_dir, **checkpointables)
        self._whole_model = whole_model
        self._key = key
        self._source = ""

    def load(self, path: str | None, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As Detectron2's `load`. An empty path is refused where the whole model must come from it."""
        if not path:
            if self._whole_model:
                raise WeightsError(
                    f"{self._key} is empty: pass the checkpoint to use, {self._key} output/model_final.pth"
                )
            return super().load("", *args, **kwargs)
        url, _, query = str(path).partition("?")
        local = local_weights(url)
        if local.is_dir():
            raise WeightsError(f"{local} is a folder: pass the file in it, such as {local / 'model_final.pth'}")
        if not local.is_file():
            raise WeightsError(f"no weights at {local}: check {self._key}")
        self._source = str(local)
        try:
            return super().load(f"{local}?{query}" if query else str(local), *args, **kwargs)
        finally:
            self._parsed_url_during_load = None

    def _load_file(self, filename: str) -> dict[str, Any]:
        content = read_weights_file(Path(filename))
        query = parse_qs(urlparse(self._parsed_url_during_load.geturl()).query)
        if query.get("matching_heuristics") == ["True"]:
            content["matching_heuristics"] = True
        return content

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        total = len(checkpoint["model"])
        incompatible = super()._load_model(checkpoint)
        if incompatible is not None:
            found = total - len(incompatible.unexpected_keys) - len(incompatible.incorrect_shapes)
            self._refuse_misfit(found, total, incompatible)
        return incompatible

    def _refuse_misfit(self, found: int, total: int, incompatible: Any) -> None:
        """`total` counts the tensors of the file; names that matching dropped are in none of the lists, so fit."""
        if found < max(1, _LEAST_SHARE * total):
            example = next(
                iter([*(s[0] for s in incompatible.incorrect_shapes), *incompatible.unexpected_keys]), "none"
            )
            raise WeightsError(
                f"{self._source} was made for another model: {max(found, 0)} of its {total} tensors fit this config "
                f"(not, for example, {example})"
            )
        shaped = incompatible.incorrect_shapes
        lacking = [*incompatible.missing_keys, *(shape[0] for shape in incompatible.incorrect_shapes)]
        if self._whole_model and lacking:
            shapes = [f"{name} is {tuple(theirs)}, not {tuple(ours)}" for name, theirs, ours in shaped]
            example = shapes[0] if shapes else f"{lacking[0]} is absent"
            hint = "pass the config that it was trained with, with the same number of classes"
            if all(name.startswith("sem_seg_head.") for name in lacking):
                hint = "its semantic head is still to be trained; PANOPTIC.STUFF model or files need no training"
            raise WeightsError(
                f"{self._source} ({self._key}) lacks {len(lacking)} parameters of this model ({example}): {hint}"
            )

    def save(self, name: str, **kwargs: Any) -> None:
        """As Detectron2's `save`, but a checkpoint appears under its name only when it is whole and on the disk."""
        if not self.save_dir or not self.save_to_disk:
            return
        data = {
            "model": self.model.state_dict(),
            **{k: v.state_dict() for k, v in self.checkpointables.items()},
            **kwargs,
        }
        target = Path(self.save_dir) / f"{name}.pth"
        self.logger.info("Saving checkpoint to %s", target)
        with whole_file(target) as file:
            torch.save(data, file)
        with whole_file(Path(self.save_dir) / "last_checkpoint") as file:
            file.write(target.name.encode())
