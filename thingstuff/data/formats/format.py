"""What a format is: how its files are recognised, read as a `SplitTruth`, and written from one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thingstuff.data.truth import SplitTruth
from thingstuff.structures import Categories

# what a split may have, and a format may have no place for
INSTANCES, CROWDS, KEYPOINTS = "instances", "marks of crowds", "keypoints"
STUFF, PANOPTIC = "label maps of stuff", "panoptic truth"

PATH_OPTIONS = ("folder", "list", "names")  # keys whose texts are files or folders


@dataclass(frozen=True)
class Source:
    """Where the files of one split lie, and what a declaration says of them. Paths are absolute.

    `annotations` is a file or a folder, as the format has it; `images` the folder that image names are relative to,
    None for where the format itself puts them. `categories` are the declared ones, None for those of the files.
    `options` are keys that one format alone understands. `lenient`: records that cannot be read are left out and told.
    """

    annotations: Path
    images: Path | None = None
    categories: Categories | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    lenient: bool = False


@dataclass(frozen=True)
class WriteOptions:
    """`copy_images`: the images are copied (else the files name them where they are, as far as the format can).

    `tolerance_px`: how far a polygon may run beside the outline of its mask, for formats without masks.
    """

    copy_images: bool = False
    tolerance_px: float = 0.0


@dataclass(frozen=True)
class Format:
    """`name` as in declarations and on the command line; `title` for `--help`.

    - `recognises(path)`: could this file or folder be of this format? It looks at names and at the beginning of a file,
      never at a whole one, and never raises.
    - `read(source)`: DataError names file and record of what cannot be read at all, or, of a lenient source, a note
      counts it; what can be read and is wrong is left to the checks.
    - `write(truth, folder, options)`: into a new or empty folder; gives the path to hand to `read` as `annotations`.
    - `index(folder, truths)`: what the format has above its splits, written last, if the images were copied; its path.
    - `options`: the keys of `Source.options` that it understands, each with a few words.
    - `files`: the ending of its label files, for formats of many text files, which can lie in one folder by mistake.
    - `holds`: of INSTANCES, CROWDS, KEYPOINTS, STUFF and PANOPTIC what its `write` keeps, in whatever form.
    """

    name: str
    title: str
    recognises: Callable[[Path], bool]
    read: Callable[[Source], SplitTruth]
    write: Callable[[SplitTruth, Path, WriteOptions], Path] | None = None
    index: Callable[[Path, Mapping[str, SplitTruth]], Path] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    holds: frozenset[str] = frozenset()
    files: str = ""
