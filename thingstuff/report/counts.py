"""How many objects of each class were found in each image, as a table."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from thingstuff.errors import DataError
from thingstuff.files import whole_file
from thingstuff.report.table import text_table
from thingstuff.structures import Categories, Detections


def counts_of(detections: Detections, categories: Categories, score_thresh: float = 0.0) -> tuple[int, ...]:
    """Objects with a score of `score_thresh` or more, one number a thing class, in the order of `categories.things`."""
    places = categories.thing_indices(detections.above(score_thresh).category_ids)
    return tuple(np.bincount(places, minlength=len(categories.things)).tolist())


@dataclass
class Counts:
    """Objects of each thing class, image by image. Keeps one line of numbers an image and nothing else."""

    categories: Categories
    score_thresh: float = 0.0
    _rows: dict[str, tuple[int, ...]] = field(default_factory=dict, init=False, repr=False)

    def add(self, image: str, detections: Detections) -> None:
        """Count the objects of one image, named by its key."""
        if image in self._rows:
            raise DataError(f"the objects of {image} are counted already")
        self._rows[image] = counts_of(detections, self.categories, self.score_thresh)

    @property
    def totals(self) -> tuple[int, ...]:
        """One number a thing class."""
        return tuple(map(sum, zip(*self._rows.values(), strict=True))) or (0,) * len(self.categories.things)

    def text(self) -> str:
        """A table for the terminal, without the classes of which nothing was found."""
        shown = [place for place, total in enumerate(self.totals) if total]
        rows = [[name, *(row[place] for place in shown), sum(row)] for name, row in self._lines()]
        return text_table(rows, ["image", *(self.categories.things[place].name for place in shown), "total"])

    def write_csv(self, path: str | Path) -> None:
        """Write all classes as CSV (UTF-8), whole or not at all: a header, one line an image, and the total."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["image", *(category.name for category in self.categories.things), "total"])
        writer.writerows([name, *row, sum(row)] for name, row in self._lines())
        with whole_file(path) as file:
            file.write(text.getvalue().encode())

    def _lines(self) -> list[tuple[str, tuple[int, ...]]]:
        return [*self._rows.items(), ("total", self.totals)]
