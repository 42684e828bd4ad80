"""Counts: one line an image and a total, the same numbers on the terminal and in the CSV."""

import csv

import numpy as np
import pytest

from thingstuff.errors import DataError
from thingstuff.report.counts import Counts, counts_of
from thingstuff.structures import Categories, Category, Detections

CATEGORIES = Categories(
    (Category(9, "car, parked"), Category(40, "sky", isthing=False), Category(3, "person"), Category(5, 'a "dog"'))
)


def found(*pairs: tuple[int, float]) -> Detections:
    """Detections of (category id, score)."""
    ids, scores = np.array([i for i, _ in pairs], np.int64), np.array([s for _, s in pairs], np.float32)
    return Detections(None, np.zeros((len(pairs), 4), np.float32), scores, ids, 8, 8)


@pytest.fixture
def counts():
    table = Counts(CATEGORIES, score_thresh=0.5)
    table.add("a/1.jpg", found((3, 0.9), (9, 0.5), (3, 0.7), (3, 0.4)))
    table.add("b/1.jpg", found())
    table.add("b/2, old.jpg", found((3, 0.8)))
    return table


def test_counts_go_by_thing_class_and_score():
    detections = found((3, 0.9), (9, 0.5), (3, 0.49))
    assert counts_of(detections, CATEGORIES, 0.5) == (1, 1, 0)
    assert counts_of(detections, CATEGORIES) == (1, 2, 0)
    assert counts_of(found(), CATEGORIES) == (0, 0, 0)


def test_the_csv_holds_every_class(counts, tmp_path):
    counts.write_csv(tmp_path / "new" / "counts.csv")
    with (tmp_path / "new" / "counts.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["image", "car, parked", "person", 'a "dog"', "total"],
        ["a/1.jpg", "1", "2", "0", "3"],
        ["b/1.jpg", "0", "0", "0", "0"],
        ["b/2, old.jpg", "0", "1", "0", "1"],
        ["total", "1", "3", "0", "4"],
    ]


def test_the_text_leaves_out_what_was_never_found(counts):
    lines = counts.text().splitlines()
    assert "dog" not in lines[0] and [line.split()[-1] for line in lines] == ["total", "-------", "3", "0", "1", "4"]
    assert lines[0].split() == ["image", "car,", "parked", "person", "total"]
    assert lines[2].split() == ["a/1.jpg", "1", "2", "3"] and lines[-1].split() == ["total", "1", "3", "4"]


def test_totals(counts):
    assert counts.totals == (1, 3, 0)


def test_no_images(tmp_path):
    nothing = Counts(CATEGORIES)
    assert nothing.totals == (0, 0, 0)
    assert nothing.text().splitlines()[-1].split() == ["total", "0"]
    nothing.write_csv(tmp_path / "counts.csv")
    assert (tmp_path / "counts.csv").read_text().splitlines()[1:] == ["total,0,0,0,0"]


def test_only_stuff():
    table = Counts(Categories((Category(1, "sky", isthing=False),)))
    table.add("1.jpg", found())
    assert table.totals == () and table.text().splitlines()[-1].split() == ["total", "0"]


def test_an_image_counts_once(counts):
    with pytest.raises(DataError, match=r"a/1\.jpg"):
        counts.add("a/1.jpg", found())


def test_what_is_no_thing_is_refused():
    with pytest.raises(DataError, match="sky"):
        counts_of(found((40, 0.9)), CATEGORIES)


def test_a_failed_write_leaves_the_former_file(counts, tmp_path, monkeypatch):
    path = tmp_path / "counts.csv"
    path.write_text("before")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        counts.write_csv(path)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
