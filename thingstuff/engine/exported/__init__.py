"""Exported models: one file that says itself what it takes and gives, written, checked and called."""

from thingstuff.engine.exported.predictor import ExportedPredictor, is_exported

__all__ = ["ExportedPredictor", "is_exported"]
