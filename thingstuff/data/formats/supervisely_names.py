"""Which files of a project of Supervisely are labels, and what the images are called that they are of."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.image_files import IMAGE_SUFFIXES, ImageFiles, files_below, folders_below
from thingstuff.data.formats.instance_records import shown
from thingstuff.errors import DataError

LABELS, IMAGES, NESTED = "ann", "img", "datasets"  # folders of a data set; the last holds further data sets
_MOST_FOLDERS = 200  # that a first look opens


@dataclass(frozen=True)
class Named:
    """Label files with the names of their images; those are relative to `root`."""

    root: Path
    pairs: list[tuple[str, str]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Label:
    """A label file; `dataset` is the path of its data set, "" where that is the folder itself."""

    name: str
    dataset: str
    image: str

    @classmethod
    def of(cls, name: str) -> _Label | None:
        """None for other files. The last folder called `ann` is that of the labels."""
        parts = PurePosixPath(name).parts
        places = [n for n, part in enumerate(parts[:-1]) if part == LABELS]
        if not places:
            return None
        image = "/".join(parts[places[-1] + 1 :])[: -len(".json")]
        return cls(name, "/".join(parts[: places[-1]]), image)


def has_labels(folder: Path) -> bool:
    """Whether a folder `ann` is in one of the first folders."""
    pending, opened = [folder], 0
    while pending and opened < _MOST_FOLDERS:
        place, opened = pending.pop(0), opened + 1
        inner = folders_below(place)
        if LABELS in inner:
            return True
        pending += [place / name for name in inner if name != IMAGES]
    return False


def labels_in(folder: Path, faults: Faults) -> list[str]:
    """Paths of the label files relative to the folder of a project or of a data set."""
    names = [name for name in files_below(folder, [".json"]) if _Label.of(name)]
    if not names:
        raise DataError(f"{folder}: expected a project of Supervisely, with label files in folders called {LABELS}")
    return [name for name in names if _is_text(name, faults)]


def named_images(folder: Path, names: Sequence[str], images: Path | None, faults: Faults) -> Named:
    """Images are where Supervisely puts them, or below `images`, there with the folders of their data sets or without.

    Where some of the images are there, the labels of others are faults; where none is, all labels are kept.
    """
    labels = [label for label in map(_Label.of, names) if label]
    datasets = {label.dataset for label in labels}
    root = images or (folder / datasets.pop() / IMAGES if len(datasets) == 1 else folder)
    files = ImageFiles.below(root) if os.path.isdir(root) else ImageFiles(root, [])  # noqa: PTH112  no error for long names
    wanted = _candidates(labels, is_own=images is None and root == folder, is_given=images is not None)
    pairs, missing = [], []
    for label, candidates in zip(labels, wanted, strict=True):
        with faults.skipping("labels that several images fit"):
            found = next((name for each in candidates if (name := files.called(each))), None)
            pairs.append((label.name, found or _expected(candidates[0], files)))
            missing += [] if found else [len(pairs) - 1]
    if 0 < len(missing) < len(pairs):
        for place in missing:
            faults.add("labels without an image", f"{pairs[place][0]}, of {root / pairs[place][1]}")
        pairs = [pair for place, pair in enumerate(pairs) if place not in set(missing)]
    return Named(root, pairs, _notes(files, {name for _, name in pairs}, root, is_project=root == folder))


def _candidates(labels: Sequence[_Label], *, is_own: bool, is_given: bool) -> list[list[str]]:
    """What the image of each label may be called, the most likely first."""
    if is_own:
        return [[f"{label.dataset}/{IMAGES}/{label.image}"] for label in labels]
    uses = Counter(label.image for label in labels)
    is_one = len({label.dataset for label in labels}) == 1
    found = []
    for label in labels:
        alone = [label.image] if uses[label.image] == 1 else []
        plain = "/".join(part for part in label.dataset.split("/") if part and part != NESTED)
        within = [f"{folder}/{label.image}" for folder in (plain, f"{label.dataset}/{IMAGES}".lstrip("/")) if folder]
        found.append([*alone, *within] if is_one or not is_given else [*within, *alone])
    return found


def _expected(name: str, files: ImageFiles) -> str:
    """The first projects left the image's suffix out of the label's name."""
    return name if name.lower().endswith(IMAGE_SUFFIXES) else f"{name}{files.usual_ending}"


def _notes(files: ImageFiles, used: set[str], root: Path, *, is_project: bool) -> tuple[str, ...]:
    """A project also holds pictures that were drawn of it."""
    own = [name for name in files.names if not is_project or IMAGES in PurePosixPath(name).parts[:-1]]
    unused = sum(name not in used for name in own)
    return (f"left out: {unused} of the images in {root}, which have no labels",) if unused else ()


def _is_text(name: str, faults: Faults) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        faults.add("labels whose names are not UTF-8", shown(name))
        return False
    return True
