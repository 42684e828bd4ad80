"""Panoptic quality of two folders of PNGs by hotcoco, which decodes and counts without a Python object a segment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from thingstuff.evaluation.panoptic_quality import PanopticCounts
from thingstuff.structures import Categories


def count_files(
    truth: tuple[Path, Path], predicted: tuple[Path, Path], categories: Categories
) -> PanopticCounts | None:
    """Counts as `PanopticCounts.add` gives them, of a JSON and a folder each; None of files that hotcoco refuses.

    As in panopticapi the area of a true segment is what its JSON says; of consistent files that is its pixels.
    """
    from hotcoco.panoptic import PanopticEval

    (truth_json, truth_folder), (predicted_json, predicted_folder) = truth, predicted
    folders = {"gt_folder": str(truth_folder), "pred_folder": str(predicted_folder)}
    try:
        evaluation = PanopticEval(str(truth_json), str(predicted_json), **folders)
        evaluation.evaluate()
        found = evaluation.results()["per_class"]
    except (ValueError, OSError, KeyError):
        return None
    columns = {name: [found[category.id][name] for category in categories.all] for name in ("tp", "fp", "fn", "iou")}
    tp, fp, fn = (np.array(columns[name], np.int64) for name in ("tp", "fp", "fn"))
    return PanopticCounts(categories, tp, fp, fn, np.array(columns["iou"], np.float64))
