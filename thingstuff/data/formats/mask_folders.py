"""One PNG an instance: a folder of masks for each image, as in the 2018 Data Science Bowl."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import INSTANCES, Format, Source
from thingstuff.data.formats.image_files import folders_below, image_record
from thingstuff.data.formats.instance_records import Instances, categories_of, mask_shapes, trimmed
from thingstuff.data.formats.mask_folder_layouts import masks_by_image
from thingstuff.data.formats.mask_folders_write import write_mask_folders
from thingstuff.data.formats.written_options import SINGLE, MaskOptions
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.structures.png import read_mask_png

_WAYS = ("none", "prefix", "folder")
_PROBES = 3


def recognise_mask_folders(path: Path) -> bool:
    """Folders that hold `images` and `masks`, or `masks` with a folder for each image."""
    try:
        inner = folders_below(path)
        if "masks" in inner:
            return bool(folders_below(path / "masks"))
        return bool(inner) and all({"images", "masks"} <= set(folders_below(path / name)) for name in inner[:_PROBES])
    except DataError:
        return False


def read_mask_folders(source: Source) -> SplitTruth:
    """Pixels that are not black are the instance. A mask of another size than its image keeps its size in the RLE.

    An image with an empty folder of masks has no instance; one without a folder is left out, since nobody looked at it.
    """
    options = MaskOptions.of(source, source.annotations)
    way = options.text("class_from", "none")
    if way not in _WAYS:
        raise options.refusal("class_from", f"one of {', '.join(_WAYS)}")
    paired = masks_by_image(source, has_classes=way == "folder")
    found, images, faults = Instances(), [], Faults(source.lenient)
    for number, (file_name, masks) in enumerate(watched(paired.masks.items(), f"reading {source.annotations.name}"), 1):
        size_hw = None
        for mask in masks:
            with faults.skipping("masks that cannot be read"):
                label, shape = _class(mask, way), _shape(paired.folder / mask)
                found.add(number, label, shape, mask)
                size_hw = size_hw or tuple(shape["segmentation"]["size"])
        images.append(image_record(number, file_name, paired.image_root, size_hw))
    categories, notes = _categories(options, way, found, source.annotations)
    return SplitTruth(
        name=str(source.annotations),
        image_root=paired.image_root,
        categories=categories,
        images=images,
        annotations=found.all_as(categories[0]["id"]) if way == "none" else found.categorised(categories),
        annotation_places=found.places,
        image_places=list(paired.masks),
        notes=(*notes, *paired.notes, *faults.settle(str(source.annotations))),
    )


def _shape(path: Path) -> Record:
    mask = read_mask_png(path)
    crop, (x0, y0, _, _) = trimmed(mask, 0, 0, mask.shape)
    return mask_shapes([crop], [(x0, y0)], *mask.shape)[0]


def _class(mask: str, way: str) -> str:
    path = PurePosixPath(mask)
    if way == "folder":
        return path.parent.name
    if way == "none":
        return SINGLE
    name, line, _ = path.stem.rpartition("_")
    if not line or not name:
        raise DataError(f"{mask}: expected a name such as cat_003.png, since class_from is prefix")
    return name


def _categories(options: MaskOptions, way: str, found: Instances, folder: Path) -> tuple[list[Record], tuple[str, ...]]:
    if way == "none":
        return options.single(folder, "say by `class_from` what tells them"), ()
    return categories_of(options.categories, found.labels())


MASK_FOLDERS = Format(
    name="mask_folders",
    title="one PNG an instance, in a folder for each image",
    recognises=recognise_mask_folders,
    read=read_mask_folders,
    write=write_mask_folders,
    holds=frozenset({INSTANCES}),
    options={"class_from": "what tells the class: none, prefix (cat_003.png) or folder (masks/NAME/CLASS/*.png)"},
)
