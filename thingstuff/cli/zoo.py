"""List the configs of Detectron2's model zoo, build their models, or run a training step and a prediction of them."""

from __future__ import annotations

import argparse
import difflib
import gc
import sys
from collections.abc import Callable, Sequence

from thingstuff.cli.common import run_command
from thingstuff.errors import ConfigError

EXIT_SOME_FAIL = 1


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _zoo, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zoo", description=__doc__)
    job = parser.add_mutually_exclusive_group()
    job.add_argument("--build", action="store_true", help="build the model of every config (no weights are made)")
    job.add_argument(
        "--run",
        nargs="+",
        metavar="KIND|NAME",
        help="a training step and a prediction, with random weights on a small image, of these configs "
        "or of all of a kind: instance, keypoint, panoptic, semantic, detection, proposal, base",
    )
    parser.add_argument("--device", default="cpu", help="where --run computes (default: cpu)")
    return parser


def _zoo(args: argparse.Namespace) -> int:
    from thingstuff.config.zoo import zoo_kinds

    kinds = zoo_kinds()
    if args.build:
        return _try_all(list(kinds), _build, "build")
    if args.run:
        from thingstuff.engine.device import require_device

        require_device(args.device)
        return _try_all(choose(args.run, kinds), lambda name: _run(name, args.device), "run")
    for name, kind in kinds.items():
        print(f"{kind:10} {name}")
    return 0


def choose(wanted: Sequence[str], kinds: dict[str, str]) -> list[str]:
    """Names of the configs that `wanted` means, each a kind or a name with or without ".yaml", in the zoo's order."""
    chosen = set()
    for text in wanted:
        found = [name for name, kind in kinds.items() if text in (kind, name, name.removesuffix(".yaml"))]
        if not found:
            close = difflib.get_close_matches(text, [*set(kinds.values()), *kinds], n=1)
            hint = f"did you mean {close[0]}?" if close else "call it without arguments for the list"
            raise ConfigError(f"the model zoo has no kind and no config {text}: {hint}")
        chosen.update(found)
    return [name for name in kinds if name in chosen]


def _try_all(names: Sequence[str], attempt: Callable[[str], str], verb: str) -> int:
    good = sum(_try_one(name, attempt) for name in names)
    print(f"{good} of {len(names)} configs {verb}")
    return 0 if good == len(names) else EXIT_SOME_FAIL


def _try_one(name: str, attempt: Callable[[str], str]) -> bool:
    try:
        print(f"ok      {name}  {attempt(name)}", flush=True)
    except Exception as error:  # noqa: BLE001  whatever a model raises is what this command is asked to report
        print(f"FAILED  {name}  {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
        return False
    finally:
        gc.collect()  # a model's modules refer to each other: without this, memory holds several of them
    return True


def _build(name: str) -> str:
    from thingstuff.config.zoo import build_config
    from thingstuff.modeling.zoo_check import build_without_weights

    model = build_without_weights(build_config(name))
    return f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M weights"


def _run(name: str, device: str) -> str:
    from thingstuff.config.zoo import build_config
    from thingstuff.modeling.zoo_check import run_small

    run = run_small(build_config(name), device)
    return f"{run.seconds:.1f} s, loss {sum(run.losses.values()):.3g}, {len(run.losses)} losses"


if __name__ == "__main__":
    sys.exit(main())
