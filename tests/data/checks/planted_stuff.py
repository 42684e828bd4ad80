"""The small sound data set with stuff: label maps, or panoptic files, that belong to its instances."""

from dataclasses import replace

import numpy as np
from planted import added, sound_splits

from thingstuff.data.panoptic.build import build_panoptic
from thingstuff.data.truth import StuffFiles
from thingstuff.structures import MaskCrops, write_png

SKY, GRASS = 50, 51
LABEL_IDS = {0: None, 1: SKY, 2: GRASS}


def with_stuff(folder):
    """Labels 0 = things, where instances and crowds are, 1 = sky, the upper half, 2 = grass, 255 = void, one corner."""
    return {name: _with_maps(split, folder) for name, split in sound_splits(folder).items()}


def with_panoptic(folder):
    """Panoptic files built of both."""
    built = {}
    for name, split in with_stuff(folder).items():
        files = build_panoptic(split, folder / f"panoptic_{name}")
        built[name] = replace(split, stuff=None, panoptic=files)
    return built


def _with_maps(split, folder):
    for category_id, name in ((SKY, "sky"), (GRASS, "grass")):
        split = added(split, "categories", id=category_id, name=name, isthing=0)
    paths = {image["id"]: folder / "stuff" / f"{image['file_name']}.png" for image in split.images}
    for image in split.images:
        write_png(paths[image["id"]], _labels(split, image))
    return replace(split, stuff=StuffFiles(paths, LABEL_IDS))


def _labels(split, image):
    height, width = image["height"], image["width"]
    labels = np.full((height, width), 1, np.uint8)
    labels[height // 2 :] = 2
    labels[0, 0] = 255
    own = [note["segmentation"] for note in split.annotations if note["image_id"] == image["id"]]
    labels[MaskCrops.from_coco(own, height, width).to_bitmaps().any(axis=0)] = 0
    return labels
