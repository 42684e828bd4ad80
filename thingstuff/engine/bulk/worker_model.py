"""What a worker needs to build the model: plain text, so that no process has to unpickle Detectron2's objects."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.errors import SetupError

_VARIABLES = ("DETECTRON2_DATASETS", "FVCORE_CACHE", "THINGSTUFF_CACHE")
_GIB = 1 << 30


@dataclass(frozen=True)
class WorkerModel:
    """A config as YAML, or the path of an exported model; `folder` is where relative paths in it begin.

    `threads` is how many PyTorch and OpenCV may use; `most_gib` how large the process may be with the model in it.
    """

    config: str | None
    exported: str | None
    device: str | None
    folder: str
    variables: dict[str, str]
    threads: int
    most_gib: float | None = None

    @classmethod
    def of_config(cls, cfg: Any, threads: int, most_gib: float | None = None) -> WorkerModel:
        return cls(cfg.dump(), None, cfg.MODEL.DEVICE, str(Path.cwd()), _variables(), threads, most_gib)

    @classmethod
    def of_exported(cls, path: Path, device: str | None, threads: int, most_gib: float | None = None) -> WorkerModel:
        return cls(None, str(path.absolute()), device, str(Path.cwd()), _variables(), threads, most_gib)

    def build(self) -> Any:
        """The predictor, as the plain engine has it. A model for which there is no room is a SetupError."""
        from thingstuff.engine.out_of_memory import is_out_of_memory

        self._settle_process()
        try:
            predictor = self._exported() if self.exported is not None else self._configured()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise SetupError(f"the model does not fit the worker ({' '.join(str(error).split())[:200]})") from error
        _refuse_larger(self.most_gib)
        return predictor

    def _settle_process(self) -> None:
        import cv2
        import torch

        torch.set_num_threads(self.threads)
        cv2.setNumThreads(self.threads)
        os.environ.update(self.variables)
        if Path(self.folder).is_dir():  # another machine may have no such folder
            os.chdir(self.folder)

    def _exported(self) -> Any:
        from thingstuff.engine.exported import ExportedPredictor

        return ExportedPredictor.open(str(self.exported), device=self.device)

    def _configured(self) -> Any:
        from thingstuff.config import load_config
        from thingstuff.data.catalog import register_shapes
        from thingstuff.data.declared.declare import register_declared
        from thingstuff.engine.device import require_device
        from thingstuff.engine.tiling import build_predictor

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "config.yaml"
            file.write_text(str(self.config), encoding="utf-8")
            cfg = load_config(file)
        register_shapes()
        if cfg.DATASETS.DECLARE:
            register_declared(cfg.DATASETS.DECLARE, check=False)
        require_device(cfg.MODEL.DEVICE)
        return build_predictor(cfg)


def import_ahead() -> None:
    """What `build` imports; whatever goes wrong here goes wrong there again, where it is told."""
    with suppress(Exception):
        import thingstuff.config
        import thingstuff.engine.tiling  # noqa: F401


def _variables() -> dict[str, str]:
    return {name: os.environ[name] for name in _VARIABLES if name in os.environ}


def _refuse_larger(most_gib: float | None) -> None:
    """The process with the model in it, before the first image."""
    if most_gib is None:
        return
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    taken = pages * os.sysconf("SC_PAGE_SIZE") / _GIB
    if taken > most_gib:
        raise SetupError(
            f"the model does not fit the worker: with it the process takes {taken:.1f} GiB, and --worker-memory allows "
            f"{most_gib:g}"
        )
