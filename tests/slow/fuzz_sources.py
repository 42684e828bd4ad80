"""A small sound data set of every format, as bytes by path, for tests that damage one of its files at a time."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from thingstuff.data.declared.declaration import read_declaration
from thingstuff.data.declared.read import read_declared
from thingstuff.data.formats import FORMATS, Source
from thingstuff.data.formats.label_studio_rle import encode_brush
from thingstuff.data.results import RESULTS, ResultSource, TargetImage, Targets
from thingstuff.data.results.import_results import import_results
from thingstuff.data.truth import SplitTruth
from thingstuff.store import Store
from thingstuff.structures import Categories, Category, rle

HEIGHT, WIDTH = 24, 32
IMAGES = ("a.png", "b/c.png")


@dataclass(frozen=True)
class Sound:
    """`damaged` are those of `files` that somebody damages; `look` and `read` get the folder of all."""

    files: dict[str, bytes]
    damaged: tuple[str, ...]
    read: Callable[[Path], dict]
    annotations: str = ""


def sound_sets():
    """Name -> data set."""
    return {
        "coco": _of_format("coco", {"annotations.json": _json(_coco())}, "annotations.json"),
        "coco_panoptic": _of_format("coco_panoptic", _panoptic(), "panoptic.json", folder="panoptic"),
        "coco_stuff": _of_format("coco_stuff", {"stuff.json": _json(_stuff())}, "stuff.json"),
        "lvis": _of_format("lvis", {"annotations.json": _json(_lvis())}, "annotations.json"),
        "fiftyone": _fiftyone(),
        "supervisely": _supervisely(),
        "labelme": _of_format("labelme", _labelme(), "labels"),
        "cvat": _of_format("cvat", {"annotations.xml": _cvat()}, "annotations.xml"),
        "via": _of_format("via", {"via.json": _json(_via())}, "via.json"),
        "label_studio": _of_format("label_studio", {"tasks.json": _json(_label_studio())}, "tasks.json"),
        "mask_folders": _of_format("mask_folders", _mask_folders(), ""),
        "id_masks": _of_format("id_masks", _id_masks(), "masks"),
        "yolo": _of_format("yolo", _yolo(), "labels"),
        "voc": _of_format("voc", _voc(), "", list="train"),
        "cityscapes": _of_format("cityscapes", _cityscapes(), "gtFine"),
        "semantic": _of_format("semantic", _label_maps("labels"), "labels"),
        **_results(),
        "images": _images_alone(),
        "declaration": _declared("street.yaml"),
        "split_list": _declared("train.txt"),
    }


def _of_format(name, files, annotations, **options):
    def read(folder):
        source = Source(folder / annotations, folder / "images", options=options)
        return {"data": FORMATS[name].read(source)}

    return Sound(_image_files() | files, tuple(files), read, annotations)


# ---- results of other programs -----------------------------------------------------------------------------------


def _results():
    """Read into a store, whose detections are then a truth to be checked and converted like the others."""
    boxes = {1: [2, 2, 9, 10], 2: [11, 3, 18, 11]}
    found = [(number, image_id, _map(*[0] * (number - 1), 1)) for number in boxes for image_id in (5, 6)]
    records = [
        {"image_id": i, "category_id": c, "score": 0.5, "segmentation": rle.encode(mask)} for c, i, mask in found
    ]
    pixels = _map(1, 2, 3)[..., None] * np.array([0, 0, 1], np.uint8)
    segments = [{"id": n, "category_id": n} for n in (1, 2, 3)]
    notes = [{"image_id": n, "file_name": f"{n}.png", "segments_info": segments} for n in (5, 6)]
    lines = "0 0.1 0.2 0.4 0.2 0.4 0.6 0.1 0.6 0.75\n1 0.5 0.5 0.25 0.2 0.5\n"
    texts = {f"results/{name}_pred.txt": f"m/{name}.png 26 0.5\n".encode() for name in ("a", "c")}
    masks = {f"results/m/{name}.png": _png(_map(255)) for name in ("a", "c")}
    labels = {f"results/{name}_labelIds.png": _png(_map(23, 26)) for name in ("a", "c")}
    panoptic = {"results.json": _json({"annotations": notes}), **{f"results/{n}.png": _png(pixels) for n in (5, 6)}}
    return {
        "coco_results": _of_results("coco", {"results.json": _json(records)}, "results.json"),
        "panoptic_results": _of_results("coco_panoptic", panoptic, "results.json"),
        "yolo_results": _of_results("yolo", {f"results/{n}.txt": lines.encode() for n in ("a", "b/c")}, "results"),
        "cityscapes_results": _of_results("cityscapes", texts | masks | labels, "results"),
    }


def _of_results(name, files, path):
    def read(folder):
        target = folder.with_name("out") / "store"
        source = ResultSource(folder / path)
        imported = import_results(RESULTS[name], source, replace(_TARGETS, image_root=folder / "images"), target)
        return {"data": _as_truth(Store.open(imported.folder), folder / "images")}

    return Sound(_image_files() | files, tuple(files), read, path)


_CLASSES = Categories((Category(1, "car"), Category(2, "person"), Category(3, "sky", isthing=False)))
_TARGETS = Targets(
    "street_data", _CLASSES, tuple(TargetImage(n, name, HEIGHT, WIDTH) for n, name in enumerate(IMAGES, 5))
)


def _as_truth(store, root):
    annotations = []
    for entry in store.entries:
        image = store.read(entry.key)
        found = image.detections if image.panoptic is None else image.panoptic.to_detections()
        for record in [] if found is None else found.to_coco(entry.image_id):
            annotations.append({**record, "id": len(annotations) + 1, "iscrowd": 0, "area": 1})
    return SplitTruth(str(root.parent), root, _CLASSES.to_coco(), _image_records(), annotations)


def _images_alone():
    files = _image_files() | {
        "annotations.json": _json(_coco("a.jpg", "b/c.tif", "d.webp", "e.gif", "f.bmp")),
        **{f"images/{name}": _encoded(name, n) for n, name in enumerate(("a.jpg", "b/c.tif", "d.webp", "f.bmp"))},
        "images/e.gif": _gif(),
    }
    whole = _of_format("coco", files, "annotations.json")
    return Sound(files, tuple(name for name in files if name.startswith("images/")), whole.read, "annotations.json")


def _declared(damaged):
    text = """\
