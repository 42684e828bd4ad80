"""A Detectron2 evaluator of panoptic quality: nothing but counts is kept of an image, and nothing else is needed."""

from __future__ import annotations

import functools
import logging
import operator
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from thingstuff.errors import DataError
from thingstuff.evaluation import CocoPanoptic, PanopticCounts, SegmentRuns
from thingstuff.files import write_json
from thingstuff.merge import LedgerTotals
from thingstuff.modeling.panoptic_outputs import to_panoptic_map, with_dataset_ids
from thingstuff.structures import Categories, PanopticMap

logger = logging.getLogger(__name__)


@functools.lru_cache(maxsize=2)
def _kept_truth(path: str, folder: str | None, changed_ns: int) -> CocoPanoptic:
    """The next evaluation finds every image decoded, as long as the JSON stays as it is."""
    return CocoPanoptic.open(path, folder)


class PanopticEvaluator(DatasetEvaluator):
    """PQ, SQ and RQ as `{"panoptic_seg": {...}}` in percent, as Detectron2's COCOPanopticEvaluator.

    It needs no panopticapi, counts each image when it comes, evaluates the images that were processed, adds PQ of each
    category and, given a folder, writes `panoptic.json` and the PNGs of `panoptic/`. The truth is the data set's
    `panoptic_json`, or else the `pan_seg_file_name` and `segments_info` of the records.
    """

    def __init__(self, dataset_name: str, output_dir: str | Path | None = None) -> None:
        self._dataset_name = dataset_name
        self._metadata = MetadataCatalog.get(dataset_name)
        self._output_dir = Path(output_dir) if output_dir else None
        self.reset()

    def reset(self) -> None:
        self._counts: PanopticCounts | None = None
        self._totals = LedgerTotals()
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def process(self, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> None:
        for record, output in zip(inputs, outputs, strict=True):
            if "panoptic_seg" in output:
                self._process_one(record, output["panoptic_seg"])
            if "ledger" in output:
                self._totals.add(output["ledger"])

    def _process_one(self, record: Mapping[str, Any], panoptic_seg: Any) -> None:
        truth = self._read_truth(record)
        try:
            predicted = to_panoptic_map(panoptic_seg, self._metadata, self._categories)
            self._counts = (self._counts or PanopticCounts.empty(self._categories)).add(predicted, truth)
            if self._output_dir:
                self._write(self._output_dir / "panoptic", record, predicted)
        except DataError as error:
            raise DataError(f"data set {self._dataset_name}, image {record['image_id']!r}: {error}") from error

    def _read_truth(self, record: Mapping[str, Any]) -> PanopticMap | SegmentRuns:
        if self._truth:
            return self._truth.read_runs(record["image_id"])
        file, segments_info = record.get("pan_seg_file_name"), record.get("segments_info")
        if not file or segments_info is None:
            raise DataError(
                f"data set {self._dataset_name}, image {record['image_id']!r}: no panoptic truth: set panoptic_json "
                "and panoptic_root in the metadata, or pan_seg_file_name and segments_info in the records"
            )
        return PanopticMap.read_coco(file, with_dataset_ids(segments_info, self._metadata), self._categories)

    @cached_property
    def _truth(self) -> CocoPanoptic | None:
        """Read with the first output that needs it: the file of a large data set is large."""
        path = self._metadata.get("panoptic_json")
        if not path or not Path(path).exists():
            return CocoPanoptic.open(path) if path else None
        return _kept_truth(str(path), self._metadata.get("panoptic_root"), Path(path).stat().st_mtime_ns)

    @cached_property
    def _categories(self) -> Categories:
        return self._truth.categories if self._truth else Categories.from_metadata(self._metadata)

    def _write(self, folder: Path, record: Mapping[str, Any], predicted: PanopticMap) -> None:
        image_id, file = record["image_id"], self._relative(Path(record["file_name"]))
        png = file.with_suffix(".png")
        segments_info = predicted.write_coco(folder / png)
        height, width = predicted.ids.shape
        self._images.append({"id": image_id, "file_name": file.as_posix(), "height": height, "width": width})
        self._annotations.append({"image_id": image_id, "file_name": png.as_posix(), "segments_info": segments_info})

    def _relative(self, file: Path) -> Path:
        """Detectron2's name for images that lie in one folder; those in several folders stay apart."""
        root = self._metadata.get("image_root")
        return file.relative_to(root) if root and file.is_relative_to(root) else Path(file.name)

    def evaluate(self) -> dict[str, dict[str, float]]:
        """The metrics on the main process, an empty dictionary on the others."""
        gathered = comm.gather((self._counts, self._totals, self._images, self._annotations))
        counts = [counts for counts, *_ in gathered if counts is not None]
        if not comm.is_main_process() or not counts:
            return {}
        for line in functools.reduce(operator.add, (totals for _, totals, *_ in gathered)).lines():
            logger.info("%s", line)
        if self._output_dir:
            content = {
                "images": [image for *_, images, _ in gathered for image in images],
                "annotations": [annotation for *_, annotations in gathered for annotation in annotations],
                "categories": self._categories.to_coco(),
            }
            write_json(self._output_dir / "panoptic.json", content)
        return {"panoptic_seg": functools.reduce(operator.add, counts).scores().percent()}
