"""Videos: read frame by frame, and written whole or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from thingstuff.errors import DataError

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
DEFAULT_FPS = 25.0


class VideoReader:
    """Iterates over the frames of a video: H x W x 3 uint8 BGR, turned as the file says. Use it in a `with` block.

    `fps` is the file's, or DEFAULT_FPS where it states none, which `note` then says. `frame_count` is what the file
    announces, 0 where it announces nothing; some formats only estimate it. A file that holds clearly fewer frames than
    that is damaged, and says so behind its last frame.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _refuse_no_file(self.path)
        with _silence():
            self._capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
            _, self._first = self._capture.read()
        if self._first is None:
            self._capture.release()
            raise DataError(f"{self.path} is no video that can be read: it is damaged, incomplete or of another kind")
        # the size of a real frame: what the file states is before turning
        self.height, self.width = self._first.shape[:2]
        self._settle_rate()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._capture.release()
        self._first = None

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames, once: a second round finds none."""
        frame, count, seconds = self._first, 0, 0.0
        self._first = None
        while frame is not None:
            yield frame
            count += 1
            with _silence():
                seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                _, frame = self._capture.read()
        self._refuse_early_end(count, seconds)

    def _settle_rate(self) -> None:
        stated = self._capture.get(cv2.CAP_PROP_FPS)
        known = math.isfinite(stated) and stated > 0
        self.fps = stated if known else DEFAULT_FPS
        self.note = (
            None if known else f"{self.path} does not state its frame rate: {DEFAULT_FPS:g} a second are assumed"
        )
        self.frame_count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def _refuse_early_end(self, count: int, seconds: float) -> None:
        # An estimated count is wrong where the frame rate varies, but then the time of the last frame is not. Some
        # formats tell no times (0), and some files announce a frame or two that nobody can decode.
        expected = 0.95 * self.frame_count - 1
        if 0 < count < expected and seconds < expected / self.fps:
            raise DataError(
                f"{self.path} breaks off after {count} of {self.frame_count} frames: it is damaged or incomplete, "
                "copy it again or repair it with ffmpeg"
            )


class VideoWriter:
    """Writes H x W x 3 uint8 BGR frames as `.mp4` (MPEG-4) or `.avi` (Motion JPEG). Use it in a `with` block.

    The file takes its name when the block ends well, and leaves no trace otherwise. Both codecs know even sizes only:
    OpenCV would cut the last row or column off, here it is repeated, so that the video is a pixel larger.
    """

    def __init__(self, path: str | Path, fps: float, height: int, width: int) -> None:
        self.path = Path(path)
        self.height, self.width = height, width
        self._count = 0
        codec = _codec(self.path, fps, height, width)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # the suffix stays at the end, since it tells OpenCV the format
        self._temporary = self.path.with_name(f".{self.path.stem}.{os.getpid()}.tmp{self.path.suffix}")
        size = (width + width % 2, height + height % 2)
        with _silence():
            self._writer = cv2.VideoWriter(
                str(self._temporary), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, size
            )
        if not self._writer.isOpened():
            self._discard()
            raise DataError(f"cannot write {self.path}, {width} x {height} pixels at {fps:g} frames a second")

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.release()
            if kind is None:
                self._check_whole()
                self._temporary.replace(self.path)
        finally:
            self._discard()

    def write(self, frame_bgr: np.ndarray) -> None:
        expected = (self.height, self.width, 3)
        if frame_bgr.dtype != np.uint8 or frame_bgr.shape != expected:
            given = f"{frame_bgr.dtype} of shape {frame_bgr.shape}"
            raise DataError(f"{self.path}, frame {self._count}: expected uint8 of shape {expected}, got {given}")
        beyond = (self.height % 2, self.width % 2)
        if any(beyond):
            frame_bgr = cv2.copyMakeBorder(frame_bgr, 0, beyond[0], 0, beyond[1], cv2.BORDER_REPLICATE)
        self._writer.write(np.ascontiguousarray(frame_bgr))
        self._count += 1

    def _check_whole(self) -> None:
        """OpenCV says nothing when a disk is full, so the file is asked."""
        if self._count == 0:
            raise DataError(f"{self.path} was not written: it got no frame")
        with _silence():
            written = cv2.VideoCapture(str(self._temporary), cv2.CAP_FFMPEG)
            count = int(written.get(cv2.CAP_PROP_FRAME_COUNT))
            written.release()
        if count != self._count:
            raise DataError(f"{self.path}: {count} of {self._count} frames were written: is the disk full?")

    def _discard(self) -> None:
        self._writer.release()
        self._temporary.unlink(missing_ok=True)


def _refuse_no_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a video")
    if not path.is_file():
        raise DataError(f"no video at {path}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes), no video")


def _codec(path: Path, fps: float, height: int, width: int) -> str:
    if path.suffix.lower() not in CODECS:
        raise DataError(f"cannot write {path}: name a video {' or '.join(CODECS)}, not {path.suffix or 'no suffix'!r}")
    if not (math.isfinite(fps) and fps > 0):
        raise DataError(f"{path}: expected a positive number of frames a second, got {fps}")
    if min(height, width) < 1:
        raise DataError(f"{path}: expected frames with pixels, got {width} x {height}")
    return CODECS[path.suffix.lower()]


@contextmanager
def _silence() -> Iterator[None]:
    """Neither OpenCV nor its FFmpeg writes to the terminal: what goes wrong is said in our one line."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read at the first video of a process
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
