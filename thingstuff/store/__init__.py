"""Predictions on disk: appended while a model runs, continued after a stop, read back, exported; no torch needed."""

from thingstuff.store.image import PredictedImage
from thingstuff.store.meta import StoreMeta
from thingstuff.store.reader import Store
from thingstuff.store.writer import StoreWriter

__all__ = ["PredictedImage", "Store", "StoreMeta", "StoreWriter"]
