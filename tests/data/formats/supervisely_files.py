"""Supervisely's projects, written by hand after the "Supervisely annotation format" of its developer portal.

How whole numbers are meant is not said there, but by its Python SDK: `Rectangle` has `width = right - left + 1`, and a
polygon's point is a pixel, to whose middle `_to_subpixel_coordinate_system_json` moves it by a half.
"""

from __future__ import annotations

import base64
import io
import json
import zlib

import numpy as np
from PIL import Image
from round_trips import HEIGHT, WIDTH

from thingstuff.data.formats import Source
from thingstuff.data.formats.supervisely import SUPERVISELY

SQUARE = [[2, 3], [6, 3], [6, 8], [2, 8]]
CLASSES = [{"title": "dog", "shape": "any", "color": "#0A01FF", "id": 77}, {"title": "cat", "shape": "polygon"}]
BITMAP = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)


def polygon(exterior=SQUARE, interior=(), title="cat", **more):
    points = {"exterior": exterior, "interior": list(interior)}
    return {"classTitle": title, "geometryType": "polygon", "tags": [], "points": points, **more}


def rectangle(x0, y0, x1, y1, title="cat"):
    return polygon([[x0, y0], [x1, y1]], title=title) | {"geometryType": "rectangle"}


def bitmap(png=None, origin=(4, 5), title="dog", **more):
    """As the SDK writes it: a palette of two colours, of which the first is transparent."""
    data = base64.b64encode(zlib.compress(palette_png(BITMAP) if png is None else png)).decode()
    return {"classTitle": title, "geometryType": "bitmap", "bitmap": {"data": data, "origin": list(origin)}, **more}


def palette_png(mask):
    picture = Image.fromarray(mask)
    picture.putpalette([0, 0, 0, 255, 255, 255])
    return png_of(picture, transparency=0)


def png_of(picture, **options):
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def label_file(*objects, **more):
    return {"description": "", "tags": [], "size": {"height": HEIGHT, "width": WIDTH}, "objects": list(objects), **more}


def project(folder, files, classes=CLASSES):
    """`files`: path of a label file -> content."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text(json.dumps({"classes": classes, "tags": []}))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return folder


def images(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / name)


def read(folder, *objects, lenient=False, categories=None, **more):
    project(folder, {"ds/ann/a.jpg.json": label_file(*objects, **more)})
    return SUPERVISELY.read(Source(folder, categories=categories, lenient=lenient))
