"""Results as Cityscapes' own evaluation takes them: a text file of masks an image, PNGs of label ids, or both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.cityscapes_table import CITYSCAPES_LABELS
from thingstuff.data.formats.image_files import files_below, first_files, stem_of
from thingstuff.data.formats.instance_records import shown, trimmed
from thingstuff.data.formats.text_file import read_lines
from thingstuff.data.formats.utf8_names import utf8_names
from thingstuff.data.panoptic.names import is_inside
from thingstuff.data.results.class_ids import ClassIds
from thingstuff.data.results.result_format import ResultFormat, ResultSource
from thingstuff.data.results.targets import TargetImage, Targets
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.store import PredictedImage
from thingstuff.structures import NOT_STUFF, VOID, Categories, Detections, MaskCrops
from thingstuff.structures.png import read_label_png, read_mask_png

_LINE = re.compile(r"(?P<mask>\S.*\.png)\s+(?P<label>[0-9]{1,5})\s+(?P<score>\S+)", re.IGNORECASE)
_ENDINGS = ("_pred", "_labelIds", "_gtFine", "_gtCoarse", "_leftImg8bit")
_OF_MAPS = ("_pred", "_labelIds")
_PROBES = 3


@dataclass(frozen=True)
class _Line:
    mask: str
    label: int
    score: float


def _recognises(path: Path) -> bool:
    """A folder with text files of mask, label and score, or with PNGs that are named as pixel results are."""
    if not path.is_dir():
        return False
    texts = first_files(path, [".txt"], _PROBES)
    try:
        lines = [line for name in texts for line in read_lines(path / name)[:1]]
    except DataError:
        return False
    return (bool(lines) and all(_LINE.fullmatch(line.strip()) for line in lines)) or _has_maps(path)


def _has_maps(path: Path) -> bool:
    names = first_files(path, [".png"], _PROBES)
    return bool(names) and all(stem_of(name).endswith(_OF_MAPS) for name in names)


def _read(source: ResultSource, targets: Targets) -> Iterator[PredictedImage]:
    """Labels are matched with the data set by Cityscapes' names, or by names that are given."""
    names = source.names or {label.id: label.name for label in CITYSCAPES_LABELS}
    ids = ClassIds(targets.categories, names, {})
    ids.refuse_strangers(str(source.path))
    found = _Folder.of(source, targets)
    table = _stuff_table(names, targets.categories)
    for image in watched(targets.images, f"importing {source.path.name}"):
        detections = found.detections(image, ids) if found.texts else None
        stuff = found.stuff_map(image, table)
        if detections is not None or stuff is not None:
            size = (image.height, image.width)
            yield PredictedImage(image.key, *size, image.image_id, detections, stuff)


@dataclass(frozen=True)
class _Folder:
    """Key of an image -> its text of masks, and its map of labels, relative to the folder."""

    source: ResultSource
    texts: Mapping[str, str]
    maps: Mapping[str, str]

    @classmethod
    def of(cls, source: ResultSource, targets: Targets) -> _Folder:
        bases = dict(targets.named(*_ENDINGS))
        texts, maps, alone = dict[str, str](), dict[str, str](), []
        names = utf8_names(files_below(source.path, [".txt", ".png"]), source.faults)
        has_texts = any(name.lower().endswith(".txt") for name in names)
        for name in names:
            is_text = name.lower().endswith(".txt")
            if has_texts and not is_text and not stem_of(name).endswith(_OF_MAPS):
                continue  # a mask, whatever it is called
            image = bases.get(_base(name))
            own = texts if is_text else maps
            if image is not None:
                other = own.setdefault(image.key, name)
                if other != name:
                    source.faults.add("images with results in several files", f"{image.key}: {other} and {name}")
            elif is_text:
                alone.append(name)
        if not texts and not maps:
            raise DataError(f"{source.path}: none of its files is called as an image of {targets.name}")
        for name in alone:
            source.faults.add("results without an image", name)
        return cls(source, texts, maps)

    def detections(self, image: TargetImage, ids: ClassIds) -> Detections:
        """Of an image without a text none."""
        name, faults = self.texts.get(image.key), self.source.faults
        kept = []
        with faults.skipping("texts of results that cannot be read"):
            for number, text in enumerate(read_lines(self.source.path / name) if name else (), 1):
                place = f"{name}:{number}"
                with faults.skipping("lines that are no results"):
                    if text.strip():
                        line = _line(text, place)
                        category_id = ids.category_id(line.label, place, faults)
                        if category_id is not None:
                            kept.append((category_id, line.score, self._mask(line, str(name), image, place)))
        masks = MaskCrops.from_boxes([mask for _, _, mask in kept], *image.size_hw)
        return Detections(
            masks,
            masks.boxes_xyxy.astype(np.float32),
            np.array([score for _, score, _ in kept], np.float32),
            np.array([category_id for category_id, _, _ in kept], np.int64),
            *image.size_hw,
        )

    def _mask(self, line: _Line, text: str, image: TargetImage, place: str) -> tuple[NDArray[np.uint8], tuple]:
        relative = str(PurePosixPath(text).parent / line.mask)
        inside = PurePosixPath(_normal(relative)).as_posix()
        if not is_inside(inside):
            raise DataError(f"{place}: the mask {shown(line.mask)} leads out of the folder of the results")
        try:
            mask = read_mask_png(self.source.path / inside)
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
        _refuse_size(mask, image, f"{place}: {line.mask}")
        return trimmed(mask, 0, 0, image.size_hw)

    def stuff_map(self, image: TargetImage, table: NDArray[np.uint16]) -> NDArray[np.uint16] | None:
        """None where there are no maps at all; an image that has none among others is a fault."""
        name, faults = self.maps.get(image.key), self.source.faults
        if name is None:
            if self.maps:
                faults.add("images without a map of labels", image.key)
            return None
        with faults.skipping("maps of labels that cannot be read"):
            labels = read_label_png(self.source.path / name)
            _refuse_size(labels, image, name)
            return table[np.minimum(labels, len(table) - 1)]
        return None


def _base(name: str) -> str:
    base = PurePosixPath(name).stem
    while ending := next((end for end in _ENDINGS if base.endswith(end)), ""):
        base = base.removesuffix(ending)
    return base


def _normal(path: str) -> str:
    """Without "x/.." in it: masks often lie beside the folder of the texts."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _line(text: str, place: str) -> _Line:
    match = _LINE.fullmatch(text.strip())
    try:
        score = float(match["score"]) if match else -1.0
    except ValueError:
        score = -1.0
    if match is None or not 0 <= score <= 1:
        raise DataError(f"{place}: expected the path of a mask, a label and a score from 0 to 1, got {shown(text)}")
    return _Line(match["mask"], int(match["label"]), score)


def _refuse_size(pixels: NDArray[np.generic], image: TargetImage, place: str) -> None:
    if pixels.shape != image.size_hw:
        got = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise DataError(f"{place}: expected {image.width} x {image.height} pixels as its image has, got {got}")


def _stuff_table(names: Mapping[int, str], categories: Categories) -> NDArray[np.uint16]:
    """Label -> what it is in a stuff map; the last row is for labels that nobody names."""
    table = np.full(max(names) + 2, VOID, np.uint16)
    stuff = {category.name: number for number, category in enumerate(categories.stuff, 1)}
    things = {category.name for category in categories.things}
    for label, name in names.items():
        table[label] = stuff.get(name, NOT_STUFF if name in things else VOID)
    return table


CITYSCAPES_RESULTS = ResultFormat(
    "cityscapes", "Cityscapes' results: texts of masks, PNGs of label ids, or both", _recognises, _read
)
