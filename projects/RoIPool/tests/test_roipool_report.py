"""Tables, figure and README from scores made by hand."""

import json
import math

import pytest
from roipool import report
from roipool.comparison import Comparison
from roipool.figure import ap_figure
from roipool.scores import IOUS, Scores, iou_key
from roipool.tables import shown, tables
from roipool.variants import VARIANTS, chosen
from roipool.verdict import verdict

from thingstuff.errors import ConfigError


def scores(variant, seed, mask_ap, box_ap=50.0):
    def numbers(ap):
        return {
            "AP": ap,
            **{iou_key(iou): ap - 10 * place for place, iou in enumerate(IOUS)},
            "APs": 1,
            "APm": 2,
            "APl": 3,
        }

    return Scores(variant, seed, 60.0 + seed, {"segm": numbers(mask_ap), "bbox": numbers(box_ap)})


RUNS = [
    *(scores("align2", seed, ap) for seed, ap in enumerate((60.0, 62.0, 64.0))),
    *(scores("roipool", seed, ap) for seed, ap in ((2, 61.0), (0, 58.0), (1, 60.5))),  # -2, -1.5, -3
    scores("mask14", 1, 63.0),
]
COMPARED = Comparison.of(RUNS, chosen([]))


def test_differences_are_taken_seed_by_seed():
    found = COMPARED.difference("roipool", "segm", "AP")
    assert found.mean == pytest.approx(-6.5 / 3)
    deviation = math.sqrt(sum((d + 6.5 / 3) ** 2 for d in (-2, -1.5, -3)) / 2)
    assert found.high - found.mean == pytest.approx(4.3027 * deviation / math.sqrt(3), rel=1e-4)
    assert COMPARED.difference("mask14", "segm", "AP").mean == 1  # 63 minus the baseline's 62 of the same seed
    assert COMPARED.difference("align2", "segm", "AP") is None


def test_the_table_has_a_row_for_each_variant_that_was_run():
    rows = [line for line in tables(COMPARED).splitlines() if line.startswith("| ")]
    assert [row.split("|")[1].strip() for row in rows[:4]] == [
        "model",
        "RoIAlign, 2 x 2 samples, masks 28 x 28",
        "RoIPool",
        "masks 14 x 14",
    ]
    baseline, pool, mask = ([cell.strip() for cell in row.split("|")[2:-1]] for row in rows[1:4])
    assert baseline == ["3", "62.0 ± 2.0", "62.0", "12.0", "-", "50.0 ± 0.0", "-", "61"]
    assert pool[:5] == ["3", "59.8 ± 1.6", "59.8", "9.8", "**-2.2 (-4.1 to -0.3)**"]
    assert mask[:5] == ["1", "63.0", "63.0", "13.0", "+1.0"]


def test_a_sentence_says_what_the_tables_say():
    assert verdict(COMPARED) == (
        "In mask AP, compared with RoIAlign, 2 x 2 samples, masks 28 x 28: "
        "RoIPool is worse by 2.2 points (0.3 to 4.1 in 3 runs); "
        "masks 14 x 14 differs by +1.0 in a single run, which decides nothing."
    )
    assert tables(COMPARED).startswith(verdict(COMPARED))
    better = Comparison.of(
        [scores(*run) for run in (("align2", 0, 1), ("align2", 1, 2), ("mask56", 0, 3), ("mask56", 1, 4))], chosen([])
    )
    assert verdict(better).endswith("masks 56 x 56 is better by 2.0 points (2.0 to 2.0 in 2 runs).")
    other = Comparison.of(
        [scores(*run) for run in (("align2", 0, 1), ("align2", 1, 1), ("mask56", 0, 0), ("mask56", 1, 2))], chosen([])
    )
    assert verdict(other).endswith("masks 56 x 56 is undecided (-12.7 to +12.7 in 2 runs).")  # 12.706 sqrt(2) / sqrt(2)
    assert verdict(Comparison.of(RUNS[:3], chosen([]))) == ""


def test_the_second_table_has_a_row_for_each_threshold_and_size():
    lines = tables(COMPARED).splitlines()
    for title in (*map(iou_key, IOUS), "0.50:0.95", "small", "medium", "large"):
        assert sum(line.startswith(f"| {title} ") for line in lines) == 1, title


def test_a_baseline_alone_is_one_table():
    text = tables(Comparison.of(RUNS[:3], chosen([])))
    assert "IoU" not in text
    assert text.count("62.0 ± 2.0") == 1


def test_a_size_without_objects_is_undefined_in_table_and_json(tmp_path):
    one = scores("align2", 0, 60.0)
    one.tasks["segm"]["APl"] = math.nan
    one.write(tmp_path / "scores.json")
    read = Scores.read(tmp_path / "scores.json")
    assert math.isnan(read.tasks["segm"]["APl"])
    compared = Comparison.of([read, scores("roipool", 0, 59.0)], chosen([]))
    row = next(line for line in tables(compared).splitlines() if line.startswith("| large"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["-", "-"]


def test_what_is_undefined_is_a_dash():
    assert shown(None) == "-"


def test_the_figure_has_a_curve_for_each_variant_and_one_difference_fewer():
    left, right = ap_figure(COMPARED).axes
    assert len(left.lines) == 3
    assert len(right.lines) == 2 + 1  # and the line at zero
    assert list(left.lines[0].get_ydata()) == pytest.approx([62.0 - 10 * place for place in range(10)])


def test_all_is_written_and_the_readme_between_its_markers_alone(monkeypatch, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{report.MARKS.begin}\nearlier table\n{report.MARKS.end}\n\nafter\n")
    monkeypatch.setattr(report, "README", readme)
    (tmp_path / "study").mkdir()
    report.write_report(tmp_path / "study", COMPARED, into_readme=True)
    page = readme.read_text()
    assert page.startswith(f"before\n\n{report.MARKS.begin}\n\nIn mask AP")
    assert page.endswith(f"![Mask AP over the IoU threshold](ap_over_iou.png)\n\n{report.MARKS.end}\n\nafter\n")
    assert "earlier table" not in page
    assert json.loads((tmp_path / "study/study.json").read_text())["roipool"]["tasks"]["segm"]["AP"]["mean"] == (
        pytest.approx((58 + 60.5 + 61) / 3)
    )
    for path in ("study/study.md", "study/ap_over_iou.png", "ap_over_iou.png"):
        assert (tmp_path / path).stat().st_size > 0


def test_the_projects_readme_has_the_markers():
    assert report.MARKS.require(report.README)


def test_the_baseline_is_always_chosen_and_mask28_is_its_other_name():
    assert [v.name for v in chosen(["mask56", "roipool"])] == ["align2", "roipool", "mask56"]
    assert [v.name for v in chosen(["mask28"])] == ["align2"]
    assert len(chosen([])) == len(VARIANTS)
    with pytest.raises(ConfigError, match="no variant 'mask29'"):
        chosen(["mask29"])
