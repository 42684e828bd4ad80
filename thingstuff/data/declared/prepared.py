"""A declared data set as files that Detectron2 and our evaluation read: made once, and anew when a source changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thingstuff.data.declared.complete import complete, is_complete
from thingstuff.data.declared.declaration import Declaration, Keypoints
from thingstuff.data.declared.quick_check import refuse_errors
from thingstuff.data.declared.read import read_declared, sources
from thingstuff.data.formats import PATH_OPTIONS, Source
from thingstuff.data.panoptic.build import build_panoptic
from thingstuff.data.panoptic.split import split_panoptic_truth
from thingstuff.data.stuff_maps import IGNORED, MOST_STUFF, to_label_file, to_stuff_map
from thingstuff.data.truth import Record, SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json
from thingstuff.files import cache_root, write_json
from thingstuff.progress import watched
from thingstuff.structures import Categories
from thingstuff.structures.png import png_kind, write_png

VERSION = 3  # raised when the files of a prepared data set change


@dataclass(frozen=True)
class PreparedSplit:
    """Paths of one split. `stuff_json` lists the label file of every image: [[image id, path], ...]."""

    image_root: str
    json_file: str
    has_instances: bool
    has_rle: bool
    stuff_json: str | None = None
    panoptic_json: str | None = None
    panoptic_root: str | None = None

    def at(self, folder: Path) -> PreparedSplit:
        """With paths from `folder` on; those of the user's own files are absolute and stay."""
        values = asdict(self)
        paths = {k: str(folder / v) for k, v in values.items() if isinstance(v, str)}
        return PreparedSplit(**(values | paths))

    def stuff_files(self) -> dict[int | str, str]:
        """Image id -> label file; empty without stuff."""
        if self.stuff_json is None:
            return {}
        folder = Path(self.stuff_json).parent
        return {image_id: str(folder / path) for image_id, path in read_json(self.stuff_json)}


@dataclass(frozen=True)
class Prepared:
    """`categories` go by their ids, as Detectron2 orders classes. `notes` are for the user."""

    folder: Path
    categories: Categories
    splits: Mapping[str, PreparedSplit]
    notes: tuple[str, ...] = ()
    keypoints: Keypoints | None = None
    is_checked: bool = True  # or made for a run that asked for no checks

    @classmethod
    def read(cls, folder: Path) -> Prepared:
        content = read_json(folder / "prepared.json")
        splits = {name: PreparedSplit(**split).at(folder) for name, split in content["splits"].items()}
        stated = content["keypoints"]
        flips = [] if stated is None else [(a, b) for a, b in stated["flips"]]
        keypoints = None if stated is None else Keypoints(tuple(stated["names"]), tuple(flips))
        categories, notes = Categories.from_coco(content["categories"]), tuple(content["notes"])
        return cls(folder, categories, splits, notes, keypoints, content["checked"])


def prepare(declaration: Declaration, *, check: bool = True) -> Prepared:
    """The prepared data set, made now if it is not there or if the declaration or one of its files has changed.

    With `check` the annotations are checked first, and mistakes that would fail or teach nonsense are refused.
    """
    folder = cache_root() / "datasets" / f"{declaration.name}-{_digest(declaration)}"
    if not (folder / "prepared.json").is_file():
        _make(declaration, folder, check)
    elif check and not Prepared.read(folder).is_checked:
        refuse_errors(declaration.name, read_declared(declaration))
        write_json(folder / "prepared.json", read_json(folder / "prepared.json") | {"checked": True})
    return Prepared.read(folder)


def _make(declaration: Declaration, folder: Path, check: bool) -> None:
    """All or nothing: the folder has its name when it is complete."""
    truths = read_declared(declaration)
    if check:
        refuse_errors(declaration.name, truths)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        making = Path(scratch) / "data"
        making.mkdir()
        write_json(making / "prepared.json", _write(declaration, truths, making) | {"checked": check})
        if not (folder / "prepared.json").is_file():  # another process may have been faster
            shutil.rmtree(folder, ignore_errors=True)
            making.rename(folder)


