"""Annotations as every program expects them: with id, box, area and crowd flag, which many files leave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops

EXPECTED = ("id", "bbox", "area", "iscrowd")


def is_complete(annotations: Iterable[Mapping[str, Any]]) -> bool:
    return all(all(key in note for key in EXPECTED) for note in annotations)


def complete(
    annotations: Sequence[Record], sizes: Mapping[Any, tuple[int, int]], places: Sequence[str]
) -> list[Record]:
    """The same with what is missing: from the mask where there is one, else from the box.

    `sizes`: (height, width) by image id; `places` are for messages. Ids that are there stay.
    """
    taken = {note["id"] for note in annotations if "id" in note}
    free = (number for number in range(1, len(annotations) + len(taken) + 1) if number not in taken)
    found = []
    for note, place in zip(annotations, places, strict=True):
        measured = {} if all(key in note for key in ("bbox", "area")) else _measured(note, sizes, place)
        given = {} if "id" in note else {"id": next(free)}
        found.append({"iscrowd": 0, **measured, **given, **note})
    return found


def _measured(note: Record, sizes: Mapping[Any, tuple[int, int]], place: str) -> Record:
    if note.get("segmentation"):
        try:
            mask = MaskCrops.from_coco([note["segmentation"]], *sizes[note["image_id"]]).tight()
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
        return {"bbox": mask.bboxes_xywh()[0].tolist(), "area": int(mask.areas_px()[0])}
    if "bbox" not in note:
        raise DataError(f"{place} has neither a mask nor a box: remove it, or run tools/dataset.py check with --fix")
    return {"area": note["bbox"][2] * note["bbox"][3]}
