"""Videos: what is written comes back, at its rate and size; a file is whole or not there; a wreck ends in one line."""

import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest

from thingstuff.data.video import CODECS, DEFAULT_FPS, VideoReader, VideoWriter
from thingstuff.errors import DataError

SMALL = 4.0  # grey levels; lossy codecs stay below this on smooth pictures


def frames(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Smooth pictures that grow brighter."""
    y, x = np.mgrid[:height, :width]
    ramp = np.stack([x * 100 // width, y * 100 // height, (x + y) * 100 // (height + width)], axis=2)
    return [(ramp + 100 * t // count).astype(np.uint8) for t in range(count)]


def write(path, pictures, fps=10.0):
    with VideoWriter(path, fps, *pictures[0].shape[:2]) as writer:
        for picture in pictures:
            writer.write(picture)
    return path


def read(path):
    with VideoReader(path) as reader:
        return list(reader)


def assert_refused(path, *parts):
    with pytest.raises(DataError) as caught:
        read(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("fps", [29.97, 24000 / 1001, 10, 0.5, 60])
def test_round_trip(tmp_path, suffix, fps):
    written = frames(9)
    path = write(tmp_path / f"clip{suffix}", written, fps)
    with VideoReader(path) as reader:
        assert (reader.height, reader.width, reader.frame_count) == (48, 64, 9)
        assert reader.fps == pytest.approx(fps, rel=1e-3) and reader.note is None
        back = list(reader)
    assert [frame.shape for frame in back] == [(48, 64, 3)] * 9
    for ours, theirs in zip(written, back, strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < SMALL
    assert back[0].dtype == np.uint8


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("size", [(49, 65), (48, 65), (49, 64), (1, 1)])
def test_an_odd_size_gets_its_last_row_and_column_again(tmp_path, suffix, size):
    height, width = size
    written = frames(3, height, width)
    back = read(write(tmp_path / f"clip{suffix}", written))
    assert back[0].shape == (height + height % 2, width + width % 2, 3)
    for ours, theirs in zip(written, back, strict=True):
        assert np.abs(ours.astype(int) - theirs[:height, :width]).mean() < SMALL


def test_the_order_of_channels_is_kept(tmp_path):
    blue = np.zeros((32, 32, 3), np.uint8)
    blue[..., 0] = 200
    for suffix in CODECS:
        assert read(write(tmp_path / f"b{suffix}", [blue] * 2))[0].mean(axis=(0, 1)).argmax() == 0


def test_frames_are_separate_arrays(tmp_path):
    back = read(write(tmp_path / "clip.mp4", frames(4)))
    assert len({frame.ctypes.data for frame in back}) == 4


def test_a_second_round_finds_no_frames(tmp_path):
    with VideoReader(write(tmp_path / "clip.mp4", frames(3))) as reader:
        assert (len(list(reader)), len(list(reader))) == (3, 0)


def test_nothing_is_there_until_the_block_ends(tmp_path):
    path = tmp_path / "new" / "clip.mp4"
    with VideoWriter(path, 10, 48, 64) as writer:
        writer.write(frames(1)[0])
        assert not path.exists()
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_video_leaves_the_former_one(tmp_path, error):
    path = write(tmp_path / "clip.mp4", frames(3))
    before = path.read_bytes()
    with pytest.raises(error), VideoWriter(path, 10, 48, 64) as writer:
        writer.write(frames(1)[0])
        raise error
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_video_without_frames_is_not_written(tmp_path):
    with pytest.raises(DataError, match="no frame"), VideoWriter(tmp_path / "clip.mp4", 10, 48, 64):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "frame", [np.zeros((48, 66, 3), np.uint8), np.zeros((48, 64, 3)), np.zeros((48, 64), np.uint8)]
)
def test_a_frame_of_another_size_or_kind_is_refused(tmp_path, frame):
    with pytest.raises(DataError, match="frame 1: expected"), VideoWriter(tmp_path / "clip.mp4", 10, 48, 64) as writer:
        writer.write(frames(1)[0])
        writer.write(frame)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "fps", "size", "words"),
    [
        ("clip.mkv", 10, (4, 4), ".mp4 or .avi"),
        ("clip", 10, (4, 4), "no suffix"),
        ("clip.mp4", 0, (4, 4), "positive"),
        ("clip.mp4", float("nan"), (4, 4), "positive"),
        ("clip.mp4", 10, (0, 4), "pixels"),
        ("clip.mp4", 1e6, (4, 4), "cannot write"),
    ],
)
def test_impossible_videos_are_refused(tmp_path, capfd, name, fps, size, words):
    with pytest.raises(DataError, match=words):
        VideoWriter(tmp_path / name, fps, *size)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"no video at all\n" * 99, b"\0\0\0\x18ftypmp42" + bytes(99)])
def test_what_is_no_video_is_refused_in_silence(tmp_path, capfd, content):
    for suffix in (".mp4", ".avi", ".mkv", ".mpg"):
        path = tmp_path / f"clip{suffix}"
        path.write_bytes(content)
        assert_refused(path, "no video")
    assert capfd.readouterr() == ("", "")


def test_missing_files_folders_and_empty_files(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert_refused(tmp_path / "folder.mp4", "folder")
    assert_refused(tmp_path / "empty.mp4", "0 bytes")
    assert_refused(tmp_path / "missing.mp4", "no video at")


def cut(path, part):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    return path


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_truncated_mp4_cannot_be_read(tmp_path, part, capfd):
    assert_refused(cut(write(tmp_path / "clip.mp4", frames(40)), part), "no video that can be read")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("part", [0.5, 0.8])
def test_a_truncated_avi_says_so_behind_its_last_frame(tmp_path, part):
    path = cut(write(tmp_path / "clip.avi", frames(40)), part)
    seen = []
    with pytest.raises(DataError, match="of 40 frames"), VideoReader(path) as reader:
        seen.extend(reader)
    assert 0 < len(seen) < 40


def test_a_film_turned_by_its_file_is_read_upright(tmp_path):
    """Phones film sideways and write how to turn the picture: here a quarter, clockwise, into the track header."""
    path = write(tmp_path / "clip.mp4", [np.full((32, 64, 3), 60, np.uint8)] * 3)
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    quarter = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    data = path.read_bytes()
    header = data.index(b"tkhd")
    place = data.index(identity, header)
    path.write_bytes(data[:place] + quarter + data[place + len(identity) :])
    with VideoReader(path) as reader:
        assert (reader.height, reader.width) == (64, 32)
        assert {frame.shape for frame in reader} == {(64, 32, 3)}


def test_an_unstated_frame_rate_is_assumed_and_noted(tmp_path, monkeypatch):
    path = write(tmp_path / "clip.avi", frames(3))
    real = cv2.VideoCapture

    class WithoutRate:
        def __init__(self, *arguments):
            self._capture = real(*arguments)

        def get(self, key):
            return 0.0 if key == cv2.CAP_PROP_FPS else self._capture.get(key)

        def __getattr__(self, name):
            return getattr(self._capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", WithoutRate)
    with VideoReader(path) as reader:
        assert reader.fps == DEFAULT_FPS and "frame rate" in reader.note
        assert len(list(reader)) == 3


FULL_DISK = """
import resource, signal, sys
import numpy as np
from thingstuff.data.video import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with VideoWriter(sys.argv[1], 10, 240, 320) as writer:
    for seed in range(40):
        writer.write(np.random.default_rng(seed).integers(0, 256, (240, 320, 3), np.uint8))
"""


@pytest.mark.parametrize("suffix", CODECS)
def test_a_full_disk_is_noticed(tmp_path, suffix):
    """OpenCV writes on in silence."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / f"clip{suffix}")]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert "DataError" in answer.stderr and "of 40 frames were written" in answer.stderr
    assert list(tmp_path.iterdir()) == []
