"""Reading that leaves out what is broken, in formats of many files, and how a user asks for it."""

import json

import numpy as np
import pytest
from PIL import Image
from round_trips import shapes_truth

from thingstuff.data.formats import FORMATS, Source, WriteOptions
from thingstuff.data.open_data import open_data
from thingstuff.errors import DataError

BROKEN = {  # format -> where a file of one image lies, from the path that is read, and the kind of the fault
    "labelme": ("*.json", "files that cannot be read"),
    "supervisely": ("**/*.json", ""),
    "id_masks": ("*.png", "masks that cannot be read"),
    "mask_folders": ("masks/*/*.png", "masks that cannot be read"),
    "yolo": ("*.txt", ""),
    "cityscapes": ("**/*_instanceIds.png", ""),
}


@pytest.fixture
def broken(request, small_shapes, tmp_path):
    """A written set, one of whose files is no longer what it was; its name, path, and what it had before."""
    truth = shapes_truth(small_shapes)
    name = request.param
    path = FORMATS[name].write(truth, tmp_path / "set", WriteOptions(copy_images=True))
    before = FORMATS[name].read(Source(path))
    pattern, _ = BROKEN[name]
    files = [file for file in sorted(path.glob(pattern)) if file.name not in ("meta.json", "labels.json")]
    files[0].write_bytes(b"\xff\xfe\x00")
    return name, path, before


@pytest.mark.parametrize("broken", BROKEN, indirect=True)
def test_one_broken_file_is_refused_or_left_out(broken):
    name, path, before = broken
    with pytest.raises(DataError, match="1 .*: mend them, or leave them out with --lenient") as refusal:
        FORMATS[name].read(Source(path))
    assert "\n" not in str(refusal.value)
    kept = FORMATS[name].read(Source(path, lenient=True))
    assert 0 < len(kept.annotations) < len(before.annotations)
    assert sum(note.startswith("left out: 1 x ") and BROKEN[name][1] in note for note in kept.notes) == 1


def test_a_broken_image_of_cvat_is_left_out_alone(small_shapes, tmp_path):
    path = FORMATS["cvat"].write(shapes_truth(small_shapes), tmp_path / "set", WriteOptions(copy_images=True))
    text = path.read_text()
    at = text.index('rle="')
    path.write_text(f'{text[:at]}rle="x{text[at + 5 :]}')
    with pytest.raises(DataError, match="1 images that cannot be read .*expected rle as whole numbers"):
        FORMATS["cvat"].read(Source(path))
    kept = FORMATS["cvat"].read(Source(path, lenient=True))
    assert len(kept.images) == len(shapes_truth(small_shapes).images) - 1


def test_nothing_left_is_refused_even_then(tmp_path):
    (tmp_path / "a.json").write_text('{"shapes": 5, "imagePath": "a.png"}')
    with pytest.raises(DataError, match="1 files that cannot be read"):
        FORMATS["labelme"].read(Source(tmp_path, lenient=True))


@pytest.fixture
def declared(tmp_path):
    """A declaration of LabelMe's files, one of which is broken."""
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    shape = {"label": "cat", "points": [[1, 1], [5, 1], [5, 5]], "shape_type": "polygon", "group_id": None, "flags": {}}
    content = {"shapes": [shape], "imagePath": "a.png", "imageHeight": 8, "imageWidth": 8}
    (tmp_path / "a.json").write_text(json.dumps(content))
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "pets.yaml").write_text("format: labelme\nannotations: .\nsplits: [train]\n")
    return tmp_path / "pets.yaml"


def test_a_declaration_says_so(declared):
    with pytest.raises(DataError, match="1 files that cannot be read"):
        open_data(str(declared))
    declared.write_text(f"{declared.read_text()}lenient: true\n")
    opened = open_data(str(declared))
    assert len(opened.splits["train"].images) == 1
    declared.write_text(declared.read_text().replace("true", "maybe"))
    with pytest.raises(DataError, match="lenient: expected true or false, got 'maybe'"):
        open_data(str(declared))


def test_the_command_says_so(run_tool, declared, tmp_path):
    arguments = ("dataset", "convert", declared, "--to", "coco", "--output", tmp_path / "out")
    code, _, error = run_tool(*arguments)
    assert code == 2 and "1 files that cannot be read" in error
    code, out, _ = run_tool(*arguments, "--lenient")
    assert code == 0 and "left out: 1 x files that cannot be read" in out


# options of a format, beside it on the command line


def test_an_option_of_the_format(run_tool, small_shapes, tmp_path):
    folder = FORMATS["id_masks"].write(shapes_truth(small_shapes), tmp_path / "set", WriteOptions(copy_images=True))
    (folder / "instances.json").unlink()
    convert = ("dataset", "convert", folder, "--format", "id_masks", "--to", "coco")
    code, _, error = run_tool(*convert, "--output", tmp_path / "out", "--option", "divisor=1000")
    assert code == 0, error
    content = json.loads((tmp_path / "out/data/annotations.json").read_text())
    assert [category["id"] for category in content["categories"]] == sorted(
        {note["category_id"] for note in content["annotations"]}
    )
    code, _, error = run_tool(*convert, "--output", tmp_path / "more", "--option", "divisr=1000")
    assert code == 2 and "format id_masks has no option 'divisr': it has divisor, suffix, image_suffix" in error
    code, _, error = run_tool(*convert, "--output", tmp_path / "more", "--option", "divisor")
    assert code == 2 and "--option: expected NAME=VALUE such as label=kind, got divisor" in error


@pytest.mark.parametrize("to", ["coco", "fiftyone", "yolo", "labelme"])
def test_annotations_of_unknown_categories_are_never_written(run_tool, tmp_path, to):
    image = {"id": 1, "file_name": "a.png", "height": 8, "width": 8}
    note = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [[1, 1, 5, 1, 5, 5]]}
    notes = [
        note | {"bbox": [1, 1, 4, 4], "area": 8},
        note | {"bbox": [1, 1, 4, 4], "area": 8, "id": 2, "category_id": 9},
    ]
    content = {"images": [image], "annotations": notes, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    convert = ("dataset", "convert", tmp_path / "a.json", "--to", to, "--output", tmp_path / "out")
    code, _, error = run_tool(*convert)
    assert code == 2 and "annotations[1]: there is no category 9: declare it, or leave it out" in error
    code, out, error = run_tool(*convert, "--lenient")
    assert code == 0, error
    assert "left out: 1 x annotations of unknown categories, the first: " in out
