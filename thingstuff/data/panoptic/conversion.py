"""What every conversion of panoptic files needs: the maps of a JSON in turn, categories, and the new files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from thingstuff.data.formats.coco_json import expect_records, read_coco_json
from thingstuff.data.formats.coco_panoptic import read_panoptic_json
from thingstuff.data.formats.coco_write import write_json_list
from thingstuff.data.panoptic.names import is_inside, whole_folder
from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json
from thingstuff.progress import watched
from thingstuff.structures import Categories, PanopticMap


@dataclass(frozen=True)
class PanopticSource:
    """A panoptic JSON as it is, with its categories and the folder of its PNGs."""

    path: Path
    folder: Path
    content: Mapping[str, Any]
    categories: Categories

    @classmethod
    def open(cls, json_path: Path, folder: Path | None) -> PanopticSource:
        """`folder` is by default the JSON's path without suffix."""
        content = read_panoptic_json(json_path)
        categories = known_categories(content["categories"], json_path)
        return cls(json_path, json_path.with_suffix("") if folder is None else folder, content, categories)

    def maps(self, title: str) -> Iterator[tuple[Record, PanopticMap]]:
        """Each annotation with its map, whose segments come in the order of `segments_info`."""
        names: set[str] = set()
        for number, record in enumerate(watched(self.content["annotations"], title)):
            place = f"{self.path}: annotations[{number}]"
            _refuse_malformed(record, place)
            if record["file_name"] in names:
                raise DataError(f"{place}: {record['file_name']} is another annotation's file already: keep one")
            names.add(record["file_name"])
            try:
                yield record, self._read(record)
            except DataError as error:
                raise DataError(f"{place}: {error}") from error

    def _read(self, record: Record) -> PanopticMap:
        return PanopticMap.read_coco(self.folder / record["file_name"], record["segments_info"], self.categories)


def head_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """All but the annotations and the categories: what is said of the images and of the whole."""
    return {key: value for key, value in content.items() if key not in ("annotations", "categories")}


def known_categories(records: list[Record], path: Path) -> Categories:
    try:
        return Categories.from_coco(records)
    except ValueError as error:  # a DataError is one, and so is what numpy says of a strange colour
        raise DataError(f"{path}: {str(error)[:200]}") from error


def categories_of(content: Mapping[str, Any], path: Path, categories_json: Path | None) -> Categories:
    """Those of `categories_json`, a list of records or a COCO file, or else the content's own."""
    named = path if categories_json is None else categories_json
    found = content if categories_json is None else read_json(categories_json)
    records: Any = found.get("categories") if isinstance(found, Mapping) else found
    expect_records(records, str(named), "categories")
    return known_categories(records, named)


def write_panoptic(
    images_json: Path,
    out_json: Path,
    categories_json: Path | None,
    read_map: Callable[[Record, str, Mapping[str, Any], Categories], PanopticMap],
    lists: tuple[str, ...],
) -> Path:
    """A panoptic JSON, and PNGs in the folder of its name without suffix, for every image that `images_json` lists.

    `read_map` gets a record of an image, the name of its PNG, the content of `images_json`, and the categories.
    """
    content = read_coco_json(images_json, lists)
    categories = categories_of(content, images_json, categories_json)
    annotations = []
    with whole_folder(out_json.with_suffix("")) as fresh:
        for number, image in enumerate(watched(content["images"], "panoptic maps")):
            place = f"{images_json}: images[{number}]"
            name = _png_name(image, place)
            try:
                panoptic = read_map(image, name, content, categories)
            except DataError as error:
                raise DataError(f"{place}: {error}") from error
            segments = panoptic.write_coco(fresh / name)
            annotations.append({"image_id": image["id"], "file_name": name, "segments_info": segments})
        write_json_list(out_json, head_of(content) | {"categories": categories.to_coco()}, annotations)
    return out_json


def _refuse_malformed(record: Record, place: str) -> None:
    if not is_inside(record["file_name"]):
        raise DataError(f"{place}: expected a file_name below the folder of the PNGs, got {record['file_name'][:80]!r}")
    for number, info in enumerate(record["segments_info"]):
        if type(info.get("id")) is not int or type(info.get("category_id")) is not int:
            raise DataError(f"{place}: segments_info[{number}]: expected an integer id and category_id")


def _png_name(image: Record, place: str) -> str:
    name = image.get("file_name")
    if not isinstance(name, str) or not is_inside(name):
        raise DataError(f"{place}: expected a file_name below its folder, got {str(name)[:80]!r}")
    if not isinstance(image.get("id"), int | str):
        raise DataError(f"{place}: expected an id that is a number or a text, got {str(image.get('id'))[:60]!r}")
    return str(PurePosixPath(name).with_suffix(".png"))
