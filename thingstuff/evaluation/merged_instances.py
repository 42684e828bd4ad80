"""What became of each instance in a merge: its detection, its outcome and its thing in the panoptic map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thingstuff.errors import DataError
from thingstuff.evaluation.coco_fields import Record
from thingstuff.structures import PanopticMap

_FIELDS = {"index", "category_id", "outcome", "segment_id", "reason"}  # what is read of a ledger's instance


@dataclass(frozen=True, eq=False)
class MergedImage:
    """One image's merge: COCO result records of all N detections, the map merged from them, and the ledger's records.

    None means that the predictions have no such thing.
    """

    image_id: int | str
    detections: Sequence[Record] | None
    panoptic: PanopticMap | None
    ledger: Sequence[Mapping[str, Any]] | None


def things_of(panoptic: PanopticMap, image_id: int | str) -> list[Record]:
    """The map's things, crowds left out, as COCO result records, with their scores (1 where they have none).

    `segmentation` is the RLE of the pixels that the map gives them and `bbox` its tight box.
    """
    return panoptic.to_detections().to_coco(image_id)


@dataclass(frozen=True, eq=False)
class MergedInstances:
    """All N detections of many images in their order, and the things of the maps that were merged from them.

    An outcome is "kept", "eroded", or the reason for which the instance was dropped.
    """

    detections: list[Record]
    things: list[Record]
    thing_of: npt.NDArray[np.int64]  # N, the place of each among `things`, -1 for none
    outcomes: npt.NDArray[np.object_]  # N
    places: npt.NDArray[np.int64]  # N, the place of each among the detections of its image

    @classmethod
    def of(cls, images: Iterable[MergedImage], category_ids: Mapping[int, int]) -> MergedInstances:
        """`category_ids`: those of the images -> those that the records get, where they differ."""
        detections: list[Record] = []
        things: list[Record] = []
        thing_of: list[int] = []
        outcomes: list[str] = []
        places: list[int] = []
        seen: set[int | str] = set()
        for image in images:
            if image.image_id in seen:
                raise DataError(f"image {image.image_id!r} is there twice: give each image once")
            seen.add(image.image_id)
            one = _Image.of(image)
            thing_of += [place if place < 0 else place + len(things) for place in one.places]
            detections += _renumbered(one.detections, category_ids)
            things += _renumbered(one.things, category_ids)
            outcomes += one.outcomes
            places += range(len(one.detections))
        if not seen:
            raise DataError("there is no image, so nothing was merged")
        return cls(
            detections,
            things,
            thing_of=np.array(thing_of, np.int64),
            outcomes=np.array(outcomes, object),
            places=np.array(places, np.int64),
        )


@dataclass(frozen=True, eq=False)
class _Image:
    """One image: its things in the order of the instances, and each instance's outcome and place among them."""

    detections: Sequence[Record]
    things: list[Record]
    places: list[int]
    outcomes: list[str]

    @classmethod
    def of(cls, image: MergedImage) -> _Image:
        detections, panoptic, ledger = _required(image)
        entries = _entries(ledger, detections, image.image_id)
        survivors = [None if entry["outcome"] == "dropped" else entry["segment_id"] for entry in entries]
        found = dict(zip(_thing_ids(panoptic), things_of(panoptic, image.image_id), strict=True))
        order = list(dict.fromkeys(segment_id for segment_id in survivors if segment_id is not None))
        without, unknown = set(order) - set(found), set(found) - set(order)
        if without or unknown:
            where = f"thing {min(without or unknown)} is in the {'ledger' if without else 'panoptic map'} only"
            raise DataError(f"image {image.image_id!r}: {where}: the two are not of one merge, so merge again")
        place = {segment_id: number for number, segment_id in enumerate(order)}
        places = [-1 if segment_id is None else place[segment_id] for segment_id in survivors]
        return cls(detections, [found[segment_id] for segment_id in order], places, [_outcome(e) for e in entries])


def _required(image: MergedImage) -> tuple[Sequence[Record], PanopticMap, Sequence[Mapping[str, Any]]]:
    name = f"image {image.image_id!r}"
    if image.panoptic is None:
        raise DataError(f"{name} has no panoptic map: predict with PANOPTIC.ENABLED True to see what a merge costs")
    if image.detections is None or image.ledger is None:
        lacking = "ledger" if image.ledger is None else "instances"
        raise DataError(f"{name} has a panoptic map but no {lacking}: it was not merged from instances, so has no cost")
    return image.detections, image.panoptic, image.ledger


def _entries(
    ledger: Sequence[Mapping[str, Any]], detections: Sequence[Record], image_id: int | str
) -> list[Mapping[str, Any]]:
    """The ledger's instances in the order of the detections."""
    unsorted = [entry for entry in ledger if entry.get("kind") == "instance"]
    damaged = next((entry for entry in unsorted if not entry.keys() >= _FIELDS), None)
    if damaged is not None:
        raise DataError(f"image {image_id!r}: ledger: expected the keys {sorted(_FIELDS)}, got {sorted(damaged)}")
    found = sorted(unsorted, key=lambda entry: int(entry["index"]))
    stated = [(entry["index"], entry["category_id"]) for entry in found]
    expected = [(number, record["category_id"]) for number, record in enumerate(detections)]
    if stated != expected:
        raise DataError(
            f"image {image_id!r}: the ledger tells of {len(stated)} instances, which are not the {len(expected)} that "
            "were detected: they are not of one merge, so merge again"
        )
    return found


def _thing_ids(panoptic: PanopticMap) -> list[int]:
    """The segment ids of `things_of`."""
    return [segment.id for segment in panoptic.segments if segment.isthing and not segment.iscrowd]


def _outcome(entry: Mapping[str, Any]) -> str:
    return str(entry["reason"] if entry["outcome"] == "dropped" else entry["outcome"])


def _renumbered(records: Sequence[Record], category_ids: Mapping[int, int]) -> Iterable[Record]:
    if not category_ids:
        return records
    return ({**r, "category_id": category_ids.get(r["category_id"], r["category_id"])} for r in records)
