"""Predict many images and videos: the store first, and from it pictures, videos, counts, cut-outs and exports.

A run that was stopped goes on where it stopped; what lies in the store is not predicted again, so that other pictures
or exports of a finished run need no network.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from detectron2.config import CfgNode

from thingstuff.data.fingerprint import fingerprint, is_still
from thingstuff.data.images import read_image_bgr
from thingstuff.data.inputs import ImageInput, Inputs, VideoInput
from thingstuff.data.video import VideoReader
from thingstuff.engine.exported import ExportedPredictor
from thingstuff.engine.folders import make_writable
from thingstuff.engine.stored_prediction import exported_meta, from_stored, store_meta, to_stored
from thingstuff.engine.stream import Outcome
from thingstuff.engine.tiling import build_predictor, max_pixels
from thingstuff.errors import DataError
from thingstuff.modeling.prediction import Prediction
from thingstuff.progress import Progress
from thingstuff.report.drawing import Drawing
from thingstuff.report.picture_files import PictureFiles
from thingstuff.report.prediction_results import (
    Summary,
    Wanted,
    merge_totals,
    refuse_impossible_exports,
    refuse_other_inputs,
    write_counts,
    write_exports,
)
from thingstuff.store import Store, StoreMeta, StoreWriter

logger = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Job:
    """What to predict, with what, and where to. Instead of a config, `model` may be an exported model."""

    model: CfgNode | ExportedPredictor
    inputs: Inputs
    output: Path
    wanted: Wanted = field(default_factory=Wanted)
    dataset: str | None = None
    on_bad_image: Literal["fail", "skip"] = "fail"
    batch: int = 1  # images that go through the network together


def run_prediction(job: Job) -> Summary:
    """Everything that `job` wants. What a bad image or a signal stops stays, and is continued by the same call."""
    return _PredictionRun(job).run()


class _PredictionRun:
    def __init__(self, job: Job) -> None:
        self._job, self._wanted = job, job.wanted
        self._summary = Summary()
        self._folder = job.output / "predictions" / (job.dataset or "images")
        self._predictor = job.model if isinstance(job.model, ExportedPredictor) else build_predictor(job.model)
        self._max_pixels = None if isinstance(job.model, ExportedPredictor) else max_pixels(job.model)
        wanted = job.wanted
        drawing = Drawing(self._predictor.categories, wanted.views, wanted.side_by_side, wanted.score_thresh)
        self._pictures = PictureFiles(job.output, drawing, wanted.overlays, wanted.cutouts)

    def run(self) -> Summary:
        job = self._job
        make_writable(job.output, "--output")
        refuse_other_inputs(self._folder)
        meta = self._meta()
        with StoreWriter.open(self._folder, meta) as self._writer:
            self._earlier = Store.open(self._folder)
            self._sources = {entry.key: entry.source for entry in self._earlier.entries}
            self._pictures.begin()
            self._predict_images()
            for video in self._job.inputs.videos:
                self._predict_video(video)
        store = Store.open(self._folder)
        self._summary.written = {"predictions": self._folder, **self._pictures.folders()}
        keys = self._keys_of_job(store)
        if self._merges():
            self._summary.merged = merge_totals(store, keys)
        write_counts(self._summary, store, keys, self._wanted, job.output)
        write_exports(self._summary, store, self._wanted, job.output, job.inputs.root)
        return self._summary

    def _merges(self) -> bool:
        """Whether the predictions have ledgers."""
        model = self._job.model
        return model.merges if isinstance(model, ExportedPredictor) else bool(model.PANOPTIC.ENABLED)

    def _meta(self) -> StoreMeta:
        job = self._job
        if isinstance(job.model, ExportedPredictor):
            return exported_meta(job.model, job.dataset, job.inputs.root)
        return store_meta(job.model, self._predictor.categories, job.dataset, job.inputs.root)

    # ---- images ----

    def _predict_images(self) -> None:
        images = self._job.inputs.images
        if not images:
            return
        earlier = [image for image in images if image.key in self._earlier]
        others = [image for image in images if image.key not in self._earlier]
        with Progress(len(images), "predicting") as progress:
            for image in earlier:
                self._guarded(image.key, functools.partial(self._use_earlier, image))
                progress.step()
            for outcome in self._predictor.stream(others, self._read, self._job.batch):
                self._keep(outcome)
                progress.step()

    def _read(self, image: ImageInput) -> tuple[np.ndarray, Path]:
        return read_image_bgr(image.path, self._max_pixels), image.path

    def _keep(self, outcome: Outcome[ImageInput]) -> None:
        image, answer = outcome.item, self._guarded(outcome.item.key, outcome.get)
        if answer is not None:
            pixels, found = answer
            refuse_impossible_exports(self._wanted, found)
            # the pictures come first: a line in the store means that everything of its image is there
            self._pictures.write(image.key, pixels, found)
            self._writer.append(to_stored(image.key, image.image_id, pixels.shape[:2], found, fingerprint(image.path)))
            self._summary.predicted += 1

    def _use_earlier(self, image: ImageInput) -> None:
        """An earlier prediction, of which pictures are made that are missing or were drawn in another way."""
        self._refuse_changed(image.path, image.key)
        self._summary.already_there += 1
        if not self._pictures.are_there(image.key):
            pixels = read_image_bgr(image.path, self._max_pixels)
            self._pictures.write(image.key, pixels, from_stored(self._earlier[image.key]))

    def _refuse_changed(self, path: Path, key: str) -> None:
        """What was predicted under this key, if anything was, was predicted of this very file."""
        if not is_still(path, self._sources.get(key)):
            raise DataError(
                f"{path} has changed since it was predicted: give another output folder, or remove {self._folder}"
            )

    def _guarded(self, key: str, work: Callable[[], _Answer]) -> _Answer | None:
        """What `work` gives, or None for a bad input that is to be skipped."""
        try:
            return work()
        except DataError as error:
            if self._job.on_bad_image == "fail":
                raise DataError(f"{error} (or pass --on-bad-image skip; what was predicted so far stays)") from error
            logger.warning("skipped %s: %s", key, error)
            self._summary.skipped[key] = str(error)
            return None

    # ---- videos ----

    def _predict_video(self, video: VideoInput) -> None:
        self._guarded(video.key, lambda: self._read_and_predict_video(video))

    def _read_and_predict_video(self, video: VideoInput) -> None:
        self._refuse_changed(video.path, _frame_key(video, 0))
        source = fingerprint(video.path)
        with VideoReader(video.path) as reader, self._pictures.open_video(video.key, reader) as drawn:
            if reader.note:
                logger.warning("%s", reader.note)
            with Progress(reader.frame_count or None, video.key) as progress:
                for number, frame in enumerate(reader):
                    drawn.add(frame, self._predict_frame(_frame_key(video, number), frame, source))
                    progress.step()

    def _predict_frame(self, key: str, frame: np.ndarray, source: dict[str, Any]) -> Prediction:
        if key in self._earlier:
            self._summary.already_there += 1
            return from_stored(self._earlier[key])
        found = self._predictor(frame)
        self._writer.append(to_stored(key, None, frame.shape[:2], found, source))
        self._summary.predicted += 1
        return found

    def _keys_of_job(self, store: Store) -> list[str]:
        images = {image.key for image in self._job.inputs.images}
        videos = {video.key for video in self._job.inputs.videos}
        return [e.key for e in store.entries if e.key in images or e.key.rpartition("/")[0] in videos]


def _frame_key(video: VideoInput, number: int) -> str:
    return f"{video.key}/{number:06d}"
