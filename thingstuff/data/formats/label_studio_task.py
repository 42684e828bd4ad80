"""A task of Label Studio's JSON: the image that it is about, and the regions that somebody drew in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.image_references import ImageReference, reference_or_fault
from thingstuff.data.formats.instance_records import checked_label, checked_size_hw, shown
from thingstuff.errors import DataError

Results = list[Mapping[str, Any]]

AREAS = ("polygon", "rectangle", "ellipse", "brush")
_MOST_LABELS = 20
_LABELS = "labels"  # with which the types end that name classes: labels, polygonlabels, ...


@dataclass(frozen=True)
class LabelStudioTask:
    """`results` are of the annotation that counts, None where there is none; `others` is how many more there are."""

    reference: ImageReference
    results: list[Any] | None
    others: int
    place: str


@dataclass(frozen=True)
class LabelStudioRegion:
    """An area: the value that holds its place, as `kind` has it; `stated_hw` is the size of the image."""

    kind: str
    value: Mapping[str, Any]
    labels: list[Any]
    stated_hw: tuple[int, int] | None
    place: str

    @property
    def label(self) -> str:
        if len(self.labels) != 1:
            raise DataError(f"{self.place}: expected one label, got {shown(self.labels)}")
        return checked_label(self.labels[0], self.place)


def read_task(value: Any, number: int, name: str, image_key: str | None, faults: Faults) -> LabelStudioTask | None:
    """None where the task names no image, which is a fault then. `image_key`: that of its data, None to guess it."""
    place = f"{name}: [{number}]"
    if not isinstance(value, dict) or not isinstance(value.get("data"), dict):
        raise DataError(f"{place}: expected a task with data and annotations (export as JSON, not JSON-MIN)")
    found = [each for each in _annotations(value, place) if not each.get("was_cancelled")]
    reference = reference_or_fault(_image(value["data"], image_key, place), place, faults)
    if reference is None:
        return None
    return LabelStudioTask(reference, _results(found[-1], place) if found else None, max(0, len(found) - 1), place)


def regions_of(task: LabelStudioTask, left_out: dict[str, int], faults: Faults) -> Iterator[LabelStudioRegion]:
    """The areas. Results of one id are one region; what is no area is counted in `left_out` by its type.

    A region's `parentID` only sorts the list beside the image, so each is an instance of its own.
    """
    groups: dict[Any, list[Any]] = {}
    for number, result in enumerate(task.results or []):
        is_named = isinstance(result, dict) and isinstance(result.get("id"), str)
        groups.setdefault(result["id"] if is_named else number, []).append((number, result))
    for group in groups.values():
        place = f"{task.place}: result[{group[0][0]}]"
        with faults.skipping("regions that cannot be read"):
            region = _region([_checked(result, place) for _, result in group], place)
            if region is None:
                kind = group[0][1]["type"]
                left_out[kind] = left_out.get(kind, 0) + 1
            else:
                yield region


def _annotations(task: Mapping[str, Any], place: str) -> list[Any]:
    annotations = task.get("annotations")
    if not isinstance(annotations, list) or not all(isinstance(each, dict) for each in annotations):
        raise DataError(f"{place}: expected annotations as a list of objects, got {shown(annotations)}")
    return annotations


def _results(annotation: Mapping[str, Any], place: str) -> list[Any]:
    results = annotation.get("result")
    if not isinstance(results, list):
        raise DataError(f"{place}: expected the result of its annotation as a list, got {shown(results)}")
    return results


def _image(data: Mapping[str, Any], key: str | None, place: str) -> Any:
    """The value of `key`; else the only one that ends as images do, or is called image."""
    if key is not None:
        if key not in data:
            raise DataError(f"{place}: its data have no {shown(key)}, which `image` names")
        return data[key]
    found = [name for name, value in data.items() if isinstance(value, str) and _is_image(value)]
    if len(found) > 1:
        raise DataError(f"{place}: say by `image` which of its data is the image: {shown(found)}")
    return data[found[0]] if found else data.get("image")


def _is_image(value: str) -> bool:
    try:
        return ImageReference.of(value, "").is_image
    except DataError:
        return False


def _checked(result: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(result, dict) or not isinstance(result.get("type"), str):
        raise DataError(f"{place}: expected an object with type and value, got {shown(result)}")
    return result


def _region(results: Results, place: str) -> LabelStudioRegion | None:
    """The area of the first result that has one, with the labels of all; None where none has one."""
    area = next((each for each in results if _kind(each) in AREAS), None)
    if area is None:
        return None
    if not isinstance(area.get("value"), dict):
        raise DataError(
            f"{place}: expected a value with the place of the {_kind(area)}, got {shown(area.get('value'))}"
        )
    if area.get("image_rotation"):
        raise DataError(
            f"{place}: its image was turned by {shown(area['image_rotation'])} degrees when it was drawn, "
            "which is not read: turn it back in Label Studio and export again"
        )
    return LabelStudioRegion(_kind(area), area["value"], _labels(results), _stated_hw(area, place), place)


def _kind(result: Mapping[str, Any]) -> str:
    """`polygonlabels` -> `polygon`."""
    return result["type"].lower().removesuffix(_LABELS)


def _labels(results: Results) -> list[Any]:
    """Each once; of very many the first."""
    labels: list[Any] = []
    for result in results:
        value = result.get("value")
        named = value.get(result["type"]) if isinstance(value, dict) and result["type"].endswith(_LABELS) else None
        labels += named[:_MOST_LABELS] if isinstance(named, list) else []
    labels = labels[:_MOST_LABELS]
    return [label for number, label in enumerate(labels) if label not in labels[:number]]


def _stated_hw(result: Mapping[str, Any], place: str) -> tuple[int, int] | None:
    height, width = result.get("original_height"), result.get("original_width")
    return None if height is None or width is None else checked_size_hw(height, width, place)
