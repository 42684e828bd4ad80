"""Evaluate a model on the test sets of its config: which metrics a data set gets, and the loop with its progress."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetMapper, MetadataCatalog, build_detection_test_loader
from detectron2.evaluation import COCOEvaluator, DatasetEvaluators, inference_on_dataset
from torch import nn

from thingstuff.data.naming_mapper import NamingMapper
from thingstuff.engine.evaluators import CocoEvaluator, SemanticEvaluator
from thingstuff.engine.lvis_evaluator import LvisEvaluator
from thingstuff.engine.mode import Mode
from thingstuff.engine.panoptic import PanopticOption
from thingstuff.engine.panoptic_evaluator import PanopticEvaluator
from thingstuff.errors import SetupError
from thingstuff.modeling.augmented import augmented
from thingstuff.progress import Progress

Results = dict[str, dict[str, float]]


def evaluate(cfg: CfgNode, model: nn.Module, option: PanopticOption | None) -> dict[str, Results]:
    """Data set name -> task ("bbox", "segm", "keypoints", "sem_seg", "panoptic_seg") -> metric -> percent.

    `option` adds stuff to an instance model. `TEST.MODE` says how the model computes; it is left as it is. On other
    processes than the main one the inner dictionaries are empty.
    """
    return _evaluate(cfg, _prepared(cfg, model), option, "inference")


def with_augmented(
    cfg: CfgNode, model: nn.Module, option: PanopticOption | None, plain: dict[str, Results]
) -> dict[str, Results]:
    """The results of `evaluate`, and beside them those with the test-time augmentation of TEST.AUG, if that is on.

    They stand under "bbox_TTA" and so on, as in Detectron2's `train_net.py`, which does the same at the end.
    """
    if not cfg.TEST.AUG.ENABLED:
        return plain
    found = _evaluate(cfg, augmented(cfg, _prepared(cfg, getattr(model, "module", model))), option, "inference_TTA")
    more = {name: {f"{task}_TTA": each for task, each in results.items()} for name, results in found.items()}
    return {name: {**results, **more[name]} for name, results in plain.items()}


def _prepared(cfg: CfgNode, model: nn.Module) -> nn.Module:
    mode = Mode.from_config(cfg)
    return model if mode.dtype is None else mode.prepared_copy(getattr(model, "module", model))


def _evaluate(cfg: CfgNode, model: nn.Module, option: PanopticOption | None, folder: str) -> dict[str, Results]:
    if option is not None:
        model = option.wrap(getattr(model, "module", model))
    return {name: _evaluate_dataset(cfg, model, option, name, folder) for name in cfg.DATASETS.TEST}


def _evaluate_dataset(cfg: CfgNode, model: nn.Module, option: PanopticOption | None, name: str, folder: str) -> Results:
    mapper = (None if option is None else option.test_mapper(cfg)) or DatasetMapper(cfg, is_train=False)
    loader = build_detection_test_loader(cfg, name, mapper=NamingMapper(mapper))
    watched = _WithProgress(loader, f"evaluating on {name}")
    return inference_on_dataset(model, watched, build_evaluator(cfg, name, folder)) or {}


class _WithProgress:
    """A data loader that reports how far it has been read."""

    def __init__(self, loader: Any, title: str) -> None:
        self._loader = loader
        self._title = title

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        with Progress(len(self._loader), self._title) as progress:
            for batch in self._loader:
                yield batch
                progress.step()


def build_evaluator(cfg: CfgNode, name: str, folder_name: str = "inference") -> DatasetEvaluators:
    """The evaluators of a registered data set, by its `evaluator_type` or, without one, by the truth it has."""
    metadata = MetadataCatalog.get(name)
    folder = Path(cfg.OUTPUT_DIR) / folder_name
    kind = metadata.get("evaluator_type")
    if kind == "lvis":
        return DatasetEvaluators([LvisEvaluator(name, folder)])
    if kind in _FOREIGN:
        return DatasetEvaluators([_foreign(kind, name)])
    evaluators: list[Any] = []
    if kind != "sem_seg" and metadata.get("thing_classes"):
        evaluators.append(_instance_evaluator(cfg, name, folder))
    if kind != "coco" and metadata.get("stuff_classes"):
        evaluators.append(SemanticEvaluator(name))
    if metadata.get("panoptic_json"):
        evaluators.append(PanopticEvaluator(name, folder))
    if not evaluators:
        raise SetupError(f"data set {name} has neither thing_classes nor stuff_classes in its metadata: set them")
    return DatasetEvaluators(evaluators)


def _instance_evaluator(cfg: CfgNode, name: str, folder: Path) -> Any:
    if cfg.TEST.KEYPOINT_OKS_SIGMAS:  # another measure than COCO's own, which only pycocotools can be given
        folder.mkdir(parents=True, exist_ok=True)
        return COCOEvaluator(name, output_dir=str(folder), kpt_oks_sigmas=cfg.TEST.KEYPOINT_OKS_SIGMAS)
    return CocoEvaluator(name, folder)


_FOREIGN = {  # evaluator_type -> Detectron2's evaluator and the package that it needs
    "cityscapes_instance": ("CityscapesInstanceEvaluator", "cityscapesscripts"),
    "cityscapes_sem_seg": ("CityscapesSemSegEvaluator", "cityscapesscripts"),
    "pascal_voc": ("PascalVOCDetectionEvaluator", None),
}


def _foreign(kind: str, name: str) -> Any:
    import detectron2.evaluation as detectron2_evaluation

    evaluator, package = _FOREIGN[kind]
    try:
        if package:
            __import__(package)
    except ImportError as error:
        raise SetupError(f"evaluating on {name} needs {package}: pip install {package}") from error
    return getattr(detectron2_evaluation, evaluator)(name)
