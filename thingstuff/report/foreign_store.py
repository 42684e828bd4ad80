"""Results of other programs as a store, so that they can be compared: the images and categories are the truth's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thingstuff.data.formats.coco_images import guess_image_root
from thingstuff.data.formats.image_files import image_size_hw
from thingstuff.data.panoptic.names import is_inside
from thingstuff.data.results import ResultSource, TargetImage, Targets, result_format_of
from thingstuff.data.results.import_results import import_results
from thingstuff.errors import DataError
from thingstuff.report.ground_truth import GroundTruth
from thingstuff.structures import Categories


def import_for_comparison(path: Path, truth: GroundTruth, keys: Mapping[int | str, str], folder: Path) -> Path:
    """Write a store of `path`'s results into `folder`, in place of an earlier import, and return `folder`.

    `keys` are those of other stores by image id, so that the same image has the same key; without them it is the
    image's file name.
    """
    results = result_format_of("auto", path)
    if results.name == "coco_panoptic" and truth.panoptic is None:
        raise DataError(f"{path} holds panoptic predictions, but {truth.name} has no panoptic truth")
    if results.name != "coco_panoptic" and truth.instances is None:
        raise DataError(f"{path} holds instances, but {truth.name} has no instance truth")
    return import_results(results, ResultSource(path), _targets(truth, keys), folder).folder


def _targets(truth: GroundTruth, keys: Mapping[int | str, str]) -> Targets:
    categories = truth.panoptic.categories if truth.panoptic else Categories.from_coco(truth.category_records())
    images = _images(truth, keys) if truth.instances is not None else _images_of_maps(truth, keys)
    root = None if truth.image_root is None else Path(truth.image_root)
    if root is None and truth.is_file:
        root = guess_image_root(Path(truth.name), truth.image_records())
    return Targets(truth.name, categories, tuple(images), root)


def _images(truth: GroundTruth, keys: Mapping[int | str, str]) -> Iterator[TargetImage]:
    for image in truth.image_records():
        height, width = image.get("height"), image.get("width")
        if not isinstance(height, int) or not isinstance(width, int):
            raise DataError(f"{truth.name}: image {image.get('id')!r} has no height and width, which a store needs")
        yield TargetImage(image["id"], keys.get(image["id"]) or _key(image, truth.image_root), height, width)


def _images_of_maps(truth: GroundTruth, keys: Mapping[int | str, str]) -> Iterator[TargetImage]:
    """Of a panoptic truth alone, whose PNGs have the sizes of their images."""
    assert truth.panoptic is not None
    names = {image_id: name for name, image_id in truth.key_ids.items()}
    for image_id in truth.panoptic.records:
        png = truth.panoptic.png_path(image_id)
        size_hw = image_size_hw(png)
        if size_hw is None:
            truth.panoptic.expect_folder()
            raise DataError(f"{png} cannot be read")
        yield TargetImage(image_id, keys.get(image_id) or names.get(image_id) or png.name, *size_hw)


def _key(image: Mapping[str, Any], root: str | None) -> str:
    """The image's path below the root; of one that leads elsewhere the name alone."""
    name = str(image.get("file_name", image["id"]))
    if root is not None and Path(name).is_relative_to(root):
        name = Path(name).relative_to(root).as_posix()
    return name if is_inside(name) else Path(name).name
