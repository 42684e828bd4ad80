"""Detectron2's panoptic pair, a tensor of segment ids and `segments_info`, to a `PanopticMap` and back.

Detectron2's class indices come in two conventions, told apart by the metadata's two id maps alone: "separated" as in
Panoptic FPN, where things and stuff are numbered each for itself (stuff 0 is "things"), and "standard" as in
Panoptic-DeepLab, where both are positions in one list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from thingstuff.errors import DataError
from thingstuff.structures import Categories, PanopticMap, Segment
from thingstuff.structures.arrays import refuse_duplicates

SegmentsInfo = Sequence[Mapping[str, Any]]


def to_panoptic_map(
    panoptic_seg: tuple[torch.Tensor, SegmentsInfo | None], metadata: Any, categories: Categories
) -> PanopticMap:
    """H x W integer segment ids, on any device, and their infos -> PanopticMap with data set category ids.

    Infos may be None: then the ids are class index * `metadata.label_divisor` + instance number, -1 is void, and a
    segment's id is that plus 1, as in Detectron2's evaluator. `metadata` is a Detectron2 entry or a mapping with its
    keys. Segments without a pixel, which a model may well record, are left out.
    """
    tensor, segments_info = panoptic_seg
    ids = tensor.detach().cpu().numpy()
    if segments_info is None:
        ids, segments_info = _decode(ids, metadata)
    refuse_duplicates((info["id"] for info in segments_info), "two segments share the id {}: give each its own")
    used = set(np.unique(ids).tolist())
    present = with_dataset_ids([info for info in segments_info if info["id"] in used], metadata)
    return PanopticMap.from_labels(
        ids.astype(np.uint32),
        {info["id"]: info["category_id"] for info in present},
        categories,
        scores={info["id"]: info["score"] for info in present if "score" in info},
    )


def with_dataset_ids(segments_info: SegmentsInfo, metadata: Any) -> list[dict[str, Any]]:
    """The infos with data set category ids in place of class indices; `isthing` says which id map applies.

    Without `isthing` the category id is the data set's already. As in Detectron2's evaluator, but in new dictionaries.
    """
    id_of = {kind: _dataset_ids(metadata, kind) for kind in ("thing", "stuff")}
    return [_with_dataset_id(info, id_of) for info in segments_info]


def to_panoptic_seg(
    panoptic: PanopticMap, instance_index_by_segment: Mapping[int, int], metadata: Any
) -> tuple[torch.Tensor, list[dict[str, Any]]]:
    """H x W int32 segment ids on the CPU and the infos of Panoptic FPN, with class indices; 0 is void.

    `instance_index_by_segment` gives a thing's place among the instances; `metadata` is a Detectron2 entry, or
    `Categories.to_metadata()`. A thing without an instance or without a score has no such key.
    """
    largest = int(panoptic.ids.max(initial=0))
    if largest > np.iinfo(np.int32).max:
        raise DataError(f"segment {largest}: expected an id below 2**31, since Detectron2 keeps ids as int32")
    index_of = {kind: {d: i for i, d in _dataset_ids(metadata, kind).items()} for kind in ("thing", "stuff")}
    infos = [_to_info(s, index_of, instance_index_by_segment.get(s.id)) for s in panoptic.segments]
    return torch.from_numpy(panoptic.ids.astype(np.int32)), infos


def _decode(labels: np.ndarray, metadata: Any) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Ids that hold their class -> ids with 0 for void, and the infos that Detectron2's evaluator derives."""
    divisor = metadata.get("label_divisor")
    if not divisor:
        raise DataError("the model gives panoptic ids without segments_info: set label_divisor in the metadata")
    things = set(_dataset_ids(metadata, "thing"))
    found = [label for label in np.unique(labels).tolist() if label != -1]
    infos = [{"id": n + 1, "category_id": n // divisor, "isthing": n // divisor in things} for n in found]
    return labels + 1, infos


def _dataset_ids(metadata: Any, kind: str) -> dict[int, int]:
    """Class index -> data set id; without an id map, as elsewhere in Detectron2, they are the same."""
    index_of = metadata.get(f"{kind}_dataset_id_to_contiguous_id")
    if index_of is None:
        return {index: index for index in range(len(metadata.get(f"{kind}_classes") or ()))}
    return {index: dataset_id for dataset_id, index in index_of.items()}


def _with_dataset_id(info: Mapping[str, Any], id_of: Mapping[str, Mapping[int, int]]) -> dict[str, Any]:
    converted = dict(info)
    isthing = converted.pop("isthing", None)
    if isthing is None:
        return converted
    kind = "thing" if isthing else "stuff"
    if info["category_id"] not in id_of[kind]:
        raise DataError(f"segment {info['id']}: the data set has no {kind} class {info['category_id']}")
    return converted | {"category_id": id_of[kind][info["category_id"]]}


def _to_info(segment: Segment, index_of: Mapping[str, Mapping[int, int]], instance_index: int | None) -> dict[str, Any]:
    kind = "thing" if segment.isthing else "stuff"
    if segment.category_id not in index_of[kind]:
        raise DataError(f"segment {segment.id}: the metadata has no {kind} class for category {segment.category_id}")
    info = {"id": segment.id, "isthing": segment.isthing, "category_id": index_of[kind][segment.category_id]}
    if not segment.isthing:
        return info | {"area": segment.area}
    optional = {"score": segment.score, "instance_id": instance_index}
    return info | {key: value for key, value in optional.items() if value is not None}
