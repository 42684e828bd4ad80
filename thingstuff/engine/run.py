"""A training or an evaluation from config to files: everything is checked first, then the output folder is touched."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng

from thingstuff.config import import_modules
from thingstuff.console import start_console
from thingstuff.data.catalog import require_datasets
from thingstuff.data.declared.declare import is_declared, register_declared
from thingstuff.data.declared.quick_check import check_registered
from thingstuff.data.records import Records, training_records
from thingstuff.engine.evaluate import evaluate, with_augmented
from thingstuff.engine.folders import make_writable, set_aside
from thingstuff.engine.panoptic import PanopticOption
from thingstuff.engine.run_log import forget_from, start_log
from thingstuff.engine.training.for_data import settle_for_data
from thingstuff.engine.training.recipe import check_recipe, finetune_defaults, settle_recipe
from thingstuff.engine.training.same_recipe import refuse_other_recipe, settled_before
from thingstuff.engine.training.trainer import Trainer
from thingstuff.engine.training.watching import check_watching
from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.engine.weights.kept import remove_unfinished
from thingstuff.engine.weights.write import write_safetensors
from thingstuff.errors import ConfigError
from thingstuff.files import whole_file, write_json
from thingstuff.modeling.augmented import augmented

RESULTS_FILE = "results.json"
WEIGHTS_FILE = "model_final.pth"
_NO_TRAINING = {"train_seconds": None, "iterations": None}
_RUN_FILES = ("metrics.json", RESULTS_FILE, WEIGHTS_FILE, "last_checkpoint")

logger = logging.getLogger(__name__)


def train(
    cfg: CfgNode, resume: bool = False, overrides: Collection[str] = (), trainer_class: type[Trainer] = Trainer
) -> torch.nn.Module:
    """Train, evaluate, and write `model_final.pth`, `results.json`, `metrics.json` and logs; the trained model.

    `overrides` are the keys that a user gave beside the config: what data and devices suggest does not replace them.
    """
    _begin(cfg)
    names = [*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST]
    require_datasets(names)
    if cfg.DATASETS.CHECK and comm.is_main_process():
        check_registered([name for name in names if not is_declared(name)])
    _require_training(cfg)
    both = set(cfg.DATASETS.TRAIN) & set(cfg.DATASETS.TEST)
    if both:
        logger.warning("%s is trained and tested on: AP will say how well it is remembered", ", ".join(sorted(both)))
    _seed(cfg)
    records = training_records(cfg)
    if resume:
        settled_before(cfg, Path(cfg.OUTPUT_DIR))
    with _registered_names():
        lines = _settle(cfg, records, overrides)
        lines += refuse_other_recipe(cfg, Path(cfg.OUTPUT_DIR)) if resume else []
        trainer = trainer_class(cfg, records)
    augmented(cfg, trainer.checkpointer.model)  # refuses what it could not augment after the training
    trainer.resume_or_load(resume=resume)
    open_output(Path(cfg.OUTPUT_DIR), keep=resume)
    _write_config(cfg)
    if resume and comm.is_main_process():
        forget_from(Path(cfg.OUTPUT_DIR) / "metrics.json", trainer.start_iter)
    if resume and not trainer.start_iter:
        lines.append(f"there is no checkpoint in {cfg.OUTPUT_DIR} to go on from: beginning anew")
    for line in (*lines, _what_is_trained(cfg, trainer)):
        logger.info("%s", line)
    start = time.perf_counter()
    results = trainer.train()
    seconds = time.perf_counter() - start - trainer.evaluation_seconds
    weights = Path(cfg.OUTPUT_DIR) / WEIGHTS_FILE
    model = trainer.finished_model()
    results = with_augmented(cfg, model, trainer.panoptic, results)
    if cfg.SOLVER.SAFETENSORS and comm.is_main_process():
        write_safetensors(weights.with_suffix(".safetensors"), model.state_dict())
    if trainer.skipped:
        logger.warning("%d of these steps were skipped: their losses were no numbers", trainer.skipped)
    took = {"train_seconds": seconds, "iterations": trainer.max_iter, "skipped_steps": trainer.skipped}
    _write_results(cfg, results_path(cfg.OUTPUT_DIR, False), results, str(weights), took)
    return model


def _settle(cfg: CfgNode, records: Records, overrides: Collection[str]) -> list[str]:
    """What the recipe leaves to the data and the devices, in place; a line for each."""
    processes = comm.get_world_size()
    lines = finetune_defaults(cfg, len(records), overrides, processes)
    lines += settle_recipe(cfg, len(records), overrides)
    check_recipe(cfg, processes)
    check_watching(cfg)
    return [*lines, *settle_for_data(cfg, records)]


def evaluate_only(cfg: CfgNode, resume: bool = False) -> torch.nn.Module:
    """Evaluate `MODEL.WEIGHTS` (with `resume`, the last checkpoint of `OUTPUT_DIR`) and write `inference/results.json`.

    The `results.json` of the training that may lie in the same folder stays.
    """
    _begin(cfg)
    require_datasets(cfg.DATASETS.TEST)
    if not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST is empty: there is nothing to evaluate on")
    with _registered_names():
        model = build_model(cfg)
    augmented(cfg, model)  # refuses what it cannot augment before anything is computed
    option = PanopticOption.from_config(cfg)
    checkpointer = Checkpointer(model, cfg.OUTPUT_DIR, whole_model=True)
    checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=resume)
    open_output(Path(cfg.OUTPUT_DIR), keep=True)
    results = with_augmented(cfg, model, option, evaluate(cfg, model, option))
    _write_results(cfg, results_path(cfg.OUTPUT_DIR, True), results, cfg.MODEL.WEIGHTS)
    return model


def _begin(cfg: CfgNode) -> None:
    """What a process needs first, be it the user's own or one that was started for a GPU."""
    start_console()
    import_modules(cfg.IMPORTS, cfg.PROJECT)
    register_declared(cfg.DATASETS.DECLARE, check=cfg.DATASETS.CHECK)


