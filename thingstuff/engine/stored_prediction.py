"""Between models and the store: what a run is known by, and a prediction as a stored image and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from thingstuff.engine.exported import ExportedPredictor
from thingstuff.engine.weights.cache import local_weights
from thingstuff.errors import WeightsError
from thingstuff.merge import Ledger
from thingstuff.modeling.prediction import Prediction
from thingstuff.store import PredictedImage, StoreMeta
from thingstuff.structures import Categories

_PACKAGES = ("thingstuff", "detectron2", "torch", "torchvision", "numpy", "opencv-python-headless")
_NODES_THAT_PREDICT = ("MODEL", "INPUT", "TEST", "PANOPTIC", "DATASETS")
# where the files lie and what only trains or draws; a device gives other last digits, not another prediction
_KEYS_THAT_DO_NOT = ("MODEL.WEIGHTS", "MODEL.DEVICE", "PANOPTIC.STUFF_WEIGHTS", "DATASETS.TRAIN", "TEST.PICTURES")


def store_meta(cfg: CfgNode, categories: Categories, dataset: str | None, image_root: Path) -> StoreMeta:
    """By the config's keys that a prediction depends on and by the content of the weights."""
    weights = {"MODEL.WEIGHTS": cfg.MODEL.WEIGHTS}
    if cfg.PANOPTIC.STUFF_WEIGHTS:
        weights["PANOPTIC.STUFF_WEIGHTS"] = cfg.PANOPTIC.STUFF_WEIGHTS
    return StoreMeta(_config_hash(cfg), _weights_hash(weights), categories, _versions(), dataset, str(image_root))


def exported_meta(predictor: ExportedPredictor, dataset: str | None, image_root: Path) -> StoreMeta:
    """Of an exported model: by what its file says of itself, and by the file's content."""
    card = predictor.card
    config_hash = hashlib.sha256(card.text().encode()).hexdigest()
    with predictor.path.open("rb") as file:
        weights_hash = hashlib.file_digest(file, "sha256").hexdigest()
    return StoreMeta(config_hash, weights_hash, card.categories, _versions(), dataset, str(image_root))


def to_stored(
    key: str, image_id: Any, size: tuple[int, int], found: Prediction, source: dict[str, Any] | None = None
) -> PredictedImage:
    """`source` is the fingerprint of the image's or the video's file, by which it is recognised again."""
    ledger = None if found.ledger is None else tuple(found.ledger.records())
    return PredictedImage(key, *size, image_id, found.detections, found.stuff_map, found.panoptic, ledger, source)


def from_stored(image: PredictedImage) -> Prediction:
    ledger = None if image.ledger is None else Ledger.from_records(image.ledger)
    return Prediction(image.detections, image.stuff_map, image.panoptic, ledger)


def _config_hash(cfg: CfgNode) -> str:
    kept = CfgNode({name: cfg[name].clone() for name in _NODES_THAT_PREDICT})
    for key in _KEYS_THAT_DO_NOT:
        node, name = key.split(".")
        del kept[node][name]
    return hashlib.sha256(kept.dump().encode()).hexdigest()


def _weights_hash(names: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for key, name in names.items():
        file = _weights_file(key, name)
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _weights_file(key: str, name: str) -> Path:
    if not name:
        raise WeightsError("MODEL.WEIGHTS is empty: pass the checkpoint to use, --weights output/model_final.pth")
    file = local_weights(str(name).partition("?")[0])
    if not file.is_file():
        raise WeightsError(f"no weights at {file}: check {key}")
    return file


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
