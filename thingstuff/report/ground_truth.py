"""The truth that stored predictions are evaluated on: a registered data set, or a file in one of COCO's formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thingstuff.errors import ConfigError, DataError
from thingstuff.evaluation import CocoPanoptic
from thingstuff.evaluation.json_file import JsonFile


@dataclass(frozen=True)
class GroundTruth:
    """What is known about the images; what is not is None or empty. `key_ids` are image ids by file name."""

    name: str
    instances: JsonFile | Mapping[str, Any] | None = None  # in COCO's or in LVIS's format
    panoptic: CocoPanoptic | None = None
    stuff_files: Mapping[int | str, str] = field(default_factory=dict)  # label PNGs by image id
    stuff_names: tuple[str, ...] = ()  # of their labels
    ignore_label: int = 255
    key_ids: Mapping[str, int | str] = field(default_factory=dict)
    is_file: bool = False
    image_root: str | None = None

    def category_records(self) -> list[Any]:
        """COCO's records of the instances' categories."""
        return self._records("categories")

    def image_records(self) -> list[Any]:
        """COCO's records of the images."""
        return self._records("images")

    def _records(self, key: str) -> list[Any]:
        content = self.instances.content if isinstance(self.instances, JsonFile) else self.instances
        records = content.get(key) if isinstance(content, Mapping) else None
        return records if isinstance(records, list) else []


def open_truth(name: str, folder: Path | None = None) -> GroundTruth:
    """`name` is a COCO instances or panoptic JSON (with its PNGs in `folder`), or else a registered data set."""
    if Path(name).suffix in (".yaml", ".yml"):
        raise ConfigError(f"{name} is a declaration: give it with --dataset, and here the name of a split: NAME_val")
    if Path(name).exists():
        return _of_file(Path(name), folder)
    if folder is not None:
        raise ConfigError(f"--truth-folder is for a panoptic JSON, and {name} is no file")
    return _of_dataset(name)


def _of_file(path: Path, folder: Path | None) -> GroundTruth:
    file = JsonFile.read(path)
    content = file.content
    notes = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(notes, list):
        hint = ": are these the predictions?" if isinstance(content, list) else ""
        raise DataError(f"{path}: expected COCO's instances or panoptic format, with a list of annotations{hint}")
    key_ids = _key_ids(path, content.get("images", []))
    if any(isinstance(note, dict) and "segments_info" in note for note in notes):
        return GroundTruth(str(path), panoptic=CocoPanoptic.open(path, folder), key_ids=key_ids, is_file=True)
    return GroundTruth(str(path), instances=file, key_ids=key_ids, is_file=True)


def _key_ids(path: Path, images: Any) -> dict[str, int | str]:
    try:
        return {image["file_name"]: image["id"] for image in images if "file_name" in image}
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: images: expected records with id and file_name ({error})") from error


def _of_dataset(name: str) -> GroundTruth:
    from detectron2.data import MetadataCatalog

    from thingstuff.data.catalog import require_datasets
    from thingstuff.data.records import load_records

    require_datasets([name])
    records, metadata = load_records(name), MetadataCatalog.get(name)
    has_instances = bool(metadata.get("thing_classes")) and any("annotations" in record for record in records)
    _refuse_cityscapes(name, metadata)
    path = metadata.get("panoptic_json")
    return GroundTruth(
        name,
        instances=_instances(name, metadata) if has_instances else None,
        panoptic=CocoPanoptic.open(path, metadata.get("panoptic_root")) if path else None,
        stuff_files={r["image_id"]: r["sem_seg_file_name"] for r in records if r.get("sem_seg_file_name")},
        stuff_names=tuple(metadata.get("stuff_classes") or ()),
        ignore_label=int(metadata.get("ignore_label", 255)),
        key_ids={Path(record["file_name"]).name: record["image_id"] for record in records},
        image_root=metadata.get("image_root"),
    )


def _instances(name: str, metadata: Any) -> JsonFile | Mapping[str, Any]:
    from detectron2.data.datasets.coco import convert_to_coco_dict

    path = metadata.get("json_file")
    return JsonFile.read(path) if path else convert_to_coco_dict(name)


def _refuse_cityscapes(name: str, metadata: Any) -> None:
    if str(metadata.get("evaluator_type", "")).startswith("cityscapes"):
        raise DataError(
            f"{name}: Cityscapes has its own metric: evaluate with the csEvalInstanceLevelSemanticLabeling or "
            "csEvalPixelLevelSemanticLabeling of its cityscapesscripts, or give a COCO JSON for COCO's numbers"
        )
