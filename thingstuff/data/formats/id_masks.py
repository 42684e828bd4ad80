"""Masks of ids: one PNG an image, whose values are instances; 0 is the background."""

from __future__ import annotations

from pathlib import Path

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import INSTANCES, Format, Source
from thingstuff.data.formats.id_mask_values import instances_of_values
from thingstuff.data.formats.id_masks_write import write_id_masks
from thingstuff.data.formats.image_files import (
    ImageFiles,
    files_below,
    first_files,
    image_record,
    images_near,
    stem_of,
)
from thingstuff.data.formats.instance_records import Instances
from thingstuff.data.formats.written_options import MaskOptions
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.structures.png import png_kind, read_label_png

_PROBES = 3
_KNOWN_ENDS = ("_instanceIds", "_instances", "_instance", "_masks", "_mask", "_ids")


def recognise_id_masks(path: Path) -> bool:
    """A folder of PNGs that are 16-bit grey, or whose names speak of instances; others may be maps of classes."""
    names = first_files(path, [".png"], _PROBES)
    is_named = all("instance" in name.lower() for name in names)
    return bool(names) and (is_named or all(png_kind(path / name) == "16-bit grey" for name in names))


def read_id_masks(source: Source) -> SplitTruth:
    """Pixels of one value are one instance, wherever they are. An image's size is its file's, a mask's its own."""
    folder = source.annotations
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of masks (PNG)")
    options = MaskOptions.of(source, folder)
    root = source.images or images_near(folder)
    masks, notes = _pairs(folder, root, options)
    divisor = _divisor(options)
    found, images, stuff = Instances(), [], 0
    faults, places = Faults(source.lenient), []
    for file_name, mask in watched(masks.items(), f"reading {folder.name}"):
        with faults.skipping("masks that cannot be read"):
            values = instances_of_values(read_label_png(folder / mask, rgb_ids=True), str(folder / mask))
            number = len(images) + 1
            images.append(image_record(number, file_name, root, values.size_hw))
            places.append(mask)
            for value, shape in zip(values.ids, values.shapes, strict=True):
                if divisor and value < divisor:
                    stuff += 1
                else:
                    found.add(number, value // divisor if divisor else 1, shape, f"{mask}: id {value}")
    if stuff:
        notes.append(f"left out: {stuff} regions with values below the divisor {divisor}, which are no instances")
    categories = _categories(options, found, divisor, folder)
    return SplitTruth(
        name=str(folder),
        image_root=root,
        categories=categories,
        images=images,
        annotations=found.annotations if divisor else found.all_as(categories[0]["id"]),
        annotation_places=found.places,
        image_places=places,
        notes=(*notes, *faults.settle(str(folder))),
    )


def _divisor(options: MaskOptions) -> int:
    """0 where the values tell no classes."""
    divisor = options.values.get("divisor")
    if divisor is None:
        return 0
    if isinstance(divisor, bool) or not isinstance(divisor, int) or divisor < 2:
        raise options.refusal("divisor", "a whole number above 1, such as 1000")
    return divisor


def _categories(options: MaskOptions, found: Instances, divisor: int, folder: Path) -> list[Record]:
    if not divisor:
        return options.single(folder, "say by which `divisor` their ids are coded in the values")
    if options.categories is not None:
        return options.categories.to_coco()
    return [{"id": number, "name": f"class_{number}"} for number in sorted(found.labels())]


def _pairs(folder: Path, root: Path, options: MaskOptions) -> tuple[dict[str, str], list[str]]:
    """Image -> its mask, and notes on what has no other half. A mask without an image names one that is missing."""
    suffix, image_suffix = options.text("suffix").removesuffix(".png"), options.text("image_suffix")
    masks = [name for name in files_below(folder, [".png"]) if stem_of(name).endswith(suffix)]
    if not masks:
        raise DataError(f"{folder}: there are no masks (PNG) in it{f' whose names end in {suffix}' * bool(suffix)}")
    images = ImageFiles.below(root, without=masks if root == folder else ())
    pairs: dict[str, str] = {}
    unpaired = []
    for mask in masks:
        key = stem_of(mask).removesuffix(suffix) + image_suffix
        image = images.called(key)
        unpaired += [] if image else [mask]
        image = image or f"{key}{images.usual_ending}"
        if image in pairs:
            raise DataError(f"{root / image} has two masks, {pairs[image]} and {mask}: remove one")
        pairs[image] = mask
    if len(unpaired) == len(masks):
        raise DataError(f"{folder}: none of the masks has an image in {root}{_hint(masks[0], options)}")
    alone = len(images.names) - (len(masks) - len(unpaired))
    notes = [f"left out: {alone} of the images in {root}, which have no mask"] if alone else []
    return dict(sorted(pairs.items())), notes


def _hint(mask: str, options: MaskOptions) -> str:
    end = next((end for end in _KNOWN_ENDS if stem_of(mask).endswith(end)), None)
    if end and not options.text("suffix"):
        return f": try `suffix: {end}`, for {mask}"
    return f" (the first is {mask}): say where they are by `images`, and how names differ by `suffix`, `image_suffix`"


ID_MASKS = Format(
    name="id_masks",
    title="masks of ids: one PNG an image, whose values are instances",
    recognises=recognise_id_masks,
    read=read_id_masks,
    write=write_id_masks,
    holds=frozenset({INSTANCES}),
    options={
        "divisor": "values are category id * divisor + instance; below it is no instance (1000 for Cityscapes)",
        "suffix": "end of the names of the masks, which those of the images lack, such as _instanceIds",
        "image_suffix": "end of the names of the images, which those of the masks lack, such as _leftImg8bit",
    },
)
