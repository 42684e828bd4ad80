"""YOLO segmentation as Ultralytics has it: a text file an image, polygons in fractions, and names in a data.yaml."""

from __future__ import annotations

from pathlib import Path

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import INSTANCES, Format, Source
from thingstuff.data.formats.image_files import first_files, image_size_hw
from thingstuff.data.formats.instance_records import Instances, checked_size_hw, polygon_shape
from thingstuff.data.formats.yolo_file import YoloObject, read_yolo_file
from thingstuff.data.formats.yolo_layout import label_folder, pairs_of
from thingstuff.data.formats.yolo_names import NAME_LISTS, category_records, class_names
from thingstuff.data.formats.yolo_write import write_data_yaml, write_yolo
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.progress import watched

_PROBES = 5
_HEAD_BYTES = 4096


def recognise_yolo(path: Path) -> bool:
    """A folder of text files, perhaps in `labels` there, that begin with lines of numbers."""
    if not path.is_dir():
        return False
    folder = label_folder(path)
    names = [name for name in first_files(folder, [".txt"], _PROBES) if Path(name).name not in NAME_LISTS]
    heads = [_head(folder / name) for name in names]
    return any(heads) and all(_is_object(head.split(b"\n")[0]) for head in heads if head)


def read_yolo(source: Source) -> SplitTruth:
    """A polygon a line, or a box where there are four numbers. An image without a label file has nothing in it."""
    faults = Faults(source.lenient)
    names = class_names(source)
    pairs = pairs_of(source, faults)
    images: list[Record] = []
    found, used = Instances(), set[int]()
    for file_name, label in watched(list(pairs.labels.items()), f"reading {source.annotations.name}"):
        size_hw = image_size_hw(pairs.image_root / file_name)
        if size_hw is None:
            faults.add("images that cannot be read", file_name)
            continue
        height, width = checked_size_hw(*size_hw, file_name)
        images.append({"id": len(images) + 1, "file_name": file_name, "width": width, "height": height})
        place = "" if label is None else pairs.place_of(label)
        for each in read_yolo_file(label, place, faults) if label else ():
            if names and each.number not in names:
                faults.add(f"objects of classes beyond the {len(names)} names", f"{each.place}: class {each.number}")
                continue
            used.add(each.number)
            label_text = names.get(each.number, f"class_{each.number}")
            found.add(len(images), label_text, shape_of(each, (height, width)), each.place)
    categories, notes = category_records(source, names, used)
    return SplitTruth(
        name=str(source.annotations),
        image_root=pairs.image_root,
        categories=categories,
        images=images,
        annotations=found.categorised(categories),
        annotation_places=found.places,
        image_places=[image["file_name"] for image in images],
        notes=(*notes, *pairs.notes(), *faults.settle(str(source.annotations))),
    )


def shape_of(one: YoloObject, size_hw: tuple[int, int]) -> Record:
    """COCO's segmentation, bbox and area; a box has no segmentation."""
    if not one.is_box:
        return polygon_shape([one.polygon(size_hw)], size_hw)
    x0, y0, x1, y1 = one.box_xyxy(size_hw)
    return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES).strip()
    except (OSError, ValueError):
        return b""


def _is_object(line: bytes) -> bool:
    try:
        return len([float(value) for value in line.split()]) >= 5
    except ValueError:
        return False


YOLO = Format(
    name="yolo",
    title="YOLO segmentation (Ultralytics): a text file an image, and a data.yaml",
    recognises=recognise_yolo,
    read=read_yolo,
    write=write_yolo,
    index=write_data_yaml,
    holds=frozenset({INSTANCES}),
    options={"names": "names of the classes: a list, names by number, or a file (data.yaml, classes.txt)"},
    files=".txt",
)