name: street
root: .
seed: 3
splits: {train: {list: train.txt}, val: {list: val.txt}}
images: images
instances: {format: labelme, annotations: labels, ignore: [blurred]}
stuff: {format: semantic, annotations: maps, void: [255], labels: {0: null, 3: sky, 4: grass}}
panoptic: {build: area}
categories: [cat, dog, {name: sky, id: 7, isthing: false, color: [1, 2, 3]}, {name: grass, isthing: false}]
keypoints: {names: [left, right], flips: [[left, right]]}
"""
    lists = {"train.txt": b"a.png\n", "val.txt": b"b/c\n"}
    files = _image_files() | _labelme() | _label_maps("maps") | lists | {"street.yaml": text.encode()}
    return Sound(files, (damaged,), lambda folder: read_declared(read_declaration(folder / "street.yaml")))


# ---- pixels ------------------------------------------------------------------------------------------------------


def _encoded(name, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return cv2.imencode(Path(name).suffix, noise)[1].tobytes()


def _gif():
    from PIL import Image

    frames = [Image.new("P", (WIDTH, HEIGHT), n) for n in range(2)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def _image_files():
    return {f"images/{name}": _encoded(name, seed) for seed, name in enumerate(IMAGES)}


def _png(array):
    return cv2.imencode(".png", array)[1].tobytes()


def _map(*values, dtype=np.uint8, shape=(HEIGHT, WIDTH)):
    """Rectangles of these values on 0."""
    found = np.zeros(shape, dtype)
    for n, value in enumerate(values):
        found[2 + n : 10 + n, 2 + 9 * n : 9 + 9 * n] = value
    return found


def _rectangle(x0, y0, x1, y1):
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def _json(content):
    return json.dumps(content).encode()


# ---- annotations -------------------------------------------------------------------------------------------------


def _image_records(*names):
    return [{"id": n, "file_name": x, "width": WIDTH, "height": HEIGHT} for n, x in enumerate(names or IMAGES, 5)]


def _coco(*names):
    crowd = {"size": [HEIGHT, WIDTH], "counts": [30, 10, 14, 10, HEIGHT * WIDTH - 64]}
    notes = [
        {"category_id": 1, "segmentation": [_rectangle(2, 3, 9.5, 8)], "bbox": [2, 3, 7.5, 5], "area": 37.5},
        {"category_id": 2, "segmentation": rle.encode(_map(0, 1)), "bbox": [11, 3, 7, 8], "area": 56},
        {"category_id": 2, "segmentation": crowd, "bbox": [1, 6, 2, 10], "area": 20, "iscrowd": 1},
        {"category_id": 1, "bbox": [4, 5, 6, 7], "area": 42, "keypoints": [5, 6, 2, 0, 0, 0], "num_keypoints": 1},
    ]
    annotations = [{"id": n, "image_id": 5 + n // 3, "iscrowd": 0, **note} for n, note in enumerate(notes)]
    person = {"id": 1, "name": "cat", "supercategory": "pet", "keypoints": ["left", "right"], "skeleton": [[1, 2]]}
    categories = [person, {"id": 2, "name": "dog", "supercategory": "pet"}]
    return {"images": _image_records(*names), "annotations": annotations, "categories": categories}


def _panoptic():
    pixels = _map(1, 2, 3)[..., None] * np.array([0, 0, 1], np.uint8)  # OpenCV writes BGR, so red is the last
    boxes = {1: [2, 2, 7, 8], 2: [11, 3, 7, 8], 3: [20, 4, 7, 8]}
    segments = [{"id": n, "category_id": n, "area": 56, "bbox": box, "iscrowd": 0} for n, box in boxes.items()]
    names = ("a.png", "b.png")
    notes = [{"image_id": n, "file_name": name, "segments_info": segments} for n, name in enumerate(names, 5)]
    categories = [{"id": n, "name": x, "isthing": int(n < 3)} for n, x in enumerate(("cat", "dog", "sky"), 1)]
    content = {"images": _image_records(), "annotations": notes, "categories": categories}
    return {"panoptic.json": _json(content)} | {f"panoptic/{name}": _png(pixels) for name in names}


def _stuff():
    names = {92: "banner", 157: "sky", 183: "other"}
    categories = [{"id": n, "name": x, "supercategory": "other" if n == 183 else "x"} for n, x in names.items()]
    masks = [(5, 92, _map(1)), (5, 157, _map(0, 1)), (6, 157, _map(1, 1)), (6, 183, _map(0, 0, 1))]
    notes = [{"image_id": i, "category_id": c, "segmentation": rle.encode(mask), "iscrowd": 0} for i, c, mask in masks]
    annotations = [note | {"id": n, "area": 56, "bbox": [2, 2, 7, 8]} for n, note in enumerate(notes, 1)]
    return {"images": _image_records(), "annotations": annotations, "categories": categories}


def _lvis():
    content = _coco()
    for image in content["images"]:
        name = image.pop("file_name")
        url = f"http://images.cocodataset.org/{name}" if "/" in name else f"/{name}"
        image |= {"coco_url": url, "neg_category_ids": [1], "not_exhaustive_category_ids": [2]}
    for category in content["categories"]:
        category |= {"frequency": "f", "synset": "cat.n.01", "image_count": 2, "instance_count": 3}
    return content


def _fiftyone():
    content = _coco()
    for each in (*content["categories"], *content["annotations"]):
        each |= {key: each[key] - 1 for key in ("id", "category_id") if key in each}
    files = {f"data/{name.removeprefix('images/')}": data for name, data in _image_files().items()}

    def read(folder):
        return {"data": FORMATS["fiftyone"].read(Source(folder))}

    return Sound(files | {"labels.json": _json(content)}, ("labels.json",), read)


def _supervisely():
    packed = base64.b64encode(zlib.compress(_png(_map(255, shape=(10, 9))[2:, 2:]))).decode()
    ring = [[2, 3], [9, 3], [9, 8], [2, 8]]
    points = [("cat", "polygon", ring, [[[4, 4], [6, 4], [6, 6]]]), ("dog", "rectangle", [[9, 1], [14.5, 4]], [])]
    points += [("cat", "line", [[1, 2], [3, 4]], [])]
    objects = [
        {"classTitle": a, "geometryType": b, "tags": [], "points": {"exterior": c, "interior": d}}
        for a, b, c, d in points
    ]
    bitmap = {"classTitle": "dog", "geometryType": "bitmap", "bitmap": {"data": packed, "origin": [3, 12]}}
    objects += [bitmap | {"tags": [{"name": "iscrowd"}]}]
    label = _json({"tags": [], "size": {"height": HEIGHT, "width": WIDTH}, "objects": objects})
    classes = [{"title": name, "shape": "any", "color": "#0a1bff"} for name in ("cat", "dog")]
    damaged = {"meta.json": _json({"classes": classes, "tags": []})}
    damaged |= {f"{name}.json": label for name in ("day/ann/a.png", "night/ann/c.png")}
    images = dict(zip(("day/img/a.png", "night/img/c.png"), _image_files().values(), strict=True))

    def read(folder):
        return {"data": FORMATS["supervisely"].read(Source(folder))}

    return Sound(images | damaged, tuple(damaged), read)


def _labelme():
    png = base64.b64encode(_png(_map(255, shape=(10, 9))[2:, 2:])).decode()
    shapes = [
        ("cat", [[2, 3], [6, 3], [6, 8], [2, 8]], "polygon", {"group_id": 1}),
        ("cat", [[9, 1], [14.5, 4]], "rectangle", {"group_id": 1}),
        ("dog", [[20, 12], [20, 16]], "circle", {"flags": {"iscrowd": True}}),
        ("dog", [[3, 12], [9, 19]], "mask", {"mask": png}),
        ("cat", [[3, 12], [8, 18]], "line", {}),
    ]
    common = {"group_id": None, "flags": {}}
    records = [{"label": a, "points": b, "shape_type": c, **common, **more} for a, b, c, more in shapes]
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    files = {"labels/a.json": "../images/a.png", "labels/b/c.json": "..\\..\\images\\b\\c.png"}
    head = {"version": "5.4.1", "flags": {}, "imageData": None}
    return {name: _json(head | {"shapes": records, "imagePath": path, **size}) for name, path in files.items()}


def _cvat():
    mask = f'rle="5,10,{7 * 8 - 15}" left="2" top="12" width="7" height="8"'
    shapes = f"""\
