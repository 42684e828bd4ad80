"""`thingstuff COMMAND ...`: every script of tools/ as a subcommand, so that an installed wheel has them all."""

from __future__ import annotations

import importlib
import sys

from thingstuff import __version__

COMMANDS = {
    "train_net": "train a model from a config, or evaluate one",
    "predict": "predict images, videos or a data set: pictures, counts, cut-outs, exports",
    "export": "export a model to ONNX or torch.export, and check that it predicts the same",
    "evaluate": "score stored predictions: box and mask AP, mean IoU, panoptic quality",
    "compare": "what going panoptic costs and gives: one store or several, as tables and a page",
    "tune_merge": "find better thresholds of the merge on stored predictions",
    "store": "import results of other programs, merge stored things and stuff, export for others",
    "figures": "draw figures of results and trainings, from their files",
    "demo": "train and evaluate on the embedded data set: the tour of the toolkit",
    "dataset": "check, convert, split, merge, count and look at data sets",
    "benchmark": "measure speed against the reference programs",
    "zoo": "list, build and try the configs of Detectron2's model zoo",
    "verify_resume": "prove that a killed training goes on exactly where it was",
    "doctor": "check the installation and say what mends it",
    "install_detectron2": "install a Detectron2 that works on today's PyTorch",
}


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"thingstuff {__version__}")
        return 0
    name = arguments[0].replace("-", "_")
    if name not in COMMANDS:
        print(f"thingstuff: error: no command {arguments[0]}: choose {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return importlib.import_module(f"thingstuff.cli.{name}").main(arguments[1:])


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: thingstuff COMMAND [--help] ...", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
