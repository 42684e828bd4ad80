"""Figures from files alone: what they show, that nothing unusual in the data stops them, and the files themselves."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgba

from thingstuff.errors import ConfigError, DataError
from thingstuff.evaluation.bootstrap import Interval
from thingstuff.files import write_json
from thingstuff.report.figures import (
    class_bars_figure,
    confusion_figure,
    draw_all,
    latency_figure,
    save_figure,
    size_bars_figure,
)
from thingstuff.report.figures.style import COLORS, line_style, shown_name, thinned

NAN = math.nan
pytestmark = pytest.mark.filterwarnings("error")  # matplotlib warns of what it cannot lay out, draw or spell


def texts(axes):
    return [text.get_text() for text in axes.texts]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def widths(axes):
    return [patch.get_width() for patch in axes.patches if patch.get_facecolor() == to_rgba(COLORS[0])]


def assert_drawable(figure):
    """Layout and rendering, which is where matplotlib finds most faults."""
    figure.canvas.draw()


class TestFiles:
    def test_png_has_the_size_of_the_figure_at_200_dots_an_inch(self, tmp_path):
        figure = size_bars_figure({"": {"APs": 1.0}})
        picture = cv2.imread(str(save_figure(figure, tmp_path / "new" / "a.png")))
        width, height = figure.get_size_inches()
        assert picture.shape == (round(200 * height), round(200 * width), 3)
        assert (picture < 200).any()
        assert (picture[0, 0] == 255).all()

    def test_svg_is_xml_whose_text_is_text(self, tmp_path):
        file = save_figure(class_bars_figure({"cat <&> $x$": 20.0}, "mask AP"), tmp_path / "a.svg")
        said = "".join(ElementTree.parse(file).getroot().itertext())
        assert "cat <&> $x$" in said
        assert "mask AP" in said

    @pytest.mark.parametrize("suffix", [".png", ".svg"])
    def test_the_same_data_give_the_same_bytes(self, tmp_path, suffix):
        files = [
            save_figure(size_bars_figure({"a": {"APs": 3.0}, "b": {}}), tmp_path / f"{i}{suffix}") for i in range(2)
        ]
        assert files[0].read_bytes() == files[1].read_bytes()

    def test_suffixes_may_be_capital_and_others_are_refused(self, tmp_path):
        assert save_figure(size_bars_figure({}), tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG")
        with pytest.raises(ConfigError, match=r"\.png or \.svg, not as '\.jpg'"):
            save_figure(size_bars_figure({}), tmp_path / "a.jpg")
        with pytest.raises(ConfigError, match="a file without suffix"):
            save_figure(size_bars_figure({}), tmp_path / "a")
        assert [f.name for f in tmp_path.iterdir()] == ["a.PNG"]

    def test_no_window_system_is_touched(self, tmp_path):
        import sys

        save_figure(size_bars_figure({}), tmp_path / "a.png")
        assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


class TestStyle:
    def test_first_curves_differ_in_colour_and_all_28_in_something(self):
        styles = [tuple(line_style(i).values()) for i in range(28)]
        assert len(set(styles)) == 28
        assert len({color for color, _ in styles[:7]}) == 7

    def test_names_are_shown_as_they_are(self):
        assert shown_name("cat") == "cat"
        assert shown_name("$a$") == r"\$a\$"
        assert shown_name("_hidden").strip() == "_hidden"
        assert shown_name("x" * 40) == "x" * 27 + "…"

    @pytest.mark.parametrize(("count", "most", "step"), [(0, 5, 1), (5, 5, 1), (6, 5, 2), (1000, 80, 13)])
    def test_thinned_positions_are_even_and_few(self, count, most, step):
        assert thinned(count, most).tolist() == list(range(0, count, step))
        assert len(thinned(count, most)) <= most


class TestClassBars:
    def test_best_class_first_and_undefined_last(self):
        axes = class_bars_figure({"cat": 20.0, "rock": NAN, "dog": 60.0}, "mask AP in percent").axes[0]
        assert ticks(axes.yaxis) == ["dog", "cat", "rock"]
        assert widths(axes) == [60, 20, 0]
        assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is on top
        assert texts(axes) == ["undefined"]
        assert axes.get_xlabel() == "mask AP in percent"
        assert axes.get_xlim() == (0, 100)

    def test_whiskers_reach_from_low_to_high_where_they_are_known(self):
        known = {"dog": Interval(60, 50, 64), "cat": Interval(20, NAN, NAN), "elsewhere": Interval(1, 0, 2)}
        axes = class_bars_figure({"cat": 20.0, "dog": 60.0, "rock": 10.0}, "AP", intervals=known).axes[0]
        (whiskers,) = axes.collections
        (segment,) = whiskers.get_segments()
        np.testing.assert_allclose(segment, [[50, 0], [64, 0]])

    def test_all_classes_are_a_line_with_a_band(self):
        axes = class_bars_figure({"cat": 20.0}, "AP", overall=Interval(40, 35, 44)).axes[0]
        (line,) = axes.lines
        assert line.get_xdata() == [40, 40]
        band = axes.patches[-1]
        assert (band.get_x(), band.get_width()) == (35, 9)
        assert axes.get_legend().get_texts()[0].get_text() == "all classes 40.0 (95 %: 35.0 to 44.0)"

    def test_without_bounds_there_is_no_band_and_without_value_no_line(self):
        axes = class_bars_figure({"cat": 20.0}, "AP", overall=Interval(40, NAN, NAN)).axes[0]
        assert len(axes.patches) == len(axes.lines) == 1
        assert not class_bars_figure({"cat": NAN}, "AP", overall=Interval(NAN, NAN, NAN)).axes[0].lines

    @pytest.mark.parametrize("count", [0, 1, 80, 1000])
    def test_any_number_of_classes_fits_a_page(self, count):
        figure = class_bars_figure({f"c{i}": i % 101 for i in range(count)}, "AP", overall=Interval(4, 3, 5))
        assert figure.get_size_inches()[1] <= 15.8
        assert len(figure.axes[0].get_yticks()) <= 80
        assert ("classes" in figure.axes[0].get_ylabel()) == (count > 80)
        assert_drawable(figure)


class TestConfusion:
    COUNTS = ((6, 3, 1), (2, 0, 0), (4, 12, 0))

    def test_rows_are_percent_of_their_sums(self):
        axes = confusion_figure(self.COUNTS, ("cat", "dog"), "mask").axes[0]
        shown = axes.images[0].get_array()
        np.testing.assert_allclose(shown, [[60, 30, 10], [100, 0, 0], [25, 75, 0]])
        assert axes.get_title() == "mask"

    def test_cells_hold_their_numbers_but_no_zeros(self):
        axes = confusion_figure(self.COUNTS, ("cat", "dog")).axes[0]
        cells = {text.get_position(): text.get_text() for text in axes.texts}  # (column, row)
        assert cells == {(0, 0): "60", (1, 0): "30", (2, 0): "10", (0, 1): "100", (0, 2): "25", (1, 2): "75"}

    def test_what_rounds_to_nothing_is_not_nothing(self):
        assert "<1" in texts(confusion_figure([[999, 1], [0, 0]], ["cat"]).axes[0])

    def test_axes_name_classes_with_their_numbers_and_the_background(self):
        axes = confusion_figure(self.COUNTS, ("cat", "$dog")).axes[0]
        assert ticks(axes.yaxis) == ["cat (10)", r"\$dog (2)", "nothing (16)"]
        assert ticks(axes.xaxis) == ["cat", r"\$dog", "missed"]
        assert axes.get_xlabel() == "predicted as"
        assert axes.get_ylabel() == "truth (number)"

    def test_a_class_without_objects_is_gray_not_white(self):
        figure = confusion_figure([[0, 0], [3, 0]], ["cat"])
        image = figure.axes[0].images[0]
        assert image.get_array().mask.tolist() == [[True, True], [False, False]]
        assert image.cmap(image.get_array())[0, 0].tolist() == list(to_rgba("#E5E5E5"))
        assert_drawable(figure)

    @pytest.mark.parametrize(("count", "has_numbers"), [(0, False), (1, True), (20, True), (21, False), (1000, False)])
    def test_any_number_of_classes(self, count, has_numbers):
        figure = confusion_figure(np.eye(count + 1) * (np.arange(count + 1) < count), [f"c{i}" for i in range(count)])
        axes = figure.axes[0]
        assert bool(axes.texts) == has_numbers
        assert len(axes.get_xticks()) == len(axes.get_yticks()) <= 81
        assert ticks(axes.xaxis)[-1] == "missed"
        assert_drawable(figure)

    @pytest.mark.parametrize("counts", [[[1, 2]], [[1, 2], [3]], [["x"]], 3])
    def test_another_shape_is_refused(self, counts):
        with pytest.raises(DataError, match="confusion: expected"):
            confusion_figure(counts, ["cat"])


class TestSizes:
    def test_a_group_for_each_size_and_a_bar_for_each_result(self):
        figure = size_bars_figure({"a": {"APs": 10.0, "APm": 20.0, "APl": 30.0}, "b": {"APs": 40.0, "APm": None}})
        axes = figure.axes[0]
        assert [patch.get_height() for patch in axes.patches] == [10, 20, 30, 40, 0, 0]
        centers = [patch.get_x() + patch.get_width() / 2 for patch in axes.patches]
        np.testing.assert_allclose(centers, [-0.2, 0.8, 1.8, 0.2, 1.2, 2.2])
        assert texts(axes) == ["10.0", "20.0", "30.0", "40.0", "—", "—"]
        assert [label.split("\n")[0] for label in ticks(axes.xaxis)] == ["small", "medium", "large"]
        assert axes.get_ylabel() == "AP in percent"
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
        assert_drawable(figure)

    def test_numbers_are_left_out_where_they_would_overlap(self):
        axes = size_bars_figure({f"run {i}": {"APs": 1.0, "APm": 2.0, "APl": NAN} for i in range(12)}).axes[0]
        assert texts(axes) == ["—"] * 12

    @pytest.mark.parametrize("results", [{}, {"a": {}}, {"_a": {"APs": NAN}}])
    def test_nothing_to_show(self, results):
        assert_drawable(size_bars_figure(results))


RESULTS = {
    "bbox": {"AP": 50.0, "APs": 40.0, "APm": None, "APl": 60.0, "AP-cat": 45.0, "AP-dog": None, "AR100": 70.0},
    "sem_seg": {"mIoU": 55.0, "IoU-sky": 55.0},
    "panoptic_seg": {"PQ": 45.0, "PQ-sky": 45.0, "SQ-sky": 80.0},
}
CAUSES = {
    "bbox": {"iou_thresh": 0.5, "confusion": {"min_score": 0.5, "names": ["cat"], "counts": [[3, 1], [2, 0]]}},
    "panoptic_seg": {"masks": {"pq": 3.0}},
}


def write_results(folder, **record):
    write_json(folder / "results.json", record)
    return folder / "results.json"


class TestDrawAll:
    def test_draws_what_there_is_in_both_formats(self, tmp_path):
        path = write_results(tmp_path, results={"val": RESULTS}, causes=CAUSES)
        written = draw_all(path, tmp_path / "figures")
        names = ["classes_bbox", "classes_sem_seg", "classes_panoptic_seg", "sizes", "confusion_bbox"]
        assert [file.name for file in written] == [f"{name}{end}" for name in names for end in (".png", ".svg")]
        assert sorted(written) == sorted((tmp_path / "figures").iterdir())

    def test_labels_and_intervals_come_from_the_file(self, tmp_path):
        intervals = {"box AP": {"value": 50.0, "low": 48.0, "high": 53.0}}
        path = write_results(tmp_path, results={"val": RESULTS}, intervals=intervals, causes=CAUSES)
        draw_all(path, tmp_path, [".svg"])
        bars = (tmp_path / "classes_bbox.svg").read_text()
        for said in ("cat", "dog", "undefined", "box AP in percent", "all classes 50.0 (95 %: 48.0 to 53.0)"):
            assert said in bars
        assert "all classes 55.0<" in (tmp_path / "classes_sem_seg.svg").read_text()
        assert "box, IoU ≥ 0.5, score ≥ 0.5" in (tmp_path / "confusion_bbox.svg").read_text(encoding="utf-8")

    def test_each_of_several_data_sets_has_a_folder(self, tmp_path):
        results = {"my/val": {"segm": {"AP-cat": 1.0}}, "other": {"segm": {"AP-cat": 2.0}}}
        written = draw_all(write_results(tmp_path, results=results), tmp_path / "figures", [".svg"])
        folders = [str(file.relative_to(tmp_path / "figures").as_posix()) for file in written]
        assert folders == ["my_val/classes_segm.svg", "other/classes_segm.svg"]

    @pytest.mark.parametrize("tasks", [{}, {"bbox": {}}, {"bbox": {"AP": None}}, {"speed": {"fps": 3}}, {"bbox": None}])
    def test_nothing_to_draw_is_no_error(self, tmp_path, tasks):
        assert draw_all(write_results(tmp_path, results={"val": tasks}), tmp_path) == []

    def test_a_name_of_a_data_set_stays_in_the_folder(self, tmp_path):
        results = {"..": {"segm": {"AP-cat": 1.0}}, "../../x": {"segm": {"AP-cat": 2.0}}}
        written = draw_all(write_results(tmp_path, results=results), tmp_path / "figures", [".svg"])
        assert all((tmp_path / "figures").resolve() in file.resolve().parents for file in written)

    def test_a_wrong_suffix_is_refused_before_anything_is_drawn(self, tmp_path):
        path = write_results(tmp_path, results={"val": RESULTS})
        with pytest.raises(ConfigError, match=r"\.png or \.svg"):
            draw_all(path, tmp_path / "figures", [".png", ".gif"])
        assert not (tmp_path / "figures").exists()

    @pytest.mark.parametrize("content", ["[]", '{"a": 1}', '{"results": {"AP": 3}}', '{"results": []}'])
    def test_another_file_is_refused(self, tmp_path, content):
        path = tmp_path / "results.json"
        path.write_text(content)
        with pytest.raises(DataError, match=r"results\.json: no results by data set"):
            draw_all(path, tmp_path)


def test_latency_as_bars_of_stages_or_as_points_of_accuracy(tmp_path):
    stages = {"decode": 1.0, "backbone": 3.0}
    bars = latency_figure([("exact, 20", 4.0, stages, {}), ("$fast$", 2.0, {"backbone": 2.0}, {})])
    (axes,) = bars.axes
    widths = [[bar.get_width() for bar in container] for container in axes.containers]
    assert widths == [[1.0, 0.0], [3.0, 2.0]]
    accuracy = {"mask AP": {"percent": 40.0}, "box AP": {"percent": 42.0}}
    points = latency_figure([("exact", 4.0, stages, accuracy), ("stock", 5.0, stages, {})])
    assert [axes.get_ylabel() for axes in points.axes] == ["mask AP, percent", "box AP, percent"]
    assert [line.get_xydata().tolist() for line in points.axes[0].lines] == [[[4.0, 40.0]]]
    for number, figure in enumerate((bars, points, latency_figure([]))):
        assert save_figure(figure, tmp_path / f"{number}.png").stat().st_size > 0
