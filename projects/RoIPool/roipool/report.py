"""The study's results as JSON, Markdown and a figure, and as a part of the project's README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from roipool.comparison import Comparison
from roipool.figure import ap_figure
from roipool.runs import Run
from roipool.tables import tables
from roipool.variants import BASELINE, Variant
from thingstuff.files import whole_file, write_json
from thingstuff.report.figures import save_figure
from thingstuff.report.marks import Marks

README = Path(__file__).resolve().parents[1] / "README.md"
MARKS = Marks("study")
_FIGURE, _TITLE = "ap_over_iou.png", "Mask AP over the IoU threshold"


def report(folder: Path, done: Sequence[Run], variants: Sequence[Variant], into_readme: bool = False) -> str:
    """Write what is known so far into `folder`, and say where; without a run of the baseline nothing is written."""
    compared = Comparison.of([run.scores() for run in done], variants)
    if not compared.seeds(BASELINE):
        return f"no run of the baseline {BASELINE} is done yet: nothing to compare"
    return write_report(folder, compared, into_readme)


def write_report(folder: Path, compared: Comparison, into_readme: bool) -> str:
    """`study.json`, `study.md` and the figure, and with `into_readme` the latter two in the project's README."""
    text, figure = tables(compared), ap_figure(compared)
    write_json(folder / "study.json", compared.as_json())
    _write_text(folder / "study.md", text)
    save_figure(figure, folder / _FIGURE)
    if into_readme:
        MARKS.write(README, f"{text}\n![{_TITLE}]({_FIGURE})")
        save_figure(figure, README.with_name(_FIGURE))
    files = ("tables", "study.md"), ("numbers", "study.json"), ("figure", _FIGURE)
    return "\n".join(["", text, *(f"{what:10} {folder / name}" for what, name in files)])


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode())
