"""Semantic label maps: a folder of PNGs, one an image, whose numbers are classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thingstuff.data.formats.format import STUFF, Format, Source
from thingstuff.data.formats.image_files import ImageFiles, files_below, first_files, image_record, stem_of
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.semantic_labels import LABELS_FILE, SemanticLabels
from thingstuff.data.formats.semantic_write import write_semantic
from thingstuff.data.truth import Record, SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.structures.png import LABEL_KINDS, png_kind

_LOOKED_AT = 4
# ends of names of which a hint is given when nothing can be paired
_KNOWN_ENDS = (
    *("_gtFine_labelTrainIds", "_gtFine_labelIds", "_gtCoarse_labelIds", "_labelTrainIds", "_labelIds"),
    *("_mask", "_seg", "_label", "_labels", "_semantic", "_L"),
)
_KNOWN_IMAGE_ENDS = ("_leftImg8bit", "_image", "_img", "_rgb")
_LABEL_FOLDERS = ("labels", "masks", "annotations", "label", "mask", "SegmentationClass", "gtFine", "stuff", "seg")
_IMAGE_FOLDERS = ("images", "image", "JPEGImages", "leftImg8bit", "imgs", "img")


def _recognises(path: Path) -> bool:
    if not path.is_dir():
        return False
    names = first_files(path, (".png",), _LOOKED_AT)
    return bool(names) and all(png_kind(path / name) in LABEL_KINDS for name in names)


def _read(source: Source) -> SplitTruth:
    folder = source.annotations
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of label maps (PNG)")
    end, image_end = _end(source, "suffix"), _end(source, "image_suffix")
    labels = {name: stem_of(name) for name in files_below(folder, (".png",)) if stem_of(name).endswith(end)}
    if not labels:
        what = f"whose names end in {end}.png" if end else "in it"
        raise DataError(f"{folder}: there are no label maps (PNG) {what}")
    root = source.images or _guess_images(folder)
    pairs = _pairs(labels, _images(root, folder, labels), end, image_end)
    if not pairs:
        raise DataError(_how_to_pair(folder, root, labels))
    images, paths = _records(pairs, root, folder)
    meaning = SemanticLabels.of(source, list(paths.values()))
    return SplitTruth(
        name=str(folder),
        image_root=root,
        categories=meaning.categories,
        images=images,
        stuff=StuffFiles(paths, meaning.label_ids, meaning.void_labels),
        image_places=[str(root / image["file_name"]) for image in images],
        notes=(*meaning.notes, *_left_out(folder, labels, pairs)),
    )


def _end(source: Source, key: str) -> str:
    value = source.options.get(key, "")
    if not isinstance(value, str):
        raise DataError(f"{key}: expected the end of names as text, such as _mask, got {shown(value)}")
    return stem_of(value) if value.lower().endswith(".png") else value


def _guess_images(folder: Path) -> Path:
    """`labels/train` -> `images/train`, and the like; the folder itself where there is none."""
    parts = folder.parts
    for place in range(len(parts) - 1, 0, -1):
        if parts[place] not in _LABEL_FOLDERS:
            continue
        for other in _IMAGE_FOLDERS:
            found = Path(*parts[:place], other, *parts[place + 1 :])
            if found.is_dir():
                return found
    return folder


def _images(root: Path, folder: Path, labels: dict[str, str]) -> ImageFiles:
    """Where images and label maps lie in one folder, a label map is no image."""
    same = root.resolve() == folder.resolve()
    return ImageFiles.below(root, without=labels if same else ())


def _pairs(labels: dict[str, str], images: ImageFiles, end: str, image_end: str) -> dict[str, str]:
    """Image -> label map, both as relative paths, in the order of the images."""
    found: dict[str, str] = {}
    for label, stem in labels.items():
        key = stem.removesuffix(end)
        image = images.called(key + image_end) or images.called(key)
        if image is None:
            continue
        if image in found:
            raise DataError(
                f"{images.root / image} has two label maps, {found[image]} and {label}: say which by suffix"
            )
        found[image] = label
    return dict(sorted(found.items()))


def _how_to_pair(folder: Path, root: Path, labels: dict[str, str]) -> str:
    ends = [end for end in _KNOWN_ENDS if any(stem.endswith(end) for stem in labels.values())]
    images = first_files(root, (".jpg", ".jpeg", ".png"), 1)
    image_ends = [end for end in _KNOWN_IMAGE_ENDS if images and stem_of(images[0]).endswith(end)]
    hints = [f"suffix: {end}" for end in ends[:1]] + [f"image_suffix: {end}" for end in image_ends[:1]]
    remedy = f"try {' and '.join(hints)}" if hints else "say where the images are (images), or how names end (suffix)"
    return f"{folder}: no label map, as {next(iter(labels))}, belongs by its name to an image in {root}: {remedy}"


def _records(pairs: dict[str, str], root: Path, folder: Path) -> tuple[list[Record], dict[int | str, Path]]:
    images = [
        image_record(number, name, root) for number, name in enumerate(watched(list(pairs), "sizes of images"), 1)
    ]
    return images, {image["id"]: folder / pairs[image["file_name"]] for image in images}


def _left_out(folder: Path, labels: dict[str, str], pairs: dict[str, str]) -> list[str]:
    used = set(pairs.values())
    alone = [name for name in labels if name not in used]
    return [f"{folder}: {len(alone)} label maps have no image, as {alone[0]}: left out"] if alone else []


_OPTIONS: dict[str, Any] = {
    "suffix": "how the names of label maps end, as _mask; others in the folder are left out",
    "image_suffix": "how the names of images end, as _leftImg8bit",
    "void": "labels of pixels that nobody knows; by default [255]",
    "labels": f"label -> name of a category, null for things; without names ids are labels, or {LABELS_FILE} says it",
}

SEMANTIC = Format(
    name="semantic",
    title="label maps, one PNG of class numbers an image",
    recognises=_recognises,
    read=_read,
    write=write_semantic,
    holds=frozenset({STUFF}),
    options=_OPTIONS,
)
