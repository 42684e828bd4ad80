"""A split's instances -> FiftyOne's COCODetectionDataset: COCO's JSON, with what FiftyOne cannot do without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from thingstuff.data.formats.coco_write import write_coco_files
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.truth_instances import Instance, instances_by_image
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.progress import watched

LABELS, DATA = "labels.json", "data"


def write_fiftyone(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `labels.json`, and the images to `data/` if they are to be copied; the path of the JSON.

    Ids and masks stay as they are. Every image gets its size, and every annotation a box, without which FiftyOne does
    not show it. Without copies FiftyOne must be told where the images are, by `data_path`.
    """
    images = instances_by_image(truth)
    sizes = {record["id"]: image.size_hw for record, image in zip(truth.images, images, strict=True)}
    sized = [{**record, "height": sizes[record["id"]][0], "width": sizes[record["id"]][1]} for record in truth.images]
    boxed = [
        _boxed(Instance(record, "", truth.annotation_place(number)), sizes[record["image_id"]])
        for number, record in enumerate(watched(truth.annotations or [], f"writing {folder.name}"))
    ]
    written = replace(truth, images=sized, annotations=boxed)
    return write_coco_files(written, folder / LABELS, folder / DATA, options)


def _boxed(instance: Instance, size_hw: tuple[int, int]) -> Record:
    if "bbox" in instance.record or instance.segmentation is None:
        return instance.record
    _, (x0, y0, x1, y1) = instance.mask(size_hw)
    return instance.record | {"bbox": [x0, y0, x1 - x0, y1 - y0]}
