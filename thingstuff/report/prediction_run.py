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
from thingstuff.errors import DataError, SetupError, UserError
from thingstuff.merge import Ledger, LedgerTotals
from thingstuff.modeling.prediction import Prediction
from thingstuff.progress import Progress
from thingstuff.report.counts import Counts
from thingstuff.report.drawing import Drawing
from thingstuff.report.picture_files import PictureFiles, things_of
from thingstuff.store import Store, StoreMeta, StoreWriter
from thingstuff.store.exports import EXPORTS, FOR_LABELLING, ExportOptions

logger = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Wanted:
    """What a run leaves in its folder beside the store."""

    views: tuple[str, ...] = ()
    side_by_side: bool = False
    overlays: bool = True
    counts: bool = False
    cutouts: bool = False
    exports: tuple[str, ...] = ()
    overwrite: bool = False  # LabelMe files of an earlier export, which may hold corrections
    score_thresh: float = 0.5  # of what is shown, counted, cut out and exported for labelling


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


@dataclass
class Summary:
    """How many images and frames were predicted now and before, which were skipped and why, and what was written."""

    predicted: int = 0
    already_there: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    written: dict[str, Path] = field(default_factory=dict)
    merged: list[str] = field(default_factory=list)
    counts: Counts | None = None


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
        _refuse_other_inputs(self._folder)
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
        if self._merges():
            self._total(store)
        self._count(store)
        self._export(store)
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
            self._refuse_impossible_exports(found)
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

    def _refuse_impossible_exports(self, found: Prediction) -> None:
        """With the first prediction, not after the last one."""
        if "coco_panoptic" in self._wanted.exports and found.panoptic is None:
            raise UserError("--export coco_panoptic needs a panoptic map: turn on PANOPTIC in the model's config")
        if "coco" in self._wanted.exports and found.detections is None:
            raise UserError("--export coco needs instances, and this model predicts none")

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

    # ---- from the store ----

    def _total(self, store: Store) -> None:
        """What the merges did, over the images of this job."""
        totals = LedgerTotals()
        for key in self._keys_of_job(store):
            ledger = store.ledger(key)
            if ledger is not None:
                totals.add(Ledger.from_records(ledger))
        self._summary.merged = totals.lines()

    def _count(self, store: Store) -> None:
        if not self._wanted.counts:
            return
        counts = Counts(store.meta.categories, self._wanted.score_thresh)
        for key in self._keys_of_job(store):
            counts.add(key, things_of(store.read(key, stuff=False)))
        path = self._job.output / "counts.csv"
        counts.write_csv(path)
        self._summary.counts, self._summary.written["counts"] = counts, path

    def _keys_of_job(self, store: Store) -> list[str]:
        images = {image.key for image in self._job.inputs.images}
        videos = {video.key for video in self._job.inputs.videos}
        return [e.key for e in store.entries if e.key in images or e.key.rpartition("/")[0] in videos]

    def _export(self, store: Store) -> None:
        has_stuff = any(entry.has_stuff_map or entry.has_panoptic for entry in store.entries)
        for name in self._wanted.exports:
            # what goes to a labeller is chosen by score, what goes to an evaluation is complete
            thresh = self._wanted.score_thresh if name in FOR_LABELLING else None
            root, overwrite = self._job.inputs.root, self._wanted.overwrite
            options = ExportOptions(score_thresh=thresh, include_stuff=has_stuff, image_root=root, overwrite=overwrite)
            self._summary.written[f"{name} export"] = EXPORTS[name](store, self._job.output / "exports" / name, options)


def _frame_key(video: VideoInput, number: int) -> str:
    return f"{video.key}/{number:06d}"


def _refuse_other_inputs(folder: Path) -> None:
    """Pictures, counts and exports of two data sets would be mixed up in one output folder."""
    others = sorted(p.name for p in folder.parent.iterdir() if p != folder) if folder.parent.is_dir() else []
    if others:
        raise SetupError(f"{folder.parent} has predictions of {others[0]}, not {folder.name}: give another --output")