def _require_training(cfg: CfgNode) -> None:
    if not cfg.DATASETS.TRAIN:
        raise ConfigError("DATASETS.TRAIN is empty: there is nothing to train on (is --config-file given?)")
    if cfg.SOLVER.MAX_ITER < 1:
        raise ConfigError(f"SOLVER.MAX_ITER is {cfg.SOLVER.MAX_ITER}, expected 1 or more")


@contextmanager
def _registered_names() -> Iterator[None]:
    """A name in the config that nobody registered is a mistake in the config."""
    try:
        yield
    except KeyError as error:
        if "registry" not in str(error):
            raise
        hint = "check its spelling, or name its module in IMPORTS"
        raise ConfigError(f"{str(error.args[0]).rstrip('!')}: {hint}") from error


def _seed(cfg: CfgNode) -> None:
    """As Detectron2 does: a seed below 0 means a new one every time; every process has its own."""
    seed_all_rng(None if cfg.SEED < 0 else cfg.SEED + comm.get_rank())
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK and not cfg.SOLVER.DETERMINISTIC
    if cfg.SOLVER.DETERMINISTIC:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may add in any order
        torch.use_deterministic_algorithms(True, warn_only=True)


def _what_is_trained(cfg: CfgNode, trainer: Trainer) -> str:
    parameters = sum(p.numel() for p in trainer.model.parameters()) / 1e6
    sets = ", ".join(cfg.DATASETS.TRAIN)
    steps = (
        f"steps {trainer.start_iter + 1} to {trainer.max_iter}" if trainer.start_iter else f"{trainer.max_iter} steps"
    )
    if trainer.start_iter >= trainer.max_iter:
        return f"all {trainer.max_iter} steps of the training in {cfg.OUTPUT_DIR} are done"
    return (
        f"training {cfg.MODEL.META_ARCHITECTURE} ({parameters:.1f} million parameters) on {sets}: "
        f"{steps} of {cfg.SOLVER.IMS_PER_BATCH} images, on {cfg.MODEL.DEVICE}"
    )


# ---- the output folder -------------------------------------------------------------------------------------------


def open_output(folder: Path, keep: bool) -> None:
    """Make the folder, move an earlier run out of the way unless `keep`, and begin the log."""
    if comm.is_main_process():
        make_writable(folder, "OUTPUT_DIR")
        remove_unfinished(folder)
        if not keep:
            _set_earlier_run_aside(folder)
    comm.synchronize()
    start_log(folder)
    logging.getLogger("detectron2").info("Environment info:\n%s", collect_env_info())


def _write_config(cfg: CfgNode) -> None:
    if comm.is_main_process():
        with whole_file(Path(cfg.OUTPUT_DIR) / "config.yaml") as file:
            file.write(cfg.dump().encode())


def _set_earlier_run_aside(folder: Path) -> None:
    """A new run replaces none."""
    if not any((folder / name).exists() for name in _RUN_FILES):
        return
    aside = set_aside(folder)
    folder.mkdir()
    logger.info("the run that lay in %s is now in %s", folder, aside)


def results_path(output_dir: str | Path, eval_only: bool) -> Path:
    """Where a training, or an evaluation alone, writes its results."""
    return Path(output_dir) / ("inference" if eval_only else "") / RESULTS_FILE


def _write_results(
    cfg: CfgNode, path: Path, results: dict[str, Any], weights: str, training: Mapping[str, Any] = _NO_TRAINING
) -> None:
    if comm.is_main_process():
        summary = {"results": results, "weights": weights, **training, "seed": cfg.SEED, "device": cfg.MODEL.DEVICE}
        write_json(path, summary)