def _write(declaration: Declaration, truths: Mapping[str, SplitTruth], folder: Path) -> dict[str, Any]:
    categories = _ordered_categories(next(iter(truths.values())))
    if len(categories.stuff) > MOST_STUFF:
        raise DataError(
            f"{declaration.path}: expected at most {MOST_STUFF} categories of stuff: label files have 8 bit"
        )
    splits = {}
    for name, truth in truths.items():
        if truth.annotations is None and truth.stuff is None and truth.panoptic is not None:
            truth = split_panoptic_truth(truth, folder / f"stuff_{name}")
        writer = _Writer(folder, name, truth, categories)
        splits[name] = asdict(writer.write(declaration.build_panoptic))
    notes = [note for truth in truths.values() for note in truth.notes]
    keypoints = _keypoints(declaration, truths)
    return {
        "categories": categories.to_coco(),
        "splits": splits,
        "notes": notes,
        "keypoints": None if keypoints is None else asdict(keypoints),
    }


def _keypoints(declaration: Declaration, truths: Mapping[str, SplitTruth]) -> Keypoints | None:
    """The declared ones, which may rename those of the files, or else those of the files."""
    declared, stated = declaration.keypoints, _stated_keypoints(truths)
    if declared is None or stated is None:
        return declared or stated
    same_in_other_order = declared.names != stated.names and sorted(declared.names) == sorted(stated.names)
    if len(declared.names) != len(stated.names) or same_in_other_order:
        raise DataError(
            f"{declaration.path}: keypoints: declared are {len(declared.names)}, {', '.join(declared.names)}; "
            f"the annotations name {len(stated.names)}, {', '.join(stated.names)}: leave names out or give them so"
        )
    return declared


def _stated_keypoints(truths: Mapping[str, SplitTruth]) -> Keypoints | None:
    """Those of the first category that has some; names that differ in left and right change places in a mirror."""
    categories = (category for truth in truths.values() for category in truth.categories)
    names = next((c["keypoints"] for c in categories if c.get("keypoints")), None)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    pairs = ((name, name.replace("left", "right")) for name in names if "left" in name)
    return Keypoints(tuple(names), tuple((left, right) for left, right in pairs if right in names))


def _ordered_categories(truth: SplitTruth) -> Categories:
    try:
        found = Categories.from_coco(truth.categories)
    except DataError as error:
        raise DataError(f"{truth.name}: {error}") from error
    return Categories(tuple(sorted(found.all, key=lambda category: category.id)))


