"""The programs that predict, each from an image's file to COCO result records, with marks between its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from detectron2.config import CfgNode

from thingstuff.benchmark.prediction.inject import Injection, inject_detectron2
from thingstuff.benchmark.prediction.stages import WHOLE, mark_around, mark_module, mark_whole
from thingstuff.benchmark.prediction.torchvision import Torchvision
from thingstuff.data.catalog import metadata_with_classes
from thingstuff.engine.mode import MODES
from thingstuff.errors import ConfigError, SetupError
from thingstuff.modeling.prediction import Prediction

STOCK, TORCHVISION, TORCHVISION_MIXED, ARTIFACT = "stock", "torchvision", "torchvision-mixed", "artifact"
SYSTEMS = (STOCK, *MODES, TORCHVISION, TORCHVISION_MIXED, ARTIFACT)
_RCNN = ("GeneralizedRCNN", "PanopticFPN")
_NO_INSTANCES = "models that find instances are measured, and this one finds none"
Records = list[dict[str, Any]]


class Program(Protocol):
    """`class_of` knows the contiguous class of a category id; `network` has the weights, or is None."""

    network: Any
    class_of: Mapping[int, int]

    def __call__(self, paths: Sequence[Path]) -> list[Records]:
        """COCO result records of each image, all of them in one call of the network."""
        ...

    def predict(self, path: Path) -> Prediction:
        """What an evaluation is given; for programs whose classes are the data set's."""
        ...


def open_program(system: str, cfg: CfgNode, injection: Injection, artifact: str | None) -> Program:
    """A system by its name in `SYSTEMS`, ready to predict with the config's weights."""
    if system == STOCK:
        return _Stock(cfg, injection)
    if system in MODES:
        return _Ours(cfg, injection, system)
    if system in (TORCHVISION, TORCHVISION_MIXED):
        return Torchvision(cfg, injection, mixed=system == TORCHVISION_MIXED)
    return _Artifact(cfg, artifact, injection)


def takes_load(cfg: CfgNode) -> bool:
    """Whether it has the heads that a `Load` is made for. The networks of others are one stage and find their own."""
    heads = cfg.MODEL.ROI_HEADS.NAME
    return cfg.MODEL.META_ARCHITECTURE in _RCNN and heads == "StandardROIHeads" and bool(cfg.MODEL.MASK_ON)


def _open_up(network: Any, cfg: CfgNode, injection: Injection) -> None:
    if takes_load(cfg):
        inject_detectron2(network, injection, _box_weights(cfg))
    else:
        mark_whole(network, injection.clock)


# ---- Detectron2 ------------------------------------------------------------------------------------------------------


