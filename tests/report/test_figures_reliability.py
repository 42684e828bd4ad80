"""Whether scores are probabilities: the bins, the matches behind them, and the figure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from evaluation.coco_scenes import random_scene
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from thingstuff.errors import ConfigError, DataError
from thingstuff.evaluation.ap_matches import ap_matches
from thingstuff.evaluation.coco_input import read_coco_input
from thingstuff.report.figures import Reliability, reliability_figure, score_reliability

NAN = math.nan
pytestmark = pytest.mark.filterwarnings("error")  # matplotlib warns of what it cannot lay out, draw or spell


class TestReliability:
    def test_bins_hold_what_lies_between_their_edges(self):
        found = Reliability.of([0, 0.29, 0.3, 0.95, 1.0, 0.9], [False, True, False, True, True, False])
        assert found.counts.tolist() == [1, 0, 1, 1, 0, 0, 0, 0, 0, 3]
        np.testing.assert_allclose(found.precisions, [0, NAN, 1, 0, NAN, NAN, NAN, NAN, NAN, 2 / 3])
        np.testing.assert_allclose(
            found.mean_scores, [0, NAN, 0.29, 0.3, NAN, NAN, NAN, NAN, NAN, (0.95 + 1 + 0.9) / 3]
        )
        gaps = [0, 1 - 0.29, 0.3, 3 * ((0.95 + 1 + 0.9) / 3 - 2 / 3)]
        assert found.expected_error == pytest.approx(sum(gaps) / 6)

    @pytest.mark.parametrize("bins", [1, 7, 10, 100])
    def test_every_edge_belongs_to_the_bin_above_it(self, bins):
        assert (Reliability.of(np.arange(bins) / bins, np.zeros(bins), bins).counts == 1).all()

    def test_scores_that_are_precisions_have_no_error(self):
        assert Reliability.of([0.25] * 4 + [1.0] * 3, [True] + [False] * 3 + [True] * 3).expected_error == 0

    def test_nothing_has_an_undefined_error(self):
        assert math.isnan(Reliability.of([], []).expected_error)

    @pytest.mark.parametrize("score", [-0.1, 1.5, NAN])
    def test_scores_that_are_no_probabilities_are_refused(self, score):
        with pytest.raises(DataError, match=f"from 0 to 1, got {score:g}"):
            Reliability.of([0.5, score], [True, True])

    def test_bins_and_shapes_are_checked(self):
        with pytest.raises(ConfigError, match="bins must be at least 1, got 0"):
            Reliability.of([0.5], [True], 0)
        with pytest.raises(ValueError, match="N scores and N hits"):
            Reliability.of([0.5], [True, False])

    @pytest.mark.parametrize("iou_type", ["bbox", "segm"])
    @pytest.mark.parametrize("max_dets", [100, 2])
    @pytest.mark.parametrize("seed", range(4))
    def test_counts_are_of_pycocotools_matches(self, seed, iou_type, max_dets, capsys):
        truth, results = random_scene(seed, iou_type)
        results = [r | {"score": round(r["score"], 1)} for r in results]  # many ties
        data = read_coco_input(truth, results, iou_type)
        scores, hits = matches_of_pycocotools(data, max_dets)
        place = np.minimum((scores * 10 + 1e-9).astype(int), 9)
        found = score_reliability(ap_matches(data, max_dets))
        assert found.counts.tolist() == np.bincount(place, minlength=10).tolist()
        in_use = found.counts > 0
        sums = np.bincount(place, hits, minlength=10), np.bincount(place, scores, minlength=10)
        np.testing.assert_allclose((found.precisions * found.counts)[in_use], sums[0][in_use])
        np.testing.assert_allclose((found.mean_scores * found.counts)[in_use], sums[1][in_use])

    def test_a_crowd_excuses_what_lies_on_it(self):
        crowd = {"counts": [0, 10000], "size": [100, 100]}
        labels = {"image_id": 1, "category_id": 1}
        truth = {
            "images": [{"id": 1, "height": 100, "width": 100}],
            "categories": [{"id": 1, "name": "cat"}],
            "annotations": [
                {"id": 1, **labels, "bbox": [0, 0, 100, 100], "area": 10000, "iscrowd": 1, "segmentation": crowd}
            ],
        }
        results = [{**labels, "bbox": [10, 10, 20, 20], "score": 0.9}]
        assert score_reliability(ap_matches(read_coco_input(truth, results, "bbox"))).counts.sum() == 0
        away = truth | {"annotations": []}
        assert score_reliability(ap_matches(read_coco_input(away, results, "bbox"))).counts.tolist() == [0] * 9 + [1]
        assert score_reliability(ap_matches(read_coco_input(away, [], "bbox"))).counts.sum() == 0

    def test_the_figure_shows_precision_score_and_counts(self):
        figure = reliability_figure(Reliability.of([0.1, 0.15, 0.9], [False, True, True], bins=2), "mask")
        above, below = figure.axes
        assert [bar.get_height() for bar in above.patches] == [0.5, 1]
        np.testing.assert_allclose(above.lines[1].get_xydata(), [[0.125, 0.5], [0.9, 1]])
        assert [bar.get_height() for bar in below.patches] == [2, 1]
        assert above.get_ylabel() == "precision at IoU 0.50"
        assert (below.get_xlabel(), below.get_ylabel()) == ("score", "detections")
        # 2 of 3 with |0.125 - 0.5|, 1 of 3 with |0.9 - 1|
        assert f"error {(2 * 0.375 + 0.1) / 3:.3f}" in above.get_legend().get_texts()[1].get_text()
        figure.canvas.draw()

    def test_nothing_to_show(self):
        figure = reliability_figure(Reliability.of([], []))
        assert [text.get_text() for text in figure.axes[0].texts] == ["no detections"]
        figure.canvas.draw()


def matches_of_pycocotools(data, max_dets):
    """Scores and hits at IoU .5 of all that is not ignored, read from `evalImgs`."""
    truth = COCO()
    truth.dataset = data.ground_truth
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes([dict(r) for r in data.results]), data.iou_type)
    evaluation.params.maxDets = [max_dets]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    scores, hits = [], []
    for record in filter(None, evaluation.evalImgs):
        counted = ~np.asarray(record["dtIgnore"][0], bool)
        scores += np.asarray(record["dtScores"], float)[counted].tolist()
        hits += (np.asarray(record["dtMatches"][0]) > 0)[counted].tolist()
    return np.array(scores, float), np.array(hits, bool)
