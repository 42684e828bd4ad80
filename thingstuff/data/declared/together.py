"""Truth of the same images from several places, as instances from polygons and stuff from label maps, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from thingstuff.data.declared.joined_categories import joined_categories
from thingstuff.data.truth import PanopticFiles, Record, SplitTruth
from thingstuff.errors import DataError


def lay_together(parts: Sequence[SplitTruth]) -> SplitTruth:
    """The images and ids are those of the first part; those of the others are found by their names without suffix.

    Categories are joined by name. An id that means two categories is given to the first, and the other gets a new one.
    """
    whole, *others = parts
    for other in others:
        whole = _joined(whole, other)
    return whole


def _joined(whole: SplitTruth, other: SplitTruth) -> SplitTruth:
    image_ids = _same_images(whole, other)
    categories, moved = joined_categories(whole.categories, other.categories)
    annotations, places = whole.annotations, whole.annotation_places
    if other.annotations is not None:
        if annotations is not None:
            raise DataError(f"{whole.name} and {other.name} both hold instances: declare one kind for each")
        annotations = [
            {**a, "image_id": image_ids.get(a.get("image_id")), "category_id": moved.get(a.get("category_id"))}
            for a in other.annotations
        ]
        places = [other.annotation_place(n) for n in range(len(annotations))]
    return replace(
        whole,
        categories=categories,
        annotations=annotations,
        annotation_places=places,
        stuff=whole.stuff or (other.stuff and other.stuff.with_images(image_ids).with_categories(moved)),
        panoptic=whole.panoptic or _panoptic(other.panoptic, image_ids, moved),
        json_path=whole.json_path if other.annotations is None else None,
        notes=(*whole.notes, *other.notes),
    )


def _panoptic(
    files: PanopticFiles | None, image_ids: Mapping[object, int | str], moved: Mapping[object, object]
) -> PanopticFiles | None:
    """The same under these ids; where none differs the file itself stays good."""
    if files is None:
        return None
    is_same = all(own == there for ids in (image_ids, moved) for own, there in ids.items())
    notes = [
        {
            **note,
            "image_id": image_ids.get(note.get("image_id")),
            "segments_info": [{**s, "category_id": moved.get(s.get("category_id"))} for s in note["segments_info"]],
        }
        for note in files.annotations
        if note.get("image_id") in image_ids
    ]
    is_whole = files.is_whole and is_same and len(notes) == len(files.annotations)
    return replace(files, annotations=notes, is_whole=is_whole)


def _same_images(whole: SplitTruth, other: SplitTruth) -> dict[object, int | str]:
    """The other's image ids -> those of the same images here."""
    here = {_stem(image): image["id"] for image in whole.images}
    if len(here) < len(whole.images):
        raise DataError(
            f"{whole.name}: two images differ in their suffix alone, so {other.name} cannot be laid to them"
        )
    found = {image["id"]: here.get(_stem(image)) for image in other.images}
    if not any(value is not None for value in found.values()):
        raise DataError(f"{whole.name} and {other.name} name no image in common: their names must be the same")
    return {own: there for own, there in found.items() if there is not None}


def _stem(image: Record) -> str:
    return PurePosixPath(str(image.get("file_name"))).with_suffix("").as_posix()