class _Stock:
    """Detectron2's `DefaultPredictor`, and the encoding of its COCO evaluator."""

    def __init__(self, cfg: CfgNode, injection: Injection) -> None:
        from detectron2.engine import DefaultPredictor

        from thingstuff.engine.weights.checkpoint import Checkpointer

        bare = cfg.clone()
        bare.MODEL.WEIGHTS = ""
        self._predictor = DefaultPredictor(bare)
        self.network = self._predictor.model
        Checkpointer(self.network, whole_model=True).load(cfg.MODEL.WEIGHTS)
        self._clock = injection.clock
        self.class_of = _class_of(cfg)
        self._ids = {index: category_id for category_id, index in self.class_of.items()}
        _open_up(self.network, cfg, injection)
        if cfg.MODEL.META_ARCHITECTURE == "PanopticFPN":
            _mark_panoptic(self._clock)

    def __call__(self, paths: Sequence[Path]) -> list[Records]:
        from detectron2.data.detection_utils import read_image

        images = [read_image(str(path), "BGR") for path in paths]
        self._clock.mark("decode")
        outputs = [self._predictor(images[0])] if len(images) == 1 else self._together(images)
        self._clock.mark("paste")
        records = [self._encoded(output) for output in outputs]
        self._clock.mark("encode")
        return records

    def predict(self, path: Path) -> Prediction:
        raise ConfigError("stock is exact's equal: its accuracy is measured there")

    def _together(self, images: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        """As `DefaultPredictor` makes the input of one, which is all that it takes."""
        with torch.no_grad():
            return self.network([self._input(image) for image in images])

    def _input(self, image: np.ndarray) -> dict[str, Any]:
        ordered = image[:, :, ::-1] if self._predictor.input_format == "RGB" else image
        resized = self._predictor.aug.get_transform(ordered).apply_image(ordered)
        height, width = image.shape[:2]
        tensor = torch.as_tensor(resized.astype("float32").transpose(2, 0, 1))
        return {"image": tensor, "height": height, "width": width}

    def _encoded(self, output: Mapping[str, Any]) -> Records:
        """As `COCOEvaluator.process` and `_eval_predictions` do it."""
        from detectron2.evaluation.coco_evaluation import instances_to_coco_json

        if "instances" not in output:
            raise ConfigError(_NO_INSTANCES)
        records = instances_to_coco_json(output["instances"].to("cpu"), 0)
        for record in records:
            record["category_id"] = self._ids[record["category_id"]]
        return records


def _class_of(cfg: CfgNode) -> dict[int, int]:
    """Category ids of the test set's things -> contiguous classes."""
    metadata = metadata_with_classes(cfg.DATASETS.TEST[0])
    ids = metadata.get("thing_dataset_id_to_contiguous_id")
    return ids or {n: n for n in range(len(metadata.thing_classes))}


def _box_weights(cfg: CfgNode) -> tuple[float, ...]:
    return tuple(cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS)


def _mark_panoptic(clock: Any) -> None:
    from detectron2.modeling.meta_arch import panoptic_fpn

    mark_around(panoptic_fpn, "sem_seg_postprocess", clock, None, "stuff labels")
    mark_around(panoptic_fpn, "detector_postprocess", clock, None, "paste")
    # between pasting and merging it takes the highest scores
    mark_around(panoptic_fpn, "combine_semantic_and_instance_outputs", clock, "stuff labels", "merge")


# ---- ours ------------------------------------------------------------------------------------------------------------


class _Ours:
    """Our `Predictor` in one of its modes, and the encoding of its detections."""

    def __init__(self, cfg: CfgNode, injection: Injection, mode: str) -> None:
        from thingstuff.engine.predictor import Predictor

        ours = cfg.clone()
        ours.TEST.MODE = mode
        self._predictor = Predictor(ours)
        self._clock = injection.clock
        self.categories = self._predictor.categories
        self.class_of = _class_of(cfg)
        model = self._predictor.model
        self.network = getattr(model, "things", model)
        _open_up(self.network, cfg, injection)
        if self.network is not model:
            _mark_option(model, self._clock)
        self._end = "paste" if self.network is model else "merge"

    def __call__(self, paths: Sequence[Path]) -> list[Records]:
        from thingstuff.data.images import read_image_bgr

        if len(paths) > 1:
            found = self._together(paths)
        else:
            image = read_image_bgr(paths[0])
            self._clock.mark("decode")
            found = [self._predictor(image)]
        self._clock.mark(self._end)
        if any(one.detections is None for one in found):
            raise ConfigError(_NO_INSTANCES)
        records = [one.detections.to_coco(0) for one in found]
        self._clock.mark("encode")
        return records

    def predict(self, path: Path) -> Prediction:
        from thingstuff.data.images import read_image_bgr

        return self._predictor(read_image_bgr(path), path)

    def _together(self, paths: Sequence[Path]) -> list[Prediction]:
        """As `tools/predict.py` predicts many."""
        from thingstuff.data.images import read_image_bgr

        def read(path: Path) -> tuple[np.ndarray, Path]:
            return read_image_bgr(path), path

        return [outcome.get()[1] for outcome in self._predictor.stream(paths, read, batch=len(paths))]


def _mark_option(model: Any, clock: Any) -> None:
    """The stuff and the merge of a `ThingsAndStuff`."""
    from thingstuff.modeling import postprocess

    if isinstance(model.stuff, torch.nn.Module):
        mark_module(model.stuff, clock, after="stuff labels")
    else:
        model.stuff = _MarkedStuff(model.stuff, clock)
    mark_around(postprocess, "merge", clock, "paste", "merge")


@dataclass(frozen=True)
class _MarkedStuff:
    stuff: Any
    clock: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        answer = self.stuff(*args, **kwargs)
        self.clock.mark("stuff labels")
        return answer


# ---- artifacts -------------------------------------------------------------------------------------------------------


class _Artifact:
    """An exported model. It is closed: nothing is injected into it, and the network is one stage."""

    network = None

    def __init__(self, cfg: CfgNode, file: str | None, injection: Injection) -> None:
        if file is None:
            raise ConfigError("the system artifact needs a file: give --artifact FILE")
        try:
            from thingstuff.engine.exported import ExportedPredictor
        except ModuleNotFoundError as error:
            raise SetupError(f"exported models cannot be opened here: {error.name} is not installed") from error
        if not Path(file).exists():
            raise ConfigError(f"--artifact: there is no file {file}")
        self._predictor = ExportedPredictor.open(file)
        self.categories = self._predictor.categories
        self.class_of = _class_of(cfg)
        self._clock = injection.clock

    def __call__(self, paths: Sequence[Path]) -> list[Records]:
        from thingstuff.data.images import read_image_bgr

        images = [read_image_bgr(path) for path in paths]
        self._clock.mark("decode")
        found = [self._predictor(image) for image in images]
        self._clock.mark(WHOLE)
        records = [one.detections.to_coco(0) for one in found]
        self._clock.mark("encode")
        return records

    def predict(self, path: Path) -> Prediction:
        from thingstuff.data.images import read_image_bgr

        return self._predictor(read_image_bgr(path))
