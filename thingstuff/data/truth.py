"""What the files of a data set say of one split: COCO's records, whatever the format is, and nothing of it checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures.png import read_label_png

Record = dict[str, Any]


@dataclass(frozen=True)
class StuffFiles:
    """Label maps by image id, and what their labels mean; `read` gives one, wherever it is.

    `paths`: the file that holds an image's map: a PNG of labels, or, where `drawn` has the image, a file of another
    kind, from which `drawn[image_id]()` draws the map.
    `label_ids`: label -> the data set id of a category, or None where the label means that a thing may be there.
    Labels of `void_labels` say that nobody knows.
    """

    paths: Mapping[int | str, Path]
    label_ids: Mapping[int, int | None]
    void_labels: frozenset[int] = frozenset({255})
    drawn: Mapping[int | str, Callable[[], NDArray[Any]]] = field(default_factory=dict)

    def read(self, image_id: int | str) -> NDArray[Any]:
        """H x W labels, of an unsigned integer dtype; DataError where there is no map or it cannot be read."""
        if image_id not in self.paths:
            raise DataError(f"image {image_id!r} has no label map")
        return self.drawn[image_id]() if image_id in self.drawn else read_label_png(self.paths[image_id])

    def with_images(self, new_ids: Mapping[Any, int | str]) -> StuffFiles:
        """The maps of the images that `new_ids` names, under their new ids."""
        paths = {new_ids[own]: path for own, path in self.paths.items() if own in new_ids}
        drawn = {new_ids[own]: draw for own, draw in self.drawn.items() if own in new_ids}
        return replace(self, paths=paths, drawn=drawn)

    def without(self, category_ids: Collection[Any]) -> StuffFiles:
        """The same maps, in which nobody knows where these categories are."""
        gone = {label for label, own in self.label_ids.items() if own is not None and own in category_ids}
        label_ids = {label: own for label, own in self.label_ids.items() if label not in gone}
        return replace(self, label_ids=label_ids, void_labels=self.void_labels | gone)

    def with_categories(self, new_ids: Mapping[Any, int | None]) -> StuffFiles:
        """The same maps, whose labels mean the new ids; an id that is not there stays."""
        label_ids = {label: new_ids.get(own, own) for label, own in self.label_ids.items()}
        return replace(self, label_ids=label_ids)


@dataclass(frozen=True)
class PanopticFiles:
    """COCO's panoptic format: the annotations of one JSON, as they are, and the folder of their PNGs."""

    json_path: Path
    folder: Path
    annotations: list[Record]
    is_whole: bool = True  # the JSON holds exactly these


@dataclass(frozen=True)
class SplitTruth:
    """One split. Records are plain dictionaries with COCO's keys, as far as the files state them:

    - `categories`: id, name, and isthing (1 where it is missing), color.
    - `images`: id, file_name (below `image_root`, with "/"), width, height.
    - `annotations`: id, image_id, category_id, segmentation (polygons, compressed or uncompressed RLE), bbox
      x, y, width, height, area, iscrowd, keypoints, num_keypoints. None: the data set has no instances.

    `name` is the file or folder under which messages speak of it. `annotation_places` and `image_places` say where the
    n-th record stands ("street.json: shapes[2]"), where that is not `annotations[n]` or `images[n]` of `name`.
    """

    name: str
    image_root: Path
    categories: list[Record]
    images: list[Record]
    annotations: list[Record] | None = None
    stuff: StuffFiles | None = None
    panoptic: PanopticFiles | None = None
    annotation_places: Sequence[str] = ()
    image_places: Sequence[str] = ()
    json_path: Path | None = None  # the COCO instances file that says exactly this, if there is one
    notes: tuple[str, ...] = field(default=())  # for the reader of a report: what was derived, renamed or left out

    def annotation_place(self, number: int) -> str:
        return self.annotation_places[number] if self.annotation_places else f"{self.name}: annotations[{number}]"

    def image_place(self, number: int) -> str:
        return self.image_places[number] if self.image_places else f"{self.name}: images[{number}]"
