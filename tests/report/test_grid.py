"""Picture grids and picture files: equal cells, proportions kept, titles inside, files whole or absent."""

import cv2
import numpy as np
import pytest

from thingstuff.errors import DataError, UserError
from thingstuff.report import grid
from thingstuff.report.grid import picture_grid, write_picture

RED = np.array([0, 0, 255], np.uint8)


def red(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(RED, (height, width, 3)).copy()


def red_extent(image: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero((image == RED).all(axis=2))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_a_picture_is_scaled_to_the_cell_with_its_proportions():
    assert red_extent(picture_grid([[red(50, 100)]], ["input"], cell_width=200)) == (100, 200)
    assert red_extent(picture_grid([[red(600, 1200)]], ["input"], cell_width=200)) == (100, 200)


def test_all_cells_are_equal_and_pictures_fit_them():
    wide, high = red(50, 100), red(100, 100)
    together = picture_grid([[wide, np.zeros_like(high)]], ["a", "b"], cell_width=120)
    assert red_extent(together) == (60, 120)
    assert picture_grid([[wide, high], [high, wide]], ["a", "b"], cell_width=120).shape[1] == together.shape[1]


def test_a_very_high_picture_does_not_make_the_grid_endless():
    assert red_extent(picture_grid([[red(1000, 10)]], [""], cell_width=100)) == (200, 2)


def test_an_empty_cell_stays_paper():
    image = picture_grid([[None, red(10, 10)]], ["", ""], cell_width=50)
    assert (image[:, :50] > 240).all()


@pytest.mark.parametrize(
    "title", ["truth", "a title that is far too long for a narrow column", "W" * 80, "Wahrheit – ü"]
)
def test_titles_stay_in_their_column_and_row(title):
    cells = [[red(80, 80), red(80, 80)]] * 2
    without = picture_grid(cells, [title, ""], ["", title], cell_width=80)
    with_ink = np.nonzero((without < 200).all(axis=2))
    gap, side = 4, without.shape[1] - 3 * 4 - 2 * 80
    columns_of_titles = with_ink[1][with_ink[0] < 20]
    rows_of_titles = with_ink[0][with_ink[1] < side]
    assert columns_of_titles.min() >= gap + side and columns_of_titles.max() < gap + side + 80
    assert rows_of_titles.min() >= without.shape[0] - gap - 80 and rows_of_titles.max() < without.shape[0] - gap


def test_the_pictures_are_not_touched():
    picture = red(30, 40)
    picture_grid([[picture]], ["a"], ["b"], cell_width=20)
    np.testing.assert_array_equal(picture, red(30, 40))


@pytest.mark.parametrize(
    ("rows", "columns", "titles"),
    [([], ["a"], None), ([[]], [], None), ([[None]], ["a", "b"], None), ([[None]], ["a"], ["x", "y"])],
)
def test_odd_grids_are_refused(rows, columns, titles):
    with pytest.raises(DataError):
        picture_grid(rows, columns, titles)


@pytest.mark.parametrize("picture", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3)), np.zeros((0, 5, 3), np.uint8)])
def test_odd_pictures_are_refused(picture):
    with pytest.raises(DataError, match="row 0"):
        picture_grid([[picture]], ["a"])
    with pytest.raises(DataError, match=r"a\.png"):
        write_picture("a.png", picture)


def test_a_cell_needs_a_width():
    with pytest.raises(DataError, match="cell"):
        picture_grid([[red(4, 4)]], ["a"], cell_width=0)


def test_png_reads_back_as_written(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    write_picture(tmp_path / "new" / "folder" / "a.png", image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "new" / "folder" / "a.png")), image)


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG"])
def test_jpg_is_jpg(tmp_path, name):
    write_picture(tmp_path / name, red(20, 30))
    assert (tmp_path / name).read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.txt"])
def test_unknown_suffixes_are_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(UserError, match=r"\.png"):
        write_picture(tmp_path / "new" / name, red(4, 4))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png", red(4, 4))
    before = (tmp_path / "a.png").read_bytes()

    def full_disk(self, target):
        raise OSError("no space left")

    monkeypatch.setattr(grid.Path, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_picture(tmp_path / "a.png", red(9, 9))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before
