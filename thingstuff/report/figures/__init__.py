"""Figures for papers and reports, drawn from files alone: each function gives a Figure, `save_figure` writes it."""

from thingstuff.report.figures.class_bars import class_bars_figure
from thingstuff.report.figures.confusion import confusion_figure
from thingstuff.report.figures.draw_all import draw_all
from thingstuff.report.figures.latency import latency_figure
from thingstuff.report.figures.precision_recall import precision_recall_figure
from thingstuff.report.figures.reliability import Reliability, reliability_figure, score_reliability
from thingstuff.report.figures.size_bars import size_bars_figure
from thingstuff.report.figures.style import save_figure
from thingstuff.report.figures.training_curves import TrainingRun, training_figure

__all__ = [
    "Reliability",
    "TrainingRun",
    "class_bars_figure",
    "confusion_figure",
    "draw_all",
    "latency_figure",
    "precision_recall_figure",
    "reliability_figure",
    "save_figure",
    "score_reliability",
    "size_bars_figure",
    "training_figure",
]
