"""A split's instances -> a project of Supervisely, with exact bitmaps."""

from __future__ import annotations

import base64
import io
import logging
import os
import zlib
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from thingstuff.data.formats.copy_images import copy_as
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.instance_records import Crop, finite, shown
from thingstuff.data.formats.supervisely_file import CROWD
from thingstuff.data.formats.supervisely_meta import META
from thingstuff.data.formats.supervisely_names import IMAGES, LABELS, NESTED
from thingstuff.data.formats.truth_instances import ImageInstances, Instance, instances_by_image
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.files import write_json
from thingstuff.progress import watched
from thingstuff.structures import Categories

_LONGEST_NAME = 230  # bytes of an image's name, so that the file with its labels can have a longer one
_CROWD_COLOR = "#ff00ff"

logger = logging.getLogger(__name__)


def write_supervisely(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `meta.json`, and a data set for each folder of images, `ds0` for those that are in none; the folder.

    Every mask stays pixel for pixel, polygons become bitmaps, and what has no mask becomes a rectangle. Masks without a
    pixel, which Supervisely cannot hold, are left out, and logged. A crowd has the tag `iscrowd`, which we read again.
    """
    images = instances_by_image(truth)
    places = _places(images, truth)
    write_json(folder / META, _meta(truth))
    empty = 0
    for number, image in enumerate(watched(images, f"writing {folder.name}")):
        dataset, name = places[number]
        objects = [_object(instance, image.size_hw) for instance in image.instances]
        empty += objects.count(None)
        height, width = image.size_hw
        content = {"description": "", "tags": [], "size": {"height": height, "width": width}}
        write_json(
            folder / dataset / LABELS / f"{name}.json", content | {"objects": [each for each in objects if each]}
        )
        if options.copy_images:
            copy_as(image.file_name, truth.image_root, folder / dataset / IMAGES / name, truth.image_place(number))
    if empty:
        logger.warning("left out: %d masks without a pixel, which supervisely cannot hold", empty)
    return folder


def _places(images: Sequence[ImageInstances], truth: SplitTruth) -> list[tuple[str, str]]:
    """The data set of each image, and its name in there. A data set in a folder of another is in its `datasets`."""
    paths = [PurePosixPath(image.file_name) for image in images]
    first = {path.parts[0] for path in paths if len(path.parts) > 1}
    top = next(name for n in count() if (name := f"ds{n}") not in first)
    found: dict[tuple[str, str], int] = {}
    for number, path in enumerate(paths):
        place = (f"/{NESTED}/".join(path.parts[:-1]) or top, path.name)
        if len(os.fsencode(path.name)) > _LONGEST_NAME:
            raise DataError(f"{truth.image_place(number)}: its name is too long to have labels: {shown(path.name)}")
        if found.setdefault(place, number) != number:
            raise DataError(f"{truth.image_place(number)} and {truth.image_place(found[place])} are one file: keep one")
    return list(found)


def _meta(truth: SplitTruth) -> dict[str, Any]:
    try:
        categories = Categories.from_coco(truth.categories)
    except DataError as error:
        raise DataError(f"{truth.name}: {error}") from error
    colored = zip(categories.all, categories.colors(), strict=True)
    classes = [{"title": each.name, "shape": "any", "color": _hex(color)} for each, color in colored]
    tags = [{"name": CROWD, "value_type": "none", "color": _CROWD_COLOR}]
    return {"classes": classes, "tags": tags, "projectType": "images"}


def _hex(color: Sequence[int]) -> str:
    return f"#{''.join(f'{value:02x}' for value in color)}"


def _object(instance: Instance, size_hw: tuple[int, int]) -> dict[str, Any] | None:
    tags = [{"name": CROWD, "value": None}] if instance.is_crowd else []
    common = {"classTitle": instance.label, "description": "", "tags": tags}
    if instance.segmentation is None:
        return common | _rectangle(finite(instance.box_xyxy(), instance.place))
    crop, (x0, y0, _, _) = instance.mask(size_hw)
    if not crop.size:
        return None
    bitmap = {"data": _packed(crop), "origin": [x0, y0]}
    return common | {"geometryType": "bitmap", "bitmap": bitmap, "points": {"exterior": [], "interior": []}}


def _rectangle(box_xyxy: Sequence[float]) -> Mapping[str, Any]:
    """Of whole numbers the last pixel is a corner, not the edge behind it."""
    x0, y0, x1, y1 = box_xyxy
    if all(value.is_integer() for value in box_xyxy):
        x0, y0, x1, y1 = int(x0), int(y0), max(int(x0), int(x1) - 1), max(int(y0), int(y1) - 1)
    return {"geometryType": "rectangle", "points": {"exterior": [[x0, y0], [x1, y1]], "interior": []}}


def _packed(crop: Crop) -> str:
    """A PNG of one bit a pixel in which the outside is transparent, as Supervisely's programs read it."""
    picture, file = Image.fromarray(crop), io.BytesIO()
    picture.putpalette([0, 0, 0, 255, 255, 255])
    picture.save(file, "PNG", transparency=0, bits=1)
    return base64.b64encode(zlib.compress(file.getvalue())).decode()