<polygon label="cat" source="manual" occluded="0" points="2,3;6,3;6,8;2,8" z_order="0" group_id="1"></polygon>
<box label="cat" source="manual" xtl="9" ytl="1" xbr="14.5" ybr="4" rotation="30.0" z_order="1" group_id="1"></box>
<ellipse label="dog" cx="20" cy="14" rx="4" ry="3" rotation="15" z_order="0"></ellipse>
<mask label="dog" {mask} z_order="2">
<attribute name="is_crowd">true</attribute>
</mask>
<points label="cat" points="3,4" z_order="0"></points>
"""
    labels = "\n".join(f"<label>\n<name>{n}</name>\n<color>#0a1{n[0]}ff</color>\n</label>" for n in ("cat", "dog"))
    images = "\n".join(
        f'<image id="{n}" name="{name}" width="{WIDTH}" height="{HEIGHT}">\n{shapes}</image>'
        for n, name in enumerate(IMAGES)
    )
    meta = f"<meta>\n<task>\n<labels>\n{labels}\n</labels>\n</task>\n</meta>"
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
    return f"{head}{meta}\n{images}\n</annotations>\n".encode()


def _yolo():
    lines = "0 0.1 0.2 0.4 0.2 0.4 0.6 0.1 0.6\n1 0.5 0.5 0.25 0.2\n2 0.9 0.9 1 0.9 1 1\n"
    return {
        "data.yaml": b"train: images\nnames: {0: cat, 1: dog, 2: '3'}\n",
        "labels/a.txt": lines.encode(),
        "labels/b/c.txt": lines.encode(),
    }


def _via():
    shapes = [
        ({"name": "polygon", "all_points_x": [2, 6, 6, 2], "all_points_y": [3, 3, 8, 8]}, {"kind": "cat"}),
        ({"name": "rect", "x": 9, "y": 1, "width": 5.5, "height": 3}, {"kind": {"dog": True, "cat": False}}),
        ({"name": "circle", "cx": 20, "cy": 12, "r": 4}, {"kind": "dog", "iscrowd": "true"}),
        ({"name": "ellipse", "cx": 20, "cy": 14, "rx": 4, "ry": 3, "theta": 0.3}, {"kind": "cat", "hidden": "no"}),
        ({"name": "point", "cx": 20, "cy": 14}, {}),
    ]
    regions = [{"shape_attributes": shape, "region_attributes": attributes} for shape, attributes in shapes]
    numbered = {str(number): region for number, region in enumerate(regions)}
    common = {"size": 99, "file_attributes": {}}
    return {
        "_via_settings": {"core": {"default_filepath": ""}},
        "_via_img_metadata": {
            "a.png99": {"filename": "a.png", "regions": regions, **common},
            "c.png99": {"filename": "..\\images\\b\\c.png", "regions": numbered, **common},
        },
        "_via_attributes": {"region": {"kind": {"type": "radio", "options": {"dog": "", "cat": ""}}}, "file": {}},
    }


def _label_studio():
    values = [
        ("polygonlabels", {"points": [[6, 12], [19, 12], [19, 33], [6, 33]]}),
        ("rectanglelabels", {"x": 20, "y": 5, "width": 30, "height": 20, "rotation": 30}),
        ("ellipselabels", {"x": 60, "y": 60, "radiusX": 10, "radiusY": 20, "rotation": 0}),
        (
            "brushlabels",
            {"format": "rle", "rle": encode_brush(np.ones((5, 7), np.uint8), (2, 3, 9, 8), (HEIGHT, WIDTH))},
        ),
        ("keypointlabels", {"x": 5, "y": 5, "width": 1}),
    ]
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    results = [
        {"id": f"r{n}", "type": kind, **size, "value": value | {kind: ["cat" if n % 2 else "dog"]}}
        for n, (kind, value) in enumerate(values)
    ]
    urls = ("/data/upload/1/0123abcd-a.png", "/data/local-files/?d=x/b/c.png")
    annotations = [{"id": 1, "was_cancelled": False, "result": results}]
    return [{"id": n, "data": {"image": url}, "annotations": annotations} for n, url in enumerate(urls)]


def _mask_folders():
    options = {"categories": [{"id": 1, "name": "cat"}, {"id": 4, "name": "dog", "color": [1, 2, 3]}]}
    masks = {f"masks/{image}/{label}_1.png": _png(_map(255)) for image in ("a", "b/c") for label in ("cat", "dog")}
    return {"instances.json": _json(options | {"class_from": "prefix"})} | masks


def _id_masks():
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    masks = {f"masks/{name}": _png(_map(1001, 1002, 2001, dtype=np.uint16)) for name in IMAGES}
    return {"masks/instances.json": _json({"categories": categories, "divisor": 1000})} | masks


def _voc():
    labelmap = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n"
    lists = {"labelmap.txt": labelmap.encode(), "ImageSets/Segmentation/train.txt": b"a\nb/c\n"}
    colors = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)
    classes = [_palette_png(_map(1, 2, 2), colors), _png(colors[_map(1, 2, 1)][..., ::-1])]
    objects = [_palette_png(_map(1, 2, 255), colors), _png(colors[_map(1, 2, 0)][..., ::-1])]
    pngs = {f"SegmentationClass/{name}": png for name, png in zip(IMAGES, classes, strict=True)}
    return lists | pngs | {f"SegmentationObject/{name}": png for name, png in zip(IMAGES, objects, strict=True)}


def _palette_png(indices, colors):
    from PIL import Image

    image, file = Image.fromarray(indices, "P"), io.BytesIO()
    image.putpalette(colors.tobytes())
    image.save(file, "PNG")
    return file.getvalue()


def _cityscapes():
    kinds = {1: ("cat", 1), 2: ("dog", 1), 7: ("road", 0)}
    categories = [{"id": n, "name": name, "isthing": thing} for n, (name, thing) in kinds.items()]
    meaning = {"categories": categories, "labels": {str(n): n for n in kinds}, "void": [0]}
    values = [_map(1000, 2, 7, dtype=np.uint16), _map(2000, 2001, 7, dtype=np.uint16)]
    names = [f"gtFine/{name.removesuffix('.png')}_gtFine_instanceIds.png" for name in IMAGES]
    return {"gtFine/labels.json": _json(meaning)} | dict(zip(names, map(_png, values), strict=True))


def _label_maps(folder):
    categories = [{"id": 3, "name": "sky", "isthing": 0}, {"id": 4, "name": "grass", "isthing": 0, "color": [1, 2, 3]}]
    meaning = {"categories": categories, "labels": {"0": None, "3": 3, "4": 4}, "void": [255]}
    maps = {f"{folder}/{name}": _png(_map(3, 4, 255)) for name in IMAGES}
    return {f"{folder}/labels.json": _json(meaning)} | maps
