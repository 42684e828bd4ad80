"""The formats of data sets, one a file, by name; `auto` is the first that recognises the files."""

from __future__ import annotations

from pathlib import Path

from thingstuff.data.formats.cityscapes import CITYSCAPES
from thingstuff.data.formats.coco import COCO
from thingstuff.data.formats.coco_panoptic import COCO_PANOPTIC
from thingstuff.data.formats.coco_stuff import COCO_STUFF
from thingstuff.data.formats.cvat import CVAT
from thingstuff.data.formats.fiftyone import FIFTYONE
from thingstuff.data.formats.format import PATH_OPTIONS, Format, Source, WriteOptions
from thingstuff.data.formats.id_masks import ID_MASKS
from thingstuff.data.formats.image_files import files_below
from thingstuff.data.formats.label_studio import LABEL_STUDIO
from thingstuff.data.formats.labelme import LABELME
from thingstuff.data.formats.lvis import LVIS
from thingstuff.data.formats.mask_folders import MASK_FOLDERS
from thingstuff.data.formats.semantic import SEMANTIC
from thingstuff.data.formats.supervisely import SUPERVISELY
from thingstuff.data.formats.via import VIA
from thingstuff.data.formats.voc import VOC
from thingstuff.data.formats.yolo import YOLO
from thingstuff.errors import DataError

# the order in which `auto` asks
FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        *(COCO_PANOPTIC, COCO_STUFF, FIFTYONE, LVIS, COCO),
        *(SUPERVISELY, CVAT, VIA, LABEL_STUDIO, LABELME, YOLO),
        *(VOC, MASK_FOLDERS, CITYSCAPES, ID_MASKS, SEMANTIC),
    )
}


def format_of(name: str, path: Path) -> Format:
    """The format of that name, or with "auto" the first that recognises `path`."""
    if name != "auto":
        if name not in FORMATS:
            raise DataError(f"there is no format {name!r}: choose one of auto, {', '.join(FORMATS)}")
        return FORMATS[name]
    if not path.exists():
        raise DataError(f"there are no annotations at {path}")
    found = [each for each in FORMATS.values() if each.recognises(path)]
    if not found:
        raise DataError(f"{path} is of no format that is known: say which with `format`, one of {', '.join(FORMATS)}")
    _refuse_mixed(path, found)
    return found[0]


def _refuse_mixed(path: Path, found: list[Format]) -> None:
    """Labels of two programs in one folder: whichever was read, the other half would be missing without a word."""
    by_files = {each.files: each for each in reversed(found) if each.files}
    if path.is_dir() and len(by_files) > 1:
        counts = [f"{len(files_below(path, [ending]))} {ending} of {each.name}" for ending, each in by_files.items()]
        raise DataError(f"{path} holds labels of several formats, {' and '.join(counts)}: say which with `format`")


__all__ = ["FORMATS", "PATH_OPTIONS", "Format", "Source", "WriteOptions", "format_of"]
