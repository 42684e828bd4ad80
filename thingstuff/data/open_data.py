"""Data sets as they are named on a command line: a declaration, a registered name, or files of a known format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thingstuff.data.declared.declaration import Declaration, read_declaration
from thingstuff.data.declared.read import read_declared
from thingstuff.data.formats import FORMATS, PATH_OPTIONS, Format, Source, format_of
from thingstuff.data.strangers import without_unknown_categories
from thingstuff.data.truth import Record, SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.structures import Categories

WHOLE = "data"  # the split of files that are named without a declaration


@dataclass(frozen=True)
class OpenedData:
    """The splits of a data set, not checked; with its declaration if it has one."""

    name: str
    splits: Mapping[str, SplitTruth]
    declaration: Declaration | None = None


def open_data(
    text: str,
    images: Path | None = None,
    format_name: str = "auto",
    lenient: bool = False,
    options: Mapping[str, Any] | None = None,
) -> OpenedData:
    """`images`, `format_name` and `options`, keys that a format alone understands, are for files named directly.

    `lenient`: records that cannot be read are left out, with a note that counts them, where they would be refused.
    A file or folder that exists goes before a registered name. NAME stands for NAME_train, NAME_val and NAME_test as
    far as they are registered.
    """
    path = Path(text)
    if path.suffix in (".yaml", ".yml"):
        declaration = read_declaration(path)
        declaration = replace(declaration, lenient=lenient or declaration.lenient)
        return OpenedData(declaration.name, read_declared(declaration), declaration)
    if path.exists():
        found = format_of(format_name, path)
        folder = None if images is None else images.absolute()
        source = Source(path.absolute(), folder, options=_known_options(found, options or {}), lenient=lenient)
        truth = found.read(source)
        return OpenedData(path.stem, {WHOLE: without_unknown_categories(truth) if lenient else truth})
    if path.suffix or len(path.parts) > 1:
        raise DataError(f"there is no file or folder {text}")
    return OpenedData(text, _registered(text))


def _known_options(found: Format, options: Mapping[str, Any]) -> dict[str, Any]:
    """Files and folders among them are relative to the present one."""
    for key in options:
        if key not in found.options:
            known = ", ".join(found.options) or "none"
            raise DataError(f"format {found.name} has no option {key!r}: it has {known}")
    is_path = {key: key in PATH_OPTIONS and isinstance(value, str) for key, value in options.items()}
    return {key: str(Path(value).absolute()) if is_path[key] else value for key, value in options.items()}


def registered_truth(name: str) -> SplitTruth:
    """What a registered data set says, from its files where its metadata name them, else from its records."""
    from detectron2.data import MetadataCatalog

    from thingstuff.data.catalog import require_datasets
    from thingstuff.data.records import load_records

    require_datasets([name])
    metadata = MetadataCatalog.get(name)
    root = Path(metadata.get("image_root") or ".")
    json_file, panoptic_json = metadata.get("json_file"), metadata.get("panoptic_json")
    if metadata.get("label_divisor") is not None and panoptic_json:  # the standard convention: one panoptic file
        return _panoptic(metadata, root)
    records = load_records(name)
    form = FORMATS["lvis" if metadata.get("evaluator_type") == "lvis" else "coco"]
    truth = form.read(Source(Path(json_file), root)) if json_file else _of_records(name, records, metadata)
    truth = _with_stuff(truth, records, metadata)
    if panoptic_json:
        truth = replace(truth, panoptic=_panoptic(metadata, root).panoptic)
    return replace(truth, categories=_all_categories(truth.categories, metadata))


def _registered(text: str) -> dict[str, SplitTruth]:
    from detectron2.data import DatasetCatalog

    from thingstuff.data.catalog import register_shapes, require_datasets

    register_shapes()
    known = set(DatasetCatalog)
    if text in known:
        return {text: registered_truth(text)}
    splits = [f"{text}_{split}" for split in ("train", "val", "test") if f"{text}_{split}" in known]
    if not splits:
        require_datasets([text])  # refuses it, with the nearest name
    return {name.removeprefix(f"{text}_"): registered_truth(name) for name in splits}


def _panoptic(metadata: Any, root: Path) -> SplitTruth:
    root_of_maps = metadata.get("panoptic_root")
    options = {"folder": str(Path(root_of_maps).absolute())} if root_of_maps else {}
    return FORMATS["coco_panoptic"].read(Source(Path(metadata.panoptic_json), root, options=options))


def _with_stuff(truth: SplitTruth, records: list[Record], metadata: Any) -> SplitTruth:
    paths = {r["image_id"]: Path(r["sem_seg_file_name"]) for r in records if r.get("sem_seg_file_name")}
    if not paths:
        return truth
    stuff_ids = {category.id for category in Categories.from_metadata(metadata).stuff}
    index_of = metadata.get("stuff_dataset_id_to_contiguous_id") or {n: n for n in range(len(metadata.stuff_classes))}
    labels = {label: own if own in stuff_ids else None for own, label in index_of.items()}
    ignored = frozenset({int(metadata.get("ignore_label", 255))})
    return replace(truth, stuff=StuffFiles(paths, labels, ignored))


def _all_categories(stated: list[Record], metadata: Any) -> list[Record]:
    """Those of the file, and the stuff that the metadata know."""
    known = {category.get("name") for category in stated}
    return [*stated, *(c for c in Categories.from_metadata(metadata).to_coco() if c["name"] not in known)]


def _of_records(name: str, records: list[Record], metadata: Any) -> SplitTruth:
    """Detectron2's dictionaries, as somebody's own function gives them, in COCO's form."""
    paths = [Path(str(record.get("file_name", ""))).absolute() for record in records]
    shared = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    root = Path(metadata.get("image_root") or shared).absolute()
    things = Categories.from_metadata(metadata).things
    images, annotations, places = [], [], []
    for number, record in enumerate(records):
        image_id = record.get("image_id", number)
        path = paths[number]
        file_name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        size = {key: record[key] for key in ("width", "height") if key in record}
        images.append({"id": image_id, "file_name": file_name, **size})
        for n, note in enumerate(record.get("annotations", ())):
            annotations.append(_coco_note(note, len(annotations) + 1, image_id, things))
            places.append(f"{name}: records[{number}]: annotations[{n}]")
    stated = [dict(c) for c in Categories(things).to_coco()]
    has_instances = any("annotations" in record for record in records)
    return SplitTruth(
        name,
        root,
        stated,
        images,
        annotations if has_instances else None,
        annotation_places=places,
        image_places=[f"{name}: records[{n}]" for n in range(len(records))],
    )


def _coco_note(note: Record, number: int, image_id: Any, things: tuple[Any, ...]) -> Record:
    index = note.get("category_id")
    known = isinstance(index, int) and 0 <= index < len(things)
    box = [float(v) for v in note.get("bbox", ())]
    if len(box) == 4 and getattr(note.get("bbox_mode"), "name", "") == "XYXY_ABS":
        box = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    own = {key: value for key, value in note.items() if key not in ("bbox_mode", "bbox")}
    return {**own, "id": number, "image_id": image_id, "category_id": things[index].id if known else index, "bbox": box}
