"""Checking a COCO file before a training, against the time that Detectron2 takes to read it unchecked."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.benchmark.measure import Case, Measurement
from thingstuff.errors import ConfigError

_SIDE_PX = (480, 640)
_CATEGORIES = 80


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=10_000, help="of the file (default 10000; COCO has 118000)")
    parser.add_argument(
        "--objects", type=float, default=7.3, help="polygons an image, on average (default 7.3, as COCO)"
    )
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the file here, and keep it")
    parser.add_argument("--seed", type=int, default=0, help="of the random polygons (default 0)")


def _cases(args: argparse.Namespace) -> Iterator[Case]:
    from detectron2.data.datasets.coco import load_coco_json

    if args.images < 1 or args.objects <= 0 or args.seed < 0:
        raise ConfigError("--images and --objects must be above 0, --seed 0 or more")
    with tempfile.TemporaryDirectory() as folder:
        path = args.keep or Path(folder) / "instances.json"
        write_file(path, args.images, round(args.images * args.objects), args.seed)
        yield Case(
            f"{args.images} images, {round(args.images * args.objects)} polygons: read and check",
            "Detectron2 load_coco_json, reading alone",
            lambda: _check(path),
            lambda: len(load_coco_json(str(path), folder)),
            lambda found, read: found == (read, []),
        )


def _check(path: Path) -> tuple[int, list[str]]:
    """Images, and the codes of what is found but that the pictures, which nobody made, are not there."""
    from thingstuff.data.checks import Checked, run_checks
    from thingstuff.data.open_data import open_data

    splits = open_data(str(path), format_name="coco").splits
    found = run_checks(Checked(splits, is_quick=True))
    return len(splits["data"].images), [one.code.name for one in found if one.code.name != "image-missing"]


def write_file(path: Path, images: int, objects: int, seed: int) -> None:
    """A sound COCO file of star-shaped polygons with 8 to 50 corners."""
    rng = np.random.default_rng(seed)
    height, width = _SIDE_PX
    records = [{"id": i, "file_name": f"{i:012d}.jpg", "height": height, "width": width} for i in range(1, images + 1)]
    image_ids = np.concatenate(
        [np.arange(1, min(images, objects) + 1), rng.integers(1, images + 1, max(0, objects - images))]
    )
    head = {"images": records, "categories": [{"id": n, "name": f"class {n}"} for n in range(1, _CATEGORIES + 1)]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="ascii") as file:
        file.write(json.dumps(head)[:-1] + ', "annotations": [')
        for number, image_id in enumerate(image_ids.tolist(), 1):
            file.write(f"{',' if number > 1 else ''}\n{json.dumps(_annotation(rng, number, image_id))}")
        file.write("]}")


def _annotation(rng: np.random.Generator, number: int, image_id: int) -> dict[str, Any]:
    height, width = _SIDE_PX
    corners = int(rng.integers(8, 50))
    angles = (np.arange(corners) + rng.uniform(0.1, 0.9, corners)) * 2 * np.pi / corners
    radius = rng.uniform(0.7, 1, corners) * rng.uniform(6, 100)
    x = (rng.uniform(100, width - 100) + radius * np.cos(angles)).round(2)
    y = (rng.uniform(100, height - 100) + radius * np.sin(angles)).round(2)
    area = abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
    box = [float(v) for v in (x.min(), y.min(), np.ptp(x), np.ptp(y))]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": int(rng.integers(1, _CATEGORIES + 1)),
        "iscrowd": 0,
        "area": round(area, 2),
        "bbox": [round(v, 2) for v in box],
        "segmentation": [np.stack([x, y], axis=1).ravel().tolist()],
    }


MEASUREMENT = Measurement("check", "reading and checking a COCO file, against reading it alone", _add_arguments, _cases)
