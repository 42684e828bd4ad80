"""Pascal VOC's segmentation: for each image a PNG of objects and one of classes; also CVAT's "segmentation mask"."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import INSTANCES, Format, Source
from thingstuff.data.formats.image_files import image_record
from thingstuff.data.formats.instance_records import Instances
from thingstuff.data.formats.voc_files import CLASSES, VocFiles, voc_roots
from thingstuff.data.formats.voc_labels import LABELMAP, VOID, VocLabels
from thingstuff.data.formats.voc_pixels import VocPixels, read_voc_pixels
from thingstuff.data.formats.voc_write import write_voc
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched

_MOST_SHARE = 0.1  # of an object's pixels that may be of other classes than most of them


def recognise_voc(path: Path) -> bool:
    """A folder with VOC's two folders of PNGs, or with a folder that has them, as VOCdevkit."""
    try:
        return path.is_dir() and bool(voc_roots(path))
    except (DataError, OSError):
        return False


def read_voc(source: Source) -> SplitTruth:
    """Pixels of one number are one object, of the class that most of them have; void pixels are nobody's.

    Image ids are running numbers in the order of the names, category ids the class indices.
    """
    faults = Faults(source.lenient)
    files = VocFiles.of(source, faults)
    labels = VocLabels.of(files.root)
    found, images, places = Instances(), list[Record](), list[str]()
    void = Counter[str]()
    for file_name, (objects, classes) in watched(files.pngs.items(), f"reading {files.root.name}"):
        with faults.skipping("PNGs that cannot be read"):
            pixels = read_voc_pixels(files.root / objects, files.root / classes, labels)
            images.append(image_record(len(images) + 1, file_name, files.image_root, pixels.objects.size_hw))
            places.append(objects)
            void.update(images=int(pixels.void_px > 0), pixels=pixels.void_px)
            _add_objects(found, len(images), pixels, objects, labels, faults)
    return SplitTruth(
        name=str(files.root),
        image_root=files.image_root,
        categories=labels.categories(),
        images=images,
        annotations=found.annotations,
        annotation_places=found.places,
        image_places=places,
        notes=(*labels.notes, *files.notes, *_void_note(void), *faults.settle(str(files.root))),
    )


def _add_objects(
    found: Instances, image_id: int, pixels: VocPixels, png: str, labels: VocLabels, faults: Faults
) -> None:
    for number, shape in zip(pixels.objects.ids, pixels.objects.shapes, strict=True):
        place = f"{png}: object {number}"
        index = _class_of({i: px for i, px in pixels.classes_px[number].items() if i != VOID}, shape["area"])
        if index is None:
            faults.add("objects of several classes", f"{place}: {_shares(pixels.classes_px[number], labels)}")
        elif index == 0:
            faults.add("objects without a class", f"{place}: its pixels are background or void in {CLASSES}")
        elif index not in labels.names:
            faults.add("objects whose class has no name", f"{place}: class {index}: name it in {LABELMAP}")
        else:
            found.add(image_id, index, shape, place)


def _class_of(classes_px: dict[int, int], area_px: int) -> int | None:
    """Of the pixels that are not void the class of most, 0 without any, None where too many are of others."""
    if not classes_px:
        return 0
    index = max(classes_px, key=classes_px.__getitem__)
    return index if sum(classes_px.values()) - classes_px[index] <= _MOST_SHARE * area_px else None


def _shares(classes_px: dict[int, int], labels: VocLabels) -> str:
    most = sorted(classes_px.items(), key=lambda pair: -pair[1])[:3]
    return ", ".join(f"{px} pixels are {labels.names.get(index, f'class {index}')}" for index, px in most)


def _void_note(void: Counter[str]) -> tuple[str, ...]:
    if not void["pixels"]:
        return ()
    return (f"void: {void['pixels']} pixels of {void['images']} images belong to no object",)


VOC = Format(
    name="voc",
    title="Pascal VOC: a PNG of objects and one of classes an image",
    recognises=recognise_voc,
    read=read_voc,
    write=write_voc,
    holds=frozenset({INSTANCES}),
    options={
        "list": "the images to read: a list in ImageSets/Segmentation, as {split}, or a path, as lists/{split}.txt"
    },
)
