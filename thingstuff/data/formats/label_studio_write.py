"""A split's instances -> Label Studio's JSON of tasks, with exact brush masks, and the labelling config for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.instance_records import finite
from thingstuff.data.formats.label_studio_rle import encode_brush
from thingstuff.data.formats.truth_instances import ImageInstances, Instance, instances_by_image, without_crowds
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.files import whole_file
from thingstuff.progress import watched
from thingstuff.store.exports.cvat_xml import in_xml
from thingstuff.store.exports.json_stream import write_list
from thingstuff.structures import Categories

_IMAGE, _BRUSH, _RECTANGLE = "image", "brush", "rectangle"  # names of the tags in the config


def write_label_studio(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `tasks.json`, its path, and beside it `labels.xml`, the config of a project that can import it.

    Every mask stays pixel for pixel as a brush mask, polygons too, and what has no mask becomes a rectangle. Images are
    named as files of a local storage, whose folder is that of the images: `images` beside the JSON if they are copied.
    """
    images = without_crowds(instances_by_image(truth), "label_studio")
    try:
        config = list(_config(Categories.from_coco(truth.categories)))
    except DataError as error:
        raise DataError(f"{truth.name}: {error}") from error
    target = folder / "tasks.json"
    write_list(target, _tasks(images, folder.name))
    with whole_file(folder / "labels.xml") as file:
        file.write("".join(f"{line}\n" for line in config).encode())
    if options.copy_images:
        copy_images(truth, folder / "images")
    return target


def _tasks(images: Sequence[ImageInstances], title: str) -> Iterator[dict[str, Any]]:
    for image in watched(images, f"writing {title}"):
        url = f"/data/local-files/?d={quote(image.file_name, errors='surrogateescape')}"
        results = [_result(each, f"region{n}", image.size_hw) for n, each in enumerate(image.instances, 1)]
        yield {"data": {_IMAGE: url}, "annotations": [{"result": results}]}


def _result(instance: Instance, region_id: str, size_hw: tuple[int, int]) -> dict[str, Any]:
    tag, value = _rectangle(instance, size_hw) if instance.segmentation is None else _brush(instance, size_hw)
    kind = f"{tag}labels"
    return {
        "id": region_id,
        "type": kind,
        "from_name": tag,
        "to_name": _IMAGE,
        "origin": "manual",
        "original_width": size_hw[1],
        "original_height": size_hw[0],
        "image_rotation": 0,
        "value": value | {kind: [instance.label]},
    }


def _brush(instance: Instance, size_hw: tuple[int, int]) -> tuple[str, dict[str, Any]]:
    crop, box = instance.mask(size_hw)
    return _BRUSH, {"format": "rle", "rle": encode_brush(crop, box, size_hw)}


def _rectangle(instance: Instance, size_hw: tuple[int, int]) -> tuple[str, dict[str, Any]]:
    x0, y0, x1, y1 = finite(instance.box_xyxy(), instance.place)
    across, down = 100 / size_hw[1], 100 / size_hw[0]
    place = {"x": x0 * across, "y": y0 * down, "width": (x1 - x0) * across, "height": (y1 - y0) * down}
    return _RECTANGLE, place | {"rotation": 0}


def _config(categories: Categories) -> Iterator[str]:
    yield "<View>"
    yield f'  <Image name="{_IMAGE}" value="${_IMAGE}"/>'
    for tag, name in (("BrushLabels", _BRUSH), ("RectangleLabels", _RECTANGLE)):
        yield f'  <{tag} name="{name}" toName="{_IMAGE}">'
        for category, color in zip(categories.all, categories.colors(), strict=True):
            background = "".join(f"{value:02x}" for value in color)
            yield f'    <Label value={quoteattr(in_xml(category.name))} background="#{background}"/>'
        yield f"  </{tag}>"
    yield "</View>"
