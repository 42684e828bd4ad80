"""What a format of results is: how its files are recognised, and read image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thingstuff.data.formats.faults import Faults
from thingstuff.data.results.targets import Targets
from thingstuff.store import PredictedImage


@dataclass
class ResultSource:
    """Where the results lie, and how to read them. `names`: the names of their classes by number, empty if not given.

    `folder` is that of the PNGs of a panoptic JSON, None for the JSON's name without suffix. `notes` are added by
    whoever reads, for the user.
    """

    path: Path
    names: Mapping[int, str] = field(default_factory=dict)
    folder: Path | None = None
    faults: Faults = field(default_factory=Faults)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ResultFormat:
    """`name` as on the command line; `title` for `--help`.

    - `recognises(path)`: could this file or folder be of this format? It reads at most the beginning of some files.
    - `read(source, targets)`: the images of the data set in their order, those without a result with no detections.
      What is wrong in single records goes to `source.faults`, and is known at the end.
    """

    name: str
    title: str
    recognises: Callable[[Path], bool]
    read: Callable[[ResultSource, Targets], Iterator[PredictedImage]]
