"""Train a model from a config, or evaluate one: Detectron2's flags, its configs and ours.

Examples:
  train_net.py --config-file configs/shapes/mask_rcnn.yaml
  train_net.py --config-file model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml SOLVER.IMS_PER_BATCH 4
  train_net.py --config-file configs/coco/mask_rcnn_R_50_FPN_3x.yaml --dataset my_data.yaml
  train_net.py --config-file configs/shapes/mask_rcnn.yaml --eval-only MODEL.WEIGHTS output/model_final.pth
  torchrun --nproc-per-node 2 tools/train_net.py --config-file configs/shapes/mask_rcnn.yaml
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thingstuff.cli.common import EXIT_INTERRUPTED, EXIT_USER_ERROR, add_dataset, run_command
from thingstuff.errors import ConfigError, UserError

PICTURES = "pictures.png"


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _train_net, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train_net", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config-file", default="", metavar="FILE", help="a path, model_zoo://NAME or thingstuff://NAME")
    add_dataset(parser)
    add("--resume", action="store_true", help="go on from the last checkpoint in OUTPUT_DIR")
    add("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS and train nothing")
    add("--num-gpus", type=int, default=1, metavar="N", help="GPUs on this machine (default 1; without one, the CPU)")
    add("--num-machines", type=int, default=1, metavar="N", help="machines that train together (default 1)")
    add("--machine-rank", type=int, default=0, metavar="N", help="the number of this machine, from 0")
    add(
        "--dist-url", default=_dist_url(), metavar="URL", help="where the processes meet (default: a port of this user)"
    )
    add("--seeds", type=_seeds, metavar="0,1,2", help="repeat with each seed, then show the mean and the spread")
    add("--allow-python-config", action="store_true", help="accept a Python (Lazy) config, which runs its code")
    add("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="config options over the file's, at the end")
    return parser


def _dist_url() -> str:
    """One port for each user, as in Detectron2, so that a left-over process is noticed by its occupied port."""
    user = os.getuid() if hasattr(os, "getuid") else 1
    return f"tcp://127.0.0.1:{2**15 + 2**14 + hash(user) % 2**14}"


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers such as 0,1,2, got {text}") from None
    if len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise argparse.ArgumentTypeError(f"expected distinct numbers from 0 on, got {text}")
    return seeds


def _train_net(args: argparse.Namespace) -> int:
    if args.config_file.endswith(".py"):
        return _train_python_config(args)
    cfg = _ready_config(args.config_file, args.opts, args.num_gpus, args.num_machines, args.dataset)
    args.eval_only = args.eval_only or _has_nothing_to_train(cfg)
    if args.seeds:
        _refuse_odd_repeats(args, cfg)
    with _torchrun(args, cfg) as is_main:
        if args.seeds:
            return _repeat(args, cfg)
        code = _launch(args, cfg)
        return code or (_show(cfg.OUTPUT_DIR, args.eval_only) if is_main else 0)


@contextmanager
def _torchrun(args: argparse.Namespace, cfg: Any) -> Iterator[bool]:
    """Among torchrun's processes, if it started this one; whether this is the main one."""
    from thingstuff.engine.launching import Torchrun

    group = Torchrun.detect()
    if group is None:
        yield True
        return
    if args.num_gpus * args.num_machines > 1:
        raise ConfigError("torchrun starts the processes already: leave --num-gpus and --num-machines out")
    if args.seeds:
        raise ConfigError("--seeds repeats a training in one process after the other: run it without torchrun")
    args.resume = group.join(cfg.MODEL.DEVICE) or args.resume
    try:
        yield group.rank == 0
    finally:
        group.leave()


def run_config(config_file: str, overrides: list[str]) -> None:
    """What `train_net --config-file FILE KEY VALUE ...` does, for commands that train on their way."""
    cfg = _ready_config(config_file, overrides, gpus=1, machines=1)
    eval_only = _has_nothing_to_train(cfg)
    _job(cfg, resume=False, eval_only=eval_only, overrides=overrides[::2])
    _show(cfg.OUTPUT_DIR, eval_only=eval_only)


def _has_nothing_to_train(cfg: Any) -> bool:
    """A recipe that merges trained models says SOLVER.MAX_ITER 0; running it evaluates."""
    return cfg.SOLVER.MAX_ITER == 0


def _ready_config(
    config_file: str, overrides: list[str], gpus: int, machines: int, datasets: Sequence[str] = ()
) -> Any:
    from thingstuff.config import load_config
    from thingstuff.console import remember, start_console
    from thingstuff.engine.device import settle_device

    start_console()
    remember()
    cfg = load_config(config_file or None, overrides)
    if datasets or cfg.DATASETS.DECLARE:
        from thingstuff.data.declared.declare import declare

        declare(cfg, datasets, overrides)
    settle_device(cfg, gpus, machines)
    return cfg


