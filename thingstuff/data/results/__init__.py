"""Results of other programs, one format a file, by name; `auto` is the first that recognises the files."""

from __future__ import annotations

from pathlib import Path

from thingstuff.data.results.cityscapes import CITYSCAPES_RESULTS
from thingstuff.data.results.coco import COCO_RESULTS
from thingstuff.data.results.coco_panoptic import COCO_PANOPTIC_RESULTS
from thingstuff.data.results.result_format import ResultFormat, ResultSource
from thingstuff.data.results.targets import TargetImage, Targets
from thingstuff.data.results.yolo import YOLO_RESULTS
from thingstuff.errors import DataError

# the order in which `auto` asks
RESULTS: dict[str, ResultFormat] = {
    f.name: f for f in (COCO_PANOPTIC_RESULTS, COCO_RESULTS, CITYSCAPES_RESULTS, YOLO_RESULTS)
}


def result_format_of(name: str, path: Path) -> ResultFormat:
    """The format of that name, or with "auto" the first that recognises `path`."""
    if name != "auto":
        if name not in RESULTS:
            raise DataError(f"there is no format of results {name!r}: choose one of auto, {', '.join(RESULTS)}")
        return RESULTS[name]
    if not path.exists():
        raise DataError(f"there are no results at {path}")
    found = next((each for each in RESULTS.values() if each.recognises(path)), None)
    if found is None:
        raise DataError(f"{path}: results of no format that is known: say which, one of {', '.join(RESULTS)}")
    return found


__all__ = ["RESULTS", "ResultFormat", "ResultSource", "TargetImage", "Targets", "result_format_of"]
