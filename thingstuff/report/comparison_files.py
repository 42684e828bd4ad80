"""A comparison on disk: `compare.json` for programs and `compare.html` for people."""

from __future__ import annotations

from pathlib import Path

from thingstuff.files import write_json
from thingstuff.report.comparison import Comparison
from thingstuff.report.comparison_page import comparison_page
from thingstuff.report.comparison_report import record
from thingstuff.report.image_ranks import image_ranks
from thingstuff.report.page import write_page

PAGE, RECORD = "compare.html", "compare.json"


def write_comparison(comparison: Comparison, folder: Path, most_images: int) -> tuple[Path, Path]:
    """The paths of the record and of the page, which shows at most `most_images` images."""
    ranks = image_ranks(comparison)
    page = write_page(comparison_page(comparison, ranks, most_images), folder / PAGE)
    write_json(folder / RECORD, record(comparison, ranks))
    return folder / RECORD, page
