"""Label maps that somebody else made: found by the image's name, read strictly."""

import cv2
import numpy as np
import pytest

from thingstuff.errors import DataError, SetupError
from thingstuff.modeling.stuff_files import StuffFiles
from thingstuff.structures import VOID, Categories, Category

CATEGORIES = Categories((Category(7, "cat"), Category(20, "sky", False), Category(3, "sea", False)))
LABELS = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)


def write(folder, name, labels=LABELS):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), labels)
    return path


def test_the_numbers_of_a_stuff_map_are_taken_as_they_are(tmp_path):
    write(tmp_path, "a.png")
    found = StuffFiles(tmp_path, CATEGORIES).read("photos/a.jpg", 2, 3)
    assert found.dtype == np.uint16
    assert np.array_equal(found, LABELS)


@pytest.mark.parametrize(("dtype", "void"), [(np.uint8, 255), (np.uint16, 65535)])
def test_void_goes_by_the_bit_depth(tmp_path, dtype, void):
    write(tmp_path, "a.png", np.array([[void, 1]], dtype))
    assert StuffFiles(tmp_path, CATEGORIES).read("a.jpg", 1, 2).tolist() == [[VOID, 1]]


def test_data_set_ids_are_converted_and_things_are_not_stuff(tmp_path):
    write(tmp_path, "a.png", np.array([[7, 20, 3, 99]], np.uint8))
    files = StuffFiles(tmp_path, CATEGORIES, contiguous=False, void_ids=[99])
    assert files.read("a.jpg", 1, 4).tolist() == [[0, 1, 2, VOID]]


def test_the_longest_end_of_the_path_that_exists_is_taken(tmp_path):
    write(tmp_path, "a.png", np.zeros((2, 3), np.uint8))
    write(tmp_path, "north/a.png", np.full((2, 3), 1, np.uint8))
    write(tmp_path, "south/a.jpg.png", np.full((2, 3), 2, np.uint8))
    files = StuffFiles(tmp_path, CATEGORIES)
    assert files.read("/photos/north/a.jpg", 2, 3)[0, 0] == 1
    assert files.read("/photos/south/a.jpg", 2, 3)[0, 0] == 2
    assert files.read("/photos/west/a.jpg", 2, 3)[0, 0] == 0


def test_one_file_never_serves_two_images(tmp_path):
    write(tmp_path, "a.png")
    files = StuffFiles(tmp_path, CATEGORIES)
    files.read("north/a.jpg", 2, 3)
    files.read("north/a.jpg", 2, 3)
    with pytest.raises(DataError, match=r"a\.png would serve both north/a\.jpg and south/a\.jpg"):
        files.read("south/a.jpg", 2, 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((3, 3), np.uint8), r"expected 2 x 3 pixels .*, got 3 x 3"),
        (np.full((2, 3), 9, np.uint8), r"a\.png: .*got 9"),
        (np.zeros((2, 3, 3), np.uint8), r"a\.png: expected a grey .* with 3 channels"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, labels, message):
    write(tmp_path, "a.png", labels)
    with pytest.raises(DataError, match=message):
        StuffFiles(tmp_path, CATEGORIES).read("a.jpg", 2, 3)


def test_an_unknown_id_is_named(tmp_path):
    write(tmp_path, "a.png", np.full((2, 3), 8, np.uint8))
    with pytest.raises(DataError, match=r"a\.png: no category has the id 8"):
        StuffFiles(tmp_path, CATEGORIES, contiguous=False).read("a.jpg", 2, 3)


def test_damaged_missing_and_nameless(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "b.png").write_bytes(b"")
    files = StuffFiles(tmp_path, CATEGORIES)
    for name in ("a", "b"):
        with pytest.raises(DataError, match=rf"{name}\.png is no image"):
            files.read(f"{name}.jpg", 2, 3)
    with pytest.raises(DataError, match=r"no label map for c\.jpg"):
        files.read("c.jpg", 2, 3)
    with pytest.raises(DataError, match="pass a path"):
        files.read(None, 2, 3)
    with pytest.raises(SetupError, match="STUFF_DIR"):
        StuffFiles(tmp_path / "absent", CATEGORIES)


def test_ids_where_contiguous_numbers_are_expected_are_hinted_at(tmp_path):
    write(tmp_path, "a.png", np.full((2, 3), 20, np.uint8))
    with pytest.raises(DataError, match=r"a\.png: .*got 20; .*STUFF_FORMAT ids"):
        StuffFiles(tmp_path, CATEGORIES).read("a.jpg", 2, 3)


def test_void_ids_that_are_categories_are_refused_at_once(tmp_path):
    with pytest.raises(DataError, match="7 is a category's"):
        StuffFiles(tmp_path, CATEGORIES, contiguous=False, void_ids=[7])
