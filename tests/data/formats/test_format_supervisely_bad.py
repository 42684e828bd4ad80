"""Supervisely: what cannot be read is named, counted by kind, and left out by `lenient`."""

from __future__ import annotations

import base64
import json
import zlib

import pytest
from mutated_json import mutated_files
from round_trips import assert_survives
from supervisely_files import SQUARE, bitmap, label_file, polygon, project, read, rectangle

from thingstuff.data.formats import Source
from thingstuff.data.formats.supervisely import SUPERVISELY
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError


def test_faults_are_counted_by_kind_and_left_out_by_lenient(tmp_path):
    files = {
        "ds/ann/a.jpg.json": label_file(polygon("1"), polygon(), rectangle(1, 2, 3, float("nan"))),
        "ds/ann/b.jpg.json": [],
    }
    folder = project(tmp_path, files)
    expected = (
        r"2 objects that cannot be read \(ds/ann/a.jpg.json: objects\[0\]: expected points .*\); "
        r"1 label files that cannot be read \(ds/ann/b.jpg.json: expected a label file of Supervisely"
    )
    with pytest.raises(DataError, match=expected):
        SUPERVISELY.read(Source(folder))
    truth = SUPERVISELY.read(Source(folder, lenient=True))
    assert [image["file_name"] for image in truth.images] == ["a.jpg"]
    assert truth.annotation_places == ["ds/ann/a.jpg.json: objects[1]"]
    assert sum(note.startswith("left out: ") for note in truth.notes) == 2


BOMB = base64.b64encode(zlib.compress(bytes(70 << 20))).decode()
HUGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (30_000).to_bytes(4, "big") * 2 + bytes(100)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "expected an object with classTitle and geometryType, got 3"),
        (polygon(title=None), "classTitle: expected a label, got None"),
        (polygon() | {"geometryType": 5}, "geometryType: expected a label, got 5"),
        (polygon() | {"points": None}, r"expected points as a list of \[x, y\], got None"),
        (polygon([[1, True]]), "expected a number, got True"),
        (polygon([[1, 1e300]]), "expected coordinates in pixels"),
        (polygon(interior="x"), r"expected points as a list of \[x, y\], got 'x'"),
        (polygon(interior=[[[1, 1], [2, 2]]]), "expected rings of 3 points or more"),
        (rectangle(1, 1, 2, 2) | {"points": {"exterior": SQUARE}}, "expected a rectangle of two points, got 4"),
        (bitmap() | {"bitmap": "x"}, "expected a bitmap with data and an origin x, y, got 'x'"),
        (bitmap(origin=[1]), "expected a bitmap with data and an origin x, y"),
        (bitmap(origin=[1, "2"]), "origin: expected a number, got '2'"),
        (bitmap() | {"bitmap": {"data": None, "origin": [0, 0]}}, "expected a PNG, packed by zlib and in base64, got"),
        (bitmap() | {"bitmap": {"data": "aGk=", "origin": [0, 0]}}, "expected a PNG, packed by zlib and in base64: "),
        (bitmap() | {"bitmap": {"data": "aG", "origin": [0, 0]}}, "expected a PNG, packed by zlib and in base64: "),
        (bitmap() | {"bitmap": {"data": BOMB, "origin": [0, 0]}}, "holds more than 67108864 bytes"),
        (bitmap(HUGE), "30000 x 30000 pixels are more than its image of 12 x 10 has"),
        (bitmap(b"no picture"), "data: expected a PNG, got no PNG at all"),
    ],
)
def test_objects_that_cannot_be_read_are_named(tmp_path, wrong, message):
    with pytest.raises(DataError, match=rf"ds/ann/a.jpg.json: objects\[1\]: .*{message}") as refusal:
        read(tmp_path, polygon(), wrong)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 500
    assert len(read(tmp_path, polygon(), wrong, lenient=True).annotations) == 1


def test_packed_data_that_is_cut_off_is_named(tmp_path):
    whole = bitmap()
    data = base64.b64encode(base64.b64decode(whole["bitmap"]["data"])[:-6]).decode()
    with pytest.raises(DataError, match=r"objects\[0\]: data: is cut off"):
        read(tmp_path, whole | {"bitmap": {"data": data, "origin": [0, 0]}})


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"height": "10", "width": 12}, "size: expected a height in whole pixels above 0, got '10'"),
        ({"height": 10**6, "width": 10**6}, "are more than the 268435456 that are read"),
        (None, "states no size of its image"),
    ],
)
def test_sizes_that_cannot_be_are_named(tmp_path, size, message):
    with pytest.raises(DataError, match=rf"1 label files that cannot be read .*{message}"):
        read(tmp_path, polygon(), size=size)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ([], "expected the meta.json of a project of Supervisely"),
        ({"classes": [3]}, r"classes\[0\]: expected an object with title and shape, got 3"),
        ({"classes": [{"title": " "}]}, r"classes\[0\]: expected a label, got ' '"),
    ],
)
def test_a_project_without_classes_is_refused(tmp_path, meta, message):
    folder = project(tmp_path, {"ds/ann/a.jpg.json": label_file()})
    (folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(DataError, match=rf"meta.json: {message}"):
        SUPERVISELY.read(Source(folder))


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="expected a project of Supervisely, with label files in folders called ann"):
        SUPERVISELY.read(Source(project(tmp_path, {"ds/labels/a.json": label_file()})))


def test_damaged_files_are_refused_in_one_line_or_read(tmp_path):
    sound = label_file(polygon(interior=[[[3, 4], [5, 4], [5, 6]]]), rectangle(1, 1, 5, 7), bitmap())
    path = project(tmp_path, {"ds/ann/a.jpg.json": sound}) / "ds/ann/a.jpg.json"
    assert_survives(lambda: SUPERVISELY.read(Source(tmp_path)), path, mutated_files(sound, 400))
    for data in mutated_files(sound, 200, seed=1):
        path.write_bytes(data)
        assert isinstance(SUPERVISELY.read(Source(tmp_path, lenient=True)), SplitTruth)
