"""Data sets from one format into another: one folder for each split, and a declaration of what was written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from thingstuff.data.formats import FORMATS, WriteOptions
from thingstuff.data.formats.format import CROWDS, INSTANCES, KEYPOINTS, PANOPTIC, STUFF
from thingstuff.data.panoptic.forms import FORMS
from thingstuff.data.panoptic.split import split_panoptic_truth
from thingstuff.data.strangers import refuse_unknown_categories
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.files import whole_file, write_json


@dataclass(frozen=True)
class Converted:
    """What was written for each split, and the declaration of it all; None for what no declaration can name.

    `notes` say what the splits had and the format has no place for.
    """

    paths: Mapping[str, Path]
    declaration: Path | None = None
    notes: tuple[str, ...] = ()


def convert(
    splits: Mapping[str, SplitTruth], to: str, folder: Path, options: WriteOptions, name: str = "data"
) -> Converted:
    """Write every split below `folder`/SPLIT, and `folder`/NAME.yaml. The folder must be new or empty.

    Of panoptic truth alone, formats of instances or of label maps get those that are in it.
    """
    writable = {key: found.write for key, found in FORMATS.items() if found.write is not None}
    if to not in writable and to not in FORMS:
        raise DataError(f"no data set can be written as {to!r}: choose one of {', '.join((*writable, *FORMS))}")
    refuse_filled(folder)
    if to in FORMS:
        return Converted({split: _panoptic_form(truth, to, folder / split) for split, truth in splits.items()})
    index = FORMATS[to].index
    if index is not None:
        _refuse_other_classes(splits, to)
    paths, notes = {}, []
    for split, truth in splits.items():
        refuse_unknown_categories(truth)
        with tempfile.TemporaryDirectory() as scratch:
            parts = truth if to == "coco_panoptic" else _with_parts(truth, Path(scratch) / "stuff")
            paths[split] = writable[to](parts, folder / split, options)
        notes += _left_out(split, parts, to)
    copied = options.copy_images
    roots = {split: None if copied else truth.image_root for split, truth in splits.items()}
    declaration = write_declaration(folder / f"{name}.yaml", to, paths, roots)
    if index is not None and copied:
        paths["all splits"] = index(folder, splits)
    elif index is not None:
        notes.append(f"{to} is complete with its images: other programs need them copied (--copy-images)")
    return Converted(paths, declaration, tuple(notes))


def _refuse_other_classes(splits: Mapping[str, SplitTruth], to: str) -> None:
    """A format with one list of names for all splits."""
    names = {split: [category.get("name") for category in truth.categories] for split, truth in splits.items()}
    first = next(iter(names))
    for split, own in names.items():
        if own != names[first]:
            raise DataError(f"{to} has one list of categories, and those of {split} and {first} differ: declare them")


def _left_out(split: str, truth: SplitTruth, to: str) -> list[str]:
    """A line for people about what the split has and the format does not hold; none if it holds all."""
    lost = [what for kind, what in _contents(truth) if kind not in FORMATS[to].holds]
    return [f"{split}: {to} has no place for {', '.join(lost)}: left out"] if lost else []


def _contents(truth: SplitTruth) -> Iterator[tuple[str, str]]:
    """What a split has, and how much of it. Panoptic truth beside its parts is said by them."""
    notes = truth.annotations or []
    amounts = {
        INSTANCES: len(notes),
        CROWDS: sum(bool(note.get("iscrowd")) for note in notes),
        KEYPOINTS: sum(bool(note.get("keypoints")) for note in notes),
        STUFF: 0 if truth.stuff is None else len(truth.stuff.paths),
        PANOPTIC: len(truth.panoptic.annotations) if truth.panoptic and not (notes or truth.stuff) else 0,
    }
    for kind, amount in amounts.items():
        if amount:
            yield kind, f"{kind} ({amount})"


def refuse_filled(folder: Path) -> None:
    """What is there is never mixed with what is written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: there is something already: give a new folder")


def write_declaration(
    path: Path, format_name: str, annotations: Mapping[str, Path], images: Mapping[str, Path | None]
) -> Path:
    """A declaration of files that were just written; `images` None: where the format puts them."""
    splits = {}
    for split, file in annotations.items():
        splits[split] = {"annotations": os.path.relpath(file, path.parent)}
        root = images[split]
        if root is not None:
            splits[split]["images"] = str(root.absolute())
    content = {"name": path.stem, "format": format_name, "splits": splits}
    with whole_file(path) as target:
        target.write(yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
    return path


def _with_parts(truth: SplitTruth, scratch: Path) -> SplitTruth:
    if truth.panoptic is None or truth.annotations is not None or truth.stuff is not None:
        return truth
    return split_panoptic_truth(truth, scratch)


def _panoptic_form(truth: SplitTruth, to: str, folder: Path) -> Path:
    """Of a part of a JSON's images, that part is written first."""
    if truth.panoptic is None:
        raise DataError(f"{truth.name} has no panoptic truth, of which {to} is another form")
    if truth.panoptic.is_whole:
        return FORMS[to](truth.panoptic.json_path, truth.panoptic.folder, folder)
    with tempfile.TemporaryDirectory() as scratch:
        own = Path(scratch) / truth.panoptic.json_path.name
        content = {"images": truth.images, "annotations": truth.panoptic.annotations, "categories": truth.categories}
        write_json(own, content)
        return FORMS[to](own, truth.panoptic.folder, folder)
