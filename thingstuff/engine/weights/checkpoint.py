"""Detectron2's checkpointer without pickle, with whole and verified files, and with a word about what fits."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from detectron2.checkpoint import DetectionCheckpointer
from fvcore.common.checkpoint import _filter_reused_missing_keys
from torch import OutOfMemoryError, Tensor, nn

from thingstuff.engine.weights.cache import local_weights
from thingstuff.engine.weights.checksum import verify
from thingstuff.engine.weights.file import read_weights_file
from thingstuff.engine.weights.fit import Fit, learned, refuse_another_model, refuse_lacking, refuse_shapes
from thingstuff.engine.weights.fit_table import log_fit
from thingstuff.engine.weights.kept import candidates
from thingstuff.engine.weights.names import named_as_in_model
from thingstuff.engine.weights.run_state import load_state, refuse_other_state
from thingstuff.engine.weights.write import write_checkpoint, write_last_checkpoint
from thingstuff.errors import WeightsError

logger = logging.getLogger(__name__)


class Checkpointer(DetectionCheckpointer):
    """Loads what Detectron2's does (same names, matching and `?matching_heuristics=True`), but by `read_weights_file`.

    With `whole_model` every parameter must be found in the file, as evaluation and prediction need it: weights left
    at random would give numbers that mean nothing. With `reinit_heads`, heads for another number of classes keep their
    fresh values; otherwise such a file is refused. A shape that differs elsewhere always is. `key` is the config's
    name for the file, for messages. `source` is the file that was loaded last.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        whole_model: bool = False,
        reinit_heads: bool = False,
        key: str = "MODEL.WEIGHTS",
        **checkpointables: Any,
    ) -> None:
        super().__init__(model, save_dir, **checkpointables)
        self.source = ""
        self._whole_model = whole_model
        self._reinit_heads = reinit_heads
        self._key = key

    # ---- loading -------------------------------------------------------------------------------------------------

    def load(self, path: str | None, checkpointables: Sequence[str] | None = None) -> dict[str, Any]:
        """As Detectron2's `load`. An empty path is refused where the whole model must come from it."""
        if not path:
            if self._whole_model:
                raise WeightsError(
                    f"{self._key} is empty: pass the checkpoint to use, {self._key} output/model_final.pth"
                )
            return {}
        local, query = _located(str(path))
        if local.is_dir():
            raise WeightsError(f"{local} is a folder: pass the file in it, such as {local / 'model_final.pth'}")
        if not local.is_file():
            raise WeightsError(f"no weights at {local}: check {self._key}")
        content = _read(local)
        if parse_qs(query).get("matching_heuristics") == ["True"]:
            content["matching_heuristics"] = True
        wanted = self.checkpointables if checkpointables is None else checkpointables
        return self._put(local, content, wanted, self._remedy())

    def resume_or_load(self, path: str, *, resume: bool = True) -> dict[str, Any]:
        """With `resume`, everything from the newest checkpoint of the folder that is sound; else the weights of `path`.

        A damaged or missing one is passed over with a warning. If none is sound, that is an error: what was trained
        would silently be trained again.
        """
        found = self._candidates() if resume else []
        if not found:
            return self.load(path, checkpointables=[])
        for candidate in found:
            try:
                content = _read(candidate)
            except WeightsError as error:
                logger.warning("passed over: %s", error)
                continue
            for key in self.checkpointables.keys() - content.keys():
                logger.warning("%s holds no state of the %s: only what else is in it is resumed", candidate, key)
            remedy = "go on with the config that it was trained with, or choose another OUTPUT_DIR"
            return self._put(candidate, content, self.checkpointables, remedy)
        names = ", ".join(path.name for path in found)
        raise WeightsError(f"no checkpoint in {self.save_dir} can be read ({names}): start without --resume")

    def has_checkpoint(self) -> bool:
        """Whether `resume_or_load` would resume."""
        return bool(self._candidates())

    def get_checkpoint_file(self) -> str:
        """The checkpoint that comes first when resuming, "" if there is none."""
        return next(map(str, self._candidates()), "")

    def _candidates(self) -> list[Path]:
        return candidates(Path(self.save_dir)) if self.save_dir else []

    def _remedy(self) -> str:
        """What to do about heads of other sizes; "" where they start anew."""
        if self._whole_model:
            return f"pass the config that it was trained with, or other weights as {self._key}"
        return (
            ""
            if self._reinit_heads
            else "pass MODEL.REINIT_HEADS True (in a Python config train.reinit_heads) to train them anew"
        )

    def _put(self, file: Path, content: dict[str, Any], wanted: Iterable[str], remedy: str) -> dict[str, Any]:
        """Into the model and the `wanted` checkpointables what is known to fit; the rest of the content."""
        content["model"] = named_as_in_model(str(file), content, self.model)
        content["matching_heuristics"] = False  # it is done
        fit = Fit.by_name(str(file), content["model"], self.model)
        refuse_shapes(fit, remedy)
        present = {key: content[key] for key in wanted if key in content}
        for key, saved in present.items():
            refuse_other_state(str(file), self.checkpointables[key], saved, self.model)
        fit = self._load_fitting(fit, content)
        refuse_another_model(fit)
        if self._whole_model:
            refuse_lacking(fit, self._key)
        log_fit(fit, logging.DEBUG if self._whole_model else logging.INFO)  # where all must fit, it goes without saying
        self.source = str(file)
        for key, saved in present.items():
            load_state(str(file), key, self.checkpointables[key], saved)
        return {key: value for key, value in content.items() if key not in present}

    def _load_fitting(self, fit: Fit, content: dict[str, Any]) -> Fit:
        """Load, and the fit as it then is: modules may know older names of their tensors."""
        try:
            incompatible = self._load_model(content)
        except OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise WeightsError(f"{fit.file} was made for another model: {' '.join(str(error).split())}") from error
        missing = _filter_reused_missing_keys(self.model, incompatible.missing_keys)
        missing = {*learned(missing)} - {*fit.reshaped}
        in_order = tuple(name for name in fit.in_model if name in missing)
        return replace(fit, missing=in_order, unplaced=tuple(learned(incompatible.unexpected_keys)))

    # ---- saving --------------------------------------------------------------------------------------------------

    def save(self, name: str, **kwargs: Any) -> None:
        """As Detectron2's `save`, but a checkpoint appears under its name only when it is whole and on the disk.

        Beside it lies NAME.pth.sha256. SetupError if the disk is full; what was there before then stays.
        """
        states = {key: owner.state_dict() for key, owner in self.checkpointables.items()}
        if self._write(name, {"model": self.model.state_dict(), **states, **kwargs}):
            self.tag_last_checkpoint(f"{name}.pth")

    def save_weights(self, name: str, weights: Mapping[str, Tensor], **kwargs: Any) -> None:
        """Weights apart from the state of the training, as the best ones: no resume begins from them by itself."""
        self._write(name, {"model": weights, **kwargs})

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        write_last_checkpoint(Path(self.save_dir), last_filename_basename)

    def _write(self, name: str, content: dict[str, Any]) -> bool:
        if not self.save_dir or not self.save_to_disk:
            return False
        target = Path(self.save_dir) / f"{name}.pth"
        self.logger.info("Saving checkpoint to %s", target)
        write_checkpoint(target, content)
        return True


def _located(path: str) -> tuple[Path, str]:
    """The local file of a path, a URL or a zoo name, and the query that stands behind it."""
    if Path(path).is_file():
        return Path(path), ""
    url, _, query = path.partition("?")
    return local_weights(url), query


def _read(path: Path) -> dict[str, Any]:
    """Verified and read as a whole before anything of it is used."""
    if not path.is_file():
        raise WeightsError(f"{path} is not there")
    try:
        verify(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    return read_weights_file(path)