@dataclass(frozen=True)
class _Writer:
    """Writes one split's files into `folder`, those that are right as they are excepted."""

    folder: Path
    name: str
    truth: SplitTruth
    categories: Categories

    def write(self, policy: str | None) -> PreparedSplit:
        instances = self.truth.annotations or []
        return PreparedSplit(
            image_root=str(self.truth.image_root.absolute()),
            json_file=self._instances(),
            has_instances=self.truth.annotations is not None,
            has_rle=any(_is_rle(note) for note in instances),
            stuff_json=self._stuff(),
            **self._panoptic(policy),
        )

    def _instances(self) -> str:
        """COCO's instances JSON, of the images alone where there are no instances."""
        annotations = self.truth.annotations or []
        if self.truth.json_path is not None and is_complete(annotations):
            return str(self.truth.json_path.absolute())
        sizes = {image["id"]: (image["height"], image["width"]) for image in self.truth.images}
        places = [self.truth.annotation_place(n) for n in range(len(annotations))]
        path = self.folder / f"instances_{self.name}.json"
        content = {
            "images": self.truth.images,
            "annotations": complete(annotations, sizes, places),
            "categories": [c for c in self._category_records() if c["isthing"]],
        }
        write_json(path, content)
        return path.name

    def _category_records(self) -> list[Record]:
        """With what the files say beyond our own keys, as names of keypoints."""
        stated = {category["id"]: category for category in self.truth.categories}
        return [{**stated[record["id"]], **record} for record in self.categories.to_coco()]

    def _stuff(self) -> str | None:
        stuff = self.truth.stuff
        if stuff is None:
            return None
        pairs = [[image["id"], self._label_file(stuff, image)] for image in watched(self.truth.images, "label maps")]
        path = self.folder / f"stuff_{self.name}.json"
        write_json(path, pairs)
        return path.name

    def _label_file(self, stuff: StuffFiles, image: Record) -> str:
        path = stuff.paths.get(image["id"])
        if path is not None and image["id"] not in stuff.drawn and self._is_as_detectron2(stuff, path):
            own_file = path.is_relative_to(self.folder)
            return path.relative_to(self.folder).as_posix() if own_file else str(path.absolute())
        try:
            stuff_map = to_stuff_map(stuff.read(image["id"]), stuff, self.categories)
        except DataError as error:
            raise DataError(f"{path or self.truth.name}: image {image['file_name']!r}: {error}") from error
        own = Path(f"stuff_{self.name}", f"{image['file_name']}.png")
        write_png(self.folder / own, to_label_file(stuff_map))
        return own.as_posix()

    def _is_as_detectron2(self, stuff: StuffFiles, path: Path) -> bool:
        wanted = {number: category.id for number, category in enumerate(self.categories.stuff, 1)}
        fits = stuff.label_ids in (wanted, {0: None, **wanted}) and stuff.void_labels == {IGNORED}
        return fits and png_kind(path) == "8-bit grey"

    def _panoptic(self, policy: str | None) -> dict[str, str]:
        panoptic = self.truth.panoptic
        if panoptic is None:
            if policy is None:
                return {}
            made = build_panoptic(self.truth, self.folder / f"panoptic_{self.name}", policy)
            return {"panoptic_json": made.json_path.name, "panoptic_root": made.folder.name}
        if panoptic.is_whole:
            return {
                "panoptic_json": str(panoptic.json_path.absolute()),
                "panoptic_root": str(panoptic.folder.absolute()),
            }
        path = self.folder / f"panoptic_{self.name}.json"
        content = {"images": self.truth.images, "annotations": panoptic.annotations}
        write_json(path, content | {"categories": self._category_records()})
        return {"panoptic_json": path.name, "panoptic_root": str(panoptic.folder.absolute())}


def _is_rle(note: Record) -> bool:
    return isinstance(note.get("segmentation"), Mapping) and not note.get("iscrowd")


def _digest(declaration: Declaration) -> str:
    """Of the declaration's text and of every file that it leads to, by path, size and time."""
    hashed = hashlib.sha256(f"{VERSION} {declaration.root}\n".encode())
    hashed.update(declaration.path.read_bytes())
    splits = [None] if declaration.splits[0].is_of_a_pool else list(declaration.splits)
    for split in splits:
        for _, found, source in sources(declaration, split):
            hashed.update(f"{found.name} {source.annotations} {source.images}\n".encode())
            for path, status in _sources(source):
                hashed.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    for split in declaration.splits:
        if split.list_file is not None and split.list_file.is_file():
            hashed.update(split.list_file.read_bytes())
    return hashed.hexdigest()[:16]


def _sources(source: Source) -> Iterator[tuple[str, os.stat_result]]:
    """The annotations, the PNGs that a panoptic JSON describes, and what the options name."""
    yield from _files(source.annotations)
    named = {key: Path(source.options[key]) for key in PATH_OPTIONS if isinstance(source.options.get(key), str)}
    if source.annotations.suffix == ".json":
        named.setdefault("folder", source.annotations.with_suffix(""))
    for path in named.values():
        yield from _files(path)


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """A file itself, or all files below a folder in a fixed order."""
    if not path.is_dir():
        if path.exists():
            yield str(path), path.stat()
        return
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                yield from _files(Path(entry.path))
            else:
                yield entry.path, entry.stat()
