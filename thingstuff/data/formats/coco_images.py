"""Where the images of a COCO file are, when nobody says it: the folder near the JSON that has them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from thingstuff.data.panoptic.names import is_inside
from thingstuff.data.truth import Record

_PROBES = 5


def guess_image_root(
    json_path: Path, images: Sequence[Record], maps: Path | None = None, further: Sequence[Path] = ()
) -> Path:
    """The first folder near the JSON that has some of the images; else the first that has the right name; else its own.

    As COCO lays it out (`annotations/instances_train2017.json` and `train2017/`), as Roboflow does (beside the images),
    and with `images/` between. `maps` is a folder of label maps, whose names may be those of the images; `further`
    are folders that count only if they have some.
    """
    near = [folder for folder in dict.fromkeys(_candidates(json_path)) if folder != maps]
    names = _probes(images)
    for folder in (*near, *further):
        if any(os.path.isfile(folder / name) for name in names):  # noqa: PTH113  Path.is_file raises for long names
            return folder
    named = [folder for folder in near if folder != json_path.parent and folder.is_dir()]
    return named[0] if named else json_path.parent


def _candidates(json_path: Path) -> Iterator[Path]:
    folder = json_path.parent
    for split in _splits(json_path.stem):
        yield folder.parent / split
        yield folder / split
        yield folder.parent / "images" / split
        yield folder / "images" / split
    yield folder
    yield folder / "images"
    yield folder.parent / "images"


def _splits(stem: str) -> Iterator[str]:
    """`instances_train2017` -> `train2017`; `stuff_train_2017` -> `train_2017`, then `2017`."""
    parts = stem.split("_")
    for first in range(1, len(parts)):
        if all(parts[first:]) and ".." not in parts:
            yield "_".join(parts[first:])
    yield stem


def _probes(images: Sequence[Record]) -> list[str]:
    step = max(1, len(images) // _PROBES)
    names = [image.get("file_name") for image in images[::step]]
    return [name for name in names if isinstance(name, str) and is_inside(name)]