def _launch(args: argparse.Namespace, cfg: Any) -> int:
    """Run the job in this process, or in one a GPU; the code of a spawned one that has told why it ended."""
    from detectron2.engine import launch
    from torch.multiprocessing import ProcessExitedException

    if args.num_gpus * args.num_machines <= 1:
        _job(cfg, args.resume, args.eval_only, args.opts[::2])
        return 0
    try:
        machines = (args.num_machines, args.machine_rank, args.dist_url)
        launch(_spawned_job, args.num_gpus, *machines, args=(cfg, args.resume, args.eval_only, args.opts[::2]))
    except ProcessExitedException as error:
        if error.exit_code not in (EXIT_USER_ERROR, EXIT_INTERRUPTED):
            raise
        return error.exit_code
    return 0


def _job(cfg: Any, resume: bool, eval_only: bool, overrides: Sequence[str]) -> None:
    from detectron2.utils import comm

    from thingstuff.engine.run import evaluate_only, results_path, train
    from thingstuff.report.pictures import write_pictures

    model = evaluate_only(cfg, resume) if eval_only else train(cfg, resume, overrides)
    if comm.is_main_process():
        write_pictures(
            cfg, getattr(model, "module", model), results_path(cfg.OUTPUT_DIR, eval_only).with_name(PICTURES)
        )


def _spawned_job(cfg: Any, resume: bool, eval_only: bool, overrides: Sequence[str]) -> None:
    try:
        _job(cfg, resume, eval_only, overrides)
    except UserError as error:
        print(f"train_net: error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except KeyboardInterrupt:  # which the process that started this one tells
        sys.exit(EXIT_INTERRUPTED)


def _show(output_dir: str, eval_only: bool) -> int:
    """The table of the run that has just ended, and where its files are."""
    from thingstuff.engine.run import results_path
    from thingstuff.report.results_table import results_table

    path = results_path(output_dir, eval_only)
    summary = json.loads(path.read_text())
    for name, results in summary["results"].items():
        print(f"\n{name}\n{results_table(results)}")
    print()
    for title, file in _written(path.parent, Path(summary["weights"]), eval_only):
        if file.exists():
            print(f"{title:10} {file}")
    return 0


def _written(folder: Path, weights: Path, eval_only: bool) -> list[tuple[str, Path]]:
    files = [("results", folder / "results.json"), ("pictures", folder / PICTURES)]
    return files if eval_only else [("weights", weights), *files, ("metrics", folder / "metrics.json")]


# ---- repeats -----------------------------------------------------------------------------------------------------


def _refuse_odd_repeats(args: argparse.Namespace, cfg: Any) -> None:
    if args.eval_only:
        raise ConfigError("--seeds repeats a training, and --eval-only or SOLVER.MAX_ITER 0 trains nothing: drop one")
    if not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST is empty: there is nothing to compare the seeds by")


def _repeat(args: argparse.Namespace, cfg: Any) -> int:
    """The same job once a seed, each in a folder of its own, then mean and spread over the seeds."""
    from thingstuff.engine.run import results_path
    from thingstuff.report.repeats import repeats_table, write_repeats

    runs = {}
    for seed in args.seeds:
        one = cfg.clone()
        one.SEED, one.OUTPUT_DIR = seed, str(Path(cfg.OUTPUT_DIR) / f"seed_{seed}")
        code = _launch(args, one)
        if code:
            return code
        runs[seed] = json.loads(results_path(one.OUTPUT_DIR, args.eval_only).read_text())["results"]
    path = write_repeats(Path(cfg.OUTPUT_DIR), runs)
    print(f"\n{repeats_table(runs)}\n\nrepeats    {path}")
    return 0


# ---- Python configs ----------------------------------------------------------------------------------------------


def _train_python_config(args: argparse.Namespace) -> int:
    if not args.allow_python_config:
        raise ConfigError(
            f"{args.config_file} is a Python config and runs its code: trust it with --allow-python-config"
        )
    if args.seeds:
        raise ConfigError("--seeds needs a YAML config: a Python config sets its seed itself")
    from thingstuff.engine.device import require_gpus
    from thingstuff.engine.launching import Torchrun
    from thingstuff.engine.lazy_run import load_python_config

    if Torchrun.detect() is not None:
        raise ConfigError("a Python config is started by --num-gpus: leave torchrun out")

    require_gpus(args.num_gpus, args.num_machines)
    cfg = load_python_config(args.config_file, args.opts)
    _lazy_launch(args)
    return _show(cfg.train.output_dir, args.eval_only)


def _lazy_launch(args: argparse.Namespace) -> None:
    from detectron2.engine import launch

    job = (args.config_file, args.opts, args.resume, args.eval_only)
    launch(_lazy_job, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, args=job)


def _lazy_job(config_file: str, overrides: list[str], resume: bool, eval_only: bool) -> None:
    """Every process loads the config itself: what it defines cannot be sent from one to another."""
    from thingstuff.engine.lazy_run import load_python_config, run_lazy

    run_lazy(load_python_config(config_file, overrides), resume, eval_only)


if __name__ == "__main__":
    sys.exit(main())
