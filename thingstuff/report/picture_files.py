"""The pictures, videos and cut-outs of a prediction run: where they lie, and which of them are still to be made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from thingstuff.data.inputs import OUTPUT_MARK
from thingstuff.data.video import CODECS, VideoReader, VideoWriter
from thingstuff.errors import UserError
from thingstuff.files import write_json
from thingstuff.modeling.prediction import Prediction
from thingstuff.report.cutouts import write_cutouts
from thingstuff.report.drawing import Drawing
from thingstuff.report.grid import SUFFIXES, write_picture
from thingstuff.report.tracked import TrackedFrames
from thingstuff.store import PredictedImage
from thingstuff.structures import Detections


class PictureFiles:
    """`overlays/VIEW/KEY`, `videos/VIEW/KEY` and `cutouts/KEY/` below one folder.

    A picture is up to date when it is not older than `drawing.json`, which is written anew when the way of drawing
    changes: so a second run with another threshold draws again, and one that was stopped goes on.
    """

    def __init__(self, output: Path, drawing: Drawing, overlays: bool, cutouts: bool) -> None:
        self._output = output
        self._drawing = drawing
        self._overlays, self._cutouts = overlays, cutouts
        self._names: tuple[str, ...] | None = None
        self._since_ns = 0

    def begin(self) -> None:
        path = self._output / OUTPUT_MARK
        settings = {"score_thresh": self._drawing.score_thresh, "views": self._drawing.views}
        if not path.is_file() or json.loads(path.read_text()) != json.loads(json.dumps(settings)):
            write_json(path, settings)
        self._since_ns = path.stat().st_mtime_ns

    def are_there(self, key: str) -> bool:
        """Whether all pictures of an image are up to date."""
        if self._overlays and self._names is None:
            return False  # which ones there are is known with the first prediction
        return all(self._is_fresh(path) for path in self._paths(key))

    def write(self, key: str, image_bgr: np.ndarray, found: Prediction) -> None:
        self._names = self._drawing.names(found)
        if self._overlays and not all(self._is_fresh(self._overlay(name, key)) for name in self._names):
            for name, picture in self._drawing.draw(image_bgr, found).items():
                write_picture(self._overlay(name, key), picture)
        if self._cutouts and not self._is_fresh(self._cutout_folder(key)):
            self._write_cutouts(key, image_bgr, found)

    @contextmanager
    def open_video(self, key: str, reader: VideoReader) -> Iterator[DrawnVideo]:
        """Takes the frames of a video; its files are there, whole, when the block ends well."""
        with ExitStack() as stack:
            yield DrawnVideo(self._output / "videos", key, reader, self._drawing if self._overlays else None, stack)

    def folders(self) -> dict[str, Path]:
        """What was written, by what it is."""
        found = {name: self._output / name for name in ("overlays", "videos", "cutouts")}
        return {name: folder for name, folder in found.items() if folder.is_dir()}

    def _paths(self, key: str) -> Iterator[Path]:
        if self._overlays:
            yield from (self._overlay(name, key) for name in self._names or ())
        if self._cutouts:
            yield self._cutout_folder(key)

    def _is_fresh(self, path: Path) -> bool:
        return path.exists() and path.stat().st_mtime_ns >= self._since_ns

    def _overlay(self, name: str, key: str) -> Path:
        suffix = "" if Path(key).suffix.lower() in SUFFIXES else ".png"
        return self._output / "overlays" / name / f"{key}{suffix}"

    def _cutout_folder(self, key: str) -> Path:
        return self._output / "cutouts" / key

    def _write_cutouts(self, key: str, image_bgr: np.ndarray, found: Prediction) -> None:
        folder = self._cutout_folder(key)
        making = folder.with_name(f".{folder.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        shown = things_of(found).above(self._drawing.score_thresh)
        write_cutouts(making, image_bgr, shown, self._drawing.categories)
        shutil.rmtree(folder, ignore_errors=True)
        making.replace(folder)


def things_of(found: Prediction | PredictedImage) -> Detections:
    """The instances of a prediction; for a model that gives none, the things of its panoptic map."""
    if found.detections is not None:
        return found.detections
    if found.panoptic is None:
        raise UserError("this model finds no instances: there is nothing to count or to cut out")
    return found.panoptic.to_detections()


class DrawnVideo:
    """The videos of one input, a view each, with ids and colours that last from frame to frame."""

    def __init__(self, folder: Path, key: str, reader: VideoReader, drawing: Drawing | None, stack: ExitStack) -> None:
        self._folder, self._key, self._fps = folder, key, reader.fps
        self._drawing, self._stack = drawing, stack
        self._writers: dict[str, VideoWriter] = {}
        if drawing is not None:
            self._frames = TrackedFrames(reader.height, reader.width, drawing.score_thresh)

    def add(self, frame_bgr: np.ndarray, found: Prediction) -> None:
        if self._drawing is None:
            return
        tracked, ids = self._frames.add(found)
        for name, picture in self._drawing.draw(frame_bgr, tracked, ids).items():
            self._writer(name, picture).write(picture)

    def _writer(self, name: str, picture: np.ndarray) -> VideoWriter:
        if name not in self._writers:
            suffix = "" if Path(self._key).suffix.lower() in CODECS else ".mp4"
            path = self._folder / name / f"{self._key}{suffix}"
            self._writers[name] = self._stack.enter_context(VideoWriter(path, self._fps, *picture.shape[:2]))
        return self._writers[name]
