"""A declaration -> the truth of its splits: parts laid together, pools divided, categories agreed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.data.declared.declaration import (
    KEYS,
    PART_KEYS,
    SPLIT,
    Declaration,
    Part,
    Split,
    checked_path,
    unknown_key,
)
from thingstuff.data.declared.same_categories import settle_categories
from thingstuff.data.declared.together import lay_together
from thingstuff.data.formats import PATH_OPTIONS, Format, Source, format_of
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.strangers import without_unknown_categories
from thingstuff.data.subset import subset
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError


def read_declared(declaration: Declaration) -> dict[str, SplitTruth]:
    """Split -> its truth, read whole and not checked; all splits have the same categories.

    DataError names the file of the data set that is wrong, or else the declaration.
    """
    try:
        return _read_all(declaration)
    except DataError as error:
        if str(declaration.root) in str(error) or str(declaration.path) in str(error):
            raise
        raise DataError(f"{declaration.path}: {error}") from error


def _read_all(declaration: Declaration) -> dict[str, SplitTruth]:
    if declaration.splits[0].is_of_a_pool:
        pool = _read(declaration, None)
        read = {name: subset(pool, names) for name, names in _shared_out(declaration, pool).items()}
    else:
        read = {split.name: _read(declaration, split) for split in declaration.splits}
    settled = settle_categories(read, declaration.categories)
    if not declaration.lenient:
        return settled
    return {split: without_unknown_categories(truth) for split, truth in settled.items()}


def sources(declaration: Declaration, split: Split | None) -> list[tuple[Part, Format, Source]]:
    """Where each part of a split (None: of the whole pool) is, with its format."""
    return [_source(declaration, part, split) for part in declaration.parts]


def _read(declaration: Declaration, split: Split | None) -> SplitTruth:
    parts = [(part.kind, found.read(source)) for part, found, source in sources(declaration, split)]
    for kind, truth in parts:
        _refuse_without(kind, truth)
    return lay_together([_only(kind, truth) for kind, truth in parts])


def _source(declaration: Declaration, part: Part, split: Split | None) -> tuple[Part, Format, Source]:
    paths = {} if split is None else split.paths
    annotations = _path(declaration, paths.get("annotations", part.annotations), split)
    images = paths.get("images", part.images)
    found = format_of(part.format, annotations)
    for key in part.options:
        if key not in found.options:
            known = {*(PART_KEYS if part.kind else KEYS), *found.options}
            raise DataError(f"{declaration.path}: {unknown_key(key, known)} (format {found.name})")
    folder = None if images is None else _path(declaration, images, split)
    options = {key: _option(declaration, key, value, split) for key, value in part.options.items()}
    return part, found, Source(annotations, folder, _declared(declaration, part), options, declaration.lenient)


def _option(declaration: Declaration, key: str, value: Any, split: Split | None) -> Any:
    """A file or folder is relative to the declaration's root, as all paths are."""
    return str(_path(declaration, value, split)) if key in PATH_OPTIONS and isinstance(value, str) else value


def _path(declaration: Declaration, text: str, split: Split | None) -> Path:
    return declaration.root / checked_path(text if split is None else text.replace(SPLIT, split.name), "folder")


def _declared(declaration: Declaration, part: Part) -> Any:
    """The declared categories that a part can be about."""
    categories = declaration.categories
    if categories is None or not part.kind or part.kind == "panoptic":
        return categories
    chosen = categories.things if part.kind == "instances" else categories.all
    return type(categories)(tuple(chosen))


def _refuse_without(kind: str, truth: SplitTruth) -> None:
    has = {"instances": truth.annotations, "stuff": truth.stuff, "panoptic": truth.panoptic}
    if kind and has[kind] is None:
        raise DataError(f"{truth.name} is declared as {kind}, and holds none: give its format another key")


def _only(kind: str, truth: SplitTruth) -> SplitTruth:
    """What a part was declared for; without a kind all that it holds."""
    if not kind:
        return truth
    dropped: dict[str, Any] = {"annotations": None, "stuff": None, "panoptic": None}
    dropped.pop("annotations" if kind == "instances" else kind)
    return replace(truth, **dropped)


# ---- pools -------------------------------------------------------------------------------------------------------


def _shared_out(declaration: Declaration, pool: SplitTruth) -> dict[str, set[str]]:
    """Split -> names of its images."""
    names = sorted(str(image.get("file_name")) for image in pool.images)
    if declaration.splits[0].list_file is not None:
        return {split.name: _listed(split, names) for split in declaration.splits}
    order = np.random.default_rng(declaration.seed).permutation(len(names)).tolist()
    return share_out([names[n] for n in order], {split.name: split.share or 0.0 for split in declaration.splits})


def share_out(names: Sequence[str], shares: Mapping[str, float]) -> dict[str, set[str]]:
    """Consecutive parts of `names`; shares that are 1 together leave none out."""
    ends = np.round(np.cumsum(list(shares.values())) * len(names)).astype(int).tolist()
    starts = [0, *ends[:-1]]
    return {split: set(names[start:end]) for split, start, end in zip(shares, starts, ends, strict=True)}


def _listed(split: Split, names: Sequence[str]) -> set[str]:
    """The names in a text file, one a line: whole, or without folder or suffix where that is plain."""
    assert split.list_file is not None
    try:
        lines = split.list_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"splits: {split.name}: {split.list_file} cannot be read: {error}") from error
    by_stem: dict[str, list[str]] = {}
    for name in names:
        for short in {name, Path(name).name, Path(name).stem, str(Path(name).with_suffix(""))}:
            by_stem.setdefault(short, []).append(name)
    found = set()
    for number, line in enumerate(lines, 1):
        wanted = line.strip()
        if not wanted:
            continue
        matches = by_stem.get(wanted, [])
        if len(matches) != 1:
            problem = "is the name of several images" if matches else "is the name of no image"
            raise DataError(f"{split.list_file}, line {number}: {shown(wanted)} {problem}")
        found.add(matches[0])
    return found
