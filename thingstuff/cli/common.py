"""What every command shares: one line for a user's mistake, exit codes, and `--debug` for the traceback."""

from __future__ import annotations

import argparse
import atexit
import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence

from thingstuff.errors import ConfigError, UserError

FEWEST_DRAWS = 20  # of fewer, 95 % mean nothing
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
_PACKAGES = {"numpy", "cv2", "torch", "torchvision", "detectron2", "hotcoco", "pycocotools", "PIL", "yaml", "jinja2"}
_DISK_PROBLEMS = {
    errno.ENOSPC: "the disk is full: make room or choose another output folder",
    errno.EDQUOT: "the disk quota is used up: make room or choose another output folder",
    errno.EROFS: "the file system is read-only: choose another output folder",
    errno.EACCES: "permission denied: choose a folder you may write to, or mend its permissions",
    errno.EISDIR: "a folder of this name is in the way: remove it or choose another output folder",
    errno.ENOTDIR: "a file of this name is in the way: remove it or choose another output folder",
    errno.EPERM: "not permitted: choose a folder you may write to",
}


def add_draws(parser: argparse.ArgumentParser) -> None:
    """The options of commands with intervals."""
    parser.add_argument(
        "--draws", type=int, default=1000, metavar="N", help="of the images, for the intervals (default 1000)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is random (default 0)")


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """The option of commands that know data sets by name."""
    text = "a declared data set (YAML), to be known as NAME_SPLIT; again for more"
    parser.add_argument("--dataset", action="append", default=[], metavar="FILE", help=text)


def register_datasets(args: argparse.Namespace) -> None:
    if args.dataset:
        from thingstuff.console import start_console
        from thingstuff.data.declared.declare import register_declared

        start_console()
        register_declared(args.dataset)


def check_draws(args: argparse.Namespace) -> None:
    if args.draws < FEWEST_DRAWS:
        raise ConfigError(f"--draws must be {FEWEST_DRAWS} or more, got {args.draws}")
    if args.seed < 0:
        raise ConfigError(f"--seed must be 0 or more, got {args.seed}")


def run_command(
    parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], int], argv: Sequence[str] | None
) -> int:
    """Parse `argv`, run `command`, and turn what a user can mend into one line on stderr and exit code 2."""
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args(argv)
    atexit.unregister(gc.freeze)  # where commands are called one after the other
    atexit.register(gc.freeze)  # Python's last collection would take most of a second
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # its warnings would stand beside our one line
    try:
        return command(args)
    except ModuleNotFoundError as error:
        return report_missing(parser.prog, error, args.debug)
    except UserError as error:
        return _report(parser.prog, _own_words(error), args.debug)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        if error.errno not in _DISK_PROBLEMS:
            raise
        return _report(parser.prog, f"{error.filename or 'writing'}: {_DISK_PROBLEMS[error.errno]}", args.debug)


def report_missing(prog: str, error: ModuleNotFoundError, debug: bool = False) -> int:
    """The exit code for a package that every installation has, but not this Python; any other error is raised again."""
    if error.name is None or error.name.split(".")[0] not in _PACKAGES:
        raise error
    how = "run make setup, then source .venv/bin/activate"
    return _report(prog, f"{error.name} is not installed for this Python: {how}", debug)


def _own_words(error: UserError) -> str:
    """The message alone, where a loader's process has put its traceback around it."""
    return str(error).rpartition(f"{type(error).__name__}: ")[2]


def _report(prog: str, message: str, debug: bool) -> int:
    if debug:
        raise
    print(f"{prog}: error: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_USER_ERROR
