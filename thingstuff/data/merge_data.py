"""Several data sets as one: categories joined by name, new ids, and images named from the folder above them all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.category_lists import with_category_ids
from thingstuff.data.panoptic.names import is_inside
from thingstuff.data.truth import Record, SplitTruth, StuffFiles
from thingstuff.errors import DataError

_THINGS, _FIRST_STUFF, _VOID = 0, 1, 65535  # the labels of label maps whose numberings had to be made one


def merge(data: Sequence[SplitTruth], names: Sequence[str]) -> SplitTruth:
    """The images of all, in order, with the instances of all; `names` are those of the data sets, for messages.

    - Categories are joined by name. The first data set keeps its ids, the others theirs where they are free.
    - Image and annotation ids are new: 1, 2, 3 ... The ids of other records are not renewed.
    - `image_root` is the folder above all image folders, and file names are relative to it, so that two images of one
      name stay two. An image that is there twice is refused: which of its annotations hold, nobody knows but the user.
    - Instances: of all data sets or of none, since an image without them would teach that nothing is there.
    - Label maps are kept if all data sets have them; where they number classes differently, they are read as one
      numbering. Panoptic truth is dropped, to be built anew. Notes say what was dropped.
    """
    parts = [_Part(name, truth) for name, truth in zip(names, data, strict=True)]
    if not parts:
        raise DataError("expected one data set or more to merge")
    _refuse_half(parts)
    categories, category_ids = _categories(parts)
    root = Path(os.path.commonpath([part.root for part in parts]))
    images, image_ids = _images(parts, root, category_ids)
    annotations = None
    if parts[0].truth.annotations is not None:
        annotations = _annotations(parts, image_ids, category_ids)
    stuff, notes = _stuff(parts, image_ids, category_ids)
    if annotations is None and stuff is None:
        raise DataError(f"{_listed(names)}: nothing would be left but images: give data sets of the same kind of truth")
    return SplitTruth(
        " + ".join(names),
        root,
        categories,
        images,
        annotations,
        stuff,
        annotation_places=[p.truth.annotation_place(n) for p in parts for n in range(len(p.truth.annotations or ()))],
        image_places=[part.truth.image_place(n) for part in parts for n in range(len(part.truth.images))],
        notes=(*(note for part in parts for note in part.truth.notes), *notes, *_panoptic_notes(parts)),
    )


@dataclass(frozen=True)
class _Part:
    name: str
    truth: SplitTruth

    @property
    def root(self) -> Path:
        return Path(os.path.abspath(self.truth.image_root))  # noqa: PTH100  Path.absolute leaves ".." in


def _refuse_half(parts: Sequence[_Part]) -> None:
    without = [part.name for part in parts if part.truth.annotations is None]
    if 0 < len(without) < len(parts):
        others = [part.name for part in parts if part.truth.annotations is not None]
        raise DataError(
            f"{_listed(others)} hold{'s' * (len(others) == 1)} instances, and {_listed(without)} "
            f"{'does' if len(without) == 1 else 'do'} not: its images would count as empty; merge data sets of one kind"
        )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)


def _categories(parts: Sequence[_Part]) -> tuple[list[Record], list[dict[int, int]]]:
    """The joined list, and for each data set its ids -> the joined ones."""
    joined: dict[str, Record] = {}
    first_of: dict[str, str] = {}
    new_ids = []
    taken: set[int] = set()
    for part in parts:
        own_ids: dict[int, int] = {}
        for number, category in enumerate(part.truth.categories):
            own, name = _checked(category, f"{part.name}: categories[{number}]", own_ids)
            if name not in joined:
                free = own if own not in taken else max(taken) + 1
                taken.add(free)
                joined[name] = {**category, "id": free}
                first_of[name] = part.name
            else:
                joined[name] = _one(joined[name], category, f"{first_of[name]} and {part.name}: {name!r}")
            own_ids[own] = joined[name]["id"]
        if len(set(own_ids.values())) < len(own_ids):
            raise DataError(f"{part.name}: two categories have one name: mend it first (tools/dataset.py check)")
        new_ids.append(own_ids)
    return list(joined.values()), new_ids


def _checked(category: Record, place: str, known: Mapping[int, int]) -> tuple[int, str]:
    own, name = category.get("id"), category.get("name")
    if type(own) is not int or not isinstance(name, str) or not name:
        raise DataError(f"{place}: expected an integer id and a name, got {own!r:.40} and {name!r:.40}")
    if own in known:
        raise DataError(f"{place}: the id {own} is that of another category too: give each its own")
    return own, name


def _one(here: Record, there: Record, what: str) -> Record:
    """Two records of one category."""
    if bool(here.get("isthing", 1)) != bool(there.get("isthing", 1)):
        raise DataError(f"{what} is a thing in one and stuff in the other: rename one of them")
    for key in ("keypoints", "skeleton"):
        if key in here and key in there and here[key] != there[key]:
            raise DataError(f"{what} has other {key} in one than in the other: rename one of them")
    return {**there, **here}


def _images(
    parts: Sequence[_Part], root: Path, category_ids: Sequence[Mapping[Any, int]]
) -> tuple[list[Record], list[dict[Any, int]]]:
    """The image records, and for each data set its image ids -> the new ones."""
    images: list[Record] = []
    places: dict[str, str] = {}
    new_ids: list[dict[Any, int]] = []
    for part, categories in zip(parts, category_ids, strict=True):
        folder, real = part.root, part.root.resolve()
        ids: dict[Any, int] = {}
        for number, image in enumerate(part.truth.images):
            place = f"{part.name}: {part.truth.image_place(number)}"
            name = image.get("file_name")
            if not isinstance(name, str) or not is_inside(name):
                raise DataError(f"{place}: expected a file_name below the image folder, got {name!r:.80}")
            own = image.get("id")
            if not isinstance(own, int | str) or own in ids:
                problem = "another image has it too" if isinstance(own, int | str) else "expected a number or a text"
                raise DataError(f"{place}: the image id {own!r:.40}: {problem}")
            path = os.path.normpath(real / name)
            if path in places:
                raise DataError(f"{place} and {places[path]} are the same image, {path}: keep it in one of them")
            places[path] = place
            ids[own] = len(images) + 1
            file_name = (folder / os.path.normpath(name)).relative_to(root).as_posix()
            images.append({**with_category_ids(image, categories), "id": ids[own], "file_name": file_name})
        new_ids.append(ids)
    return images, new_ids


def _annotations(
    parts: Sequence[_Part], image_ids: Sequence[Mapping[Any, int]], category_ids: Sequence[Mapping[Any, int]]
) -> list[Record]:
    annotations: list[Record] = []
    for part, images, categories in zip(parts, image_ids, category_ids, strict=True):
        for number, note in enumerate(part.truth.annotations or ()):
            new = {"id": len(annotations) + 1}
            for key, known in (("image_id", images), ("category_id", categories)):
                own = note.get(key)
                if not isinstance(own, int | str) or own not in known:
                    place = f"{part.name}: {part.truth.annotation_place(number)}"
                    raise DataError(
                        f"{place}: the {key} {own!r:.40} is unknown: mend it first (tools/dataset.py check)"
                    )
                new[key] = known[own]
            annotations.append({**note, **new})
    return annotations


def _stuff(
    parts: Sequence[_Part], image_ids: Sequence[Mapping[Any, int]], category_ids: Sequence[Mapping[Any, int]]
) -> tuple[StuffFiles | None, list[str]]:
    """All label maps as one, and notes."""
    without = [part.name for part in parts if part.truth.stuff is None]
    if without:
        note = f"{_listed(without)} without label maps: those of the others are left out"
        return None, [note] if len(without) < len(parts) else []
    all_files = [
        part.truth.stuff.with_images(images).with_categories(categories)
        for part, images, categories in zip(parts, image_ids, category_ids, strict=True)
        if part.truth.stuff is not None
    ]
    if any((f.label_ids, f.void_labels) != (all_files[0].label_ids, all_files[0].void_labels) for f in all_files):
        all_files = _in_one_numbering(all_files)
    return replace(
        all_files[0],
        paths={own: path for files in all_files for own, path in files.paths.items()},
        drawn={own: draw for files in all_files for own, draw in files.drawn.items()},
    ), []


def _in_one_numbering(all_files: Sequence[StuffFiles]) -> list[StuffFiles]:
    """The same maps, drawn with 0 = things, 1 ... = the categories in the order of their ids, and a number for void."""
    meant = sorted({own for files in all_files for own in files.label_ids.values() if own is not None})
    label_of: dict[int | None, int] = {None: _THINGS} | {own: n for n, own in enumerate(meant, _FIRST_STUFF)}
    label_ids = {label: own for own, label in label_of.items()}
    found = []
    for files in all_files:
        table = {label: label_of[own] for label, own in files.label_ids.items()}
        table |= dict.fromkeys(files.void_labels, _VOID)
        drawn = {own: partial(_redrawn, files, own, table) for own in files.paths}
        found.append(StuffFiles(files.paths, label_ids, frozenset({_VOID}), drawn))
    return found


def _redrawn(files: StuffFiles, image_id: int | str, table: Mapping[int, int]) -> NDArray[np.uint16]:
    """One map in the new numbering."""
    labels = files.read(image_id)
    values, places = np.unique(labels, return_inverse=True)
    unknown = [value for value in values.tolist() if value not in table]
    if unknown:
        raise DataError(f"{files.paths[image_id]}: the label {unknown[0]} is no category's, and not void")
    return np.array([table[value] for value in values.tolist()], np.uint16)[places].reshape(labels.shape)


def _panoptic_notes(parts: Sequence[_Part]) -> list[str]:
    with_maps = [part.name for part in parts if part.truth.panoptic is not None]
    return [f"the panoptic truth of {_listed(with_maps)} is left out: build it anew"] if with_maps else []
