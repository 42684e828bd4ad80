"""Draw figures from files: what a results.json says, and how trainings went.

Examples:
  figures.py output/scores/results.json             class bars, confusion, AP by size
  figures.py output/shapes/mask_rcnn                the losses and the learning rate of a training, and its results
  figures.py output/run_a output/run_b              several trainings over each other
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from thingstuff.cli.common import run_command
from thingstuff.errors import DataError

FORMATS = ("png", "svg")


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _figures, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="figures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("sources", type=Path, nargs="+", metavar="SOURCE", help="results.json files, and output folders of trainings")
    add("--output", type=Path, default=Path("output/figures"), metavar="DIR", help="default: output/figures")
    add("--format", nargs="+", choices=FORMATS, default=list(FORMATS), help="default: both")
    return parser


def _figures(args: argparse.Namespace) -> int:
    from thingstuff.engine.folders import make_writable
    from thingstuff.report.figures import TrainingRun, draw_all, save_figure, training_figure

    make_writable(args.output, "--output")
    suffixes = [f".{name}" for name in args.format]
    folders = [source for source in args.sources if source.is_dir()]
    results = [source for source in args.sources if not source.is_dir()]
    results += [folder / "results.json" for folder in folders if (folder / "results.json").exists()]
    trained = [folder for folder in folders if (folder / "metrics.json").exists()]
    if empty := [
        folder for folder in folders if not {folder / "metrics.json", folder / "results.json"} & set(folder.iterdir())
    ]:
        raise DataError(f"{empty[0]} has neither metrics.json nor results.json: give the OUTPUT_DIR of a training")
    written = []
    if trained:
        figure = training_figure([TrainingRun.read(folder) for folder in trained])
        written += [save_figure(figure, args.output / f"training{suffix}") for suffix in suffixes]
    for path, folder in _places(results, args.output):
        written += draw_all(path, folder, suffixes=suffixes)
    for path in written:
        print(path)
    return 0


def _places(results: list[Path], output: Path) -> list[tuple[Path, Path]]:
    """Each file's figures in a folder of its own, if there are several."""
    if len(results) < 2:
        return [(path, output) for path in results]
    return [(path, output / f"{number}_{path.resolve().parent.name}") for number, path in enumerate(results, 1)]


if __name__ == "__main__":
    sys.exit(main())
