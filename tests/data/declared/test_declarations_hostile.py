"""Declarations that are damaged or meant to do harm: one line that names the file, whatever stands in it."""

import pytest

from thingstuff.data.declared.declaration import read_declaration
from thingstuff.data.declared.read import read_declared
from thingstuff.errors import UserError
from thingstuff.structures import Categories, MaskCrops
from thingstuff.structures.png import read_label_png

LAUGHS = "l0: &l0 [ha, ha]\n" + "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("annotations: 2001-99-99\n", "a value cannot be read: month must be in 1..12"),
        ("annotations: !!int x\n", "a value cannot be read"),
        (f"annotations: {'9' * 5000}\n", "a value cannot be read"),
        (f"annotations: {'[' * 3000}\n", "nested too deeply"),
        ("annotations: '\x16'\n", "special characters are not allowed"),
        ("annotations: a\nroot: ~nobody-at-all/x\n", "nobody of that name has a home folder here"),
        (f"annotations: a\nname: {'x' * 300}\n", "name: expected letters"),
        (f"annotations: {'x' * 300}\n", "annotations: expected the name of a file or folder"),
        (f"annotations: {'x/' * 3000}\n", "annotations: expected the name of a file or folder"),
        ('annotations: "a\\nb"\n', "annotations: expected the name of a file or folder"),
        ('annotations: "x\\n"\n', "annotations: expected the name of a file or folder"),
        ('annotations: "a\\0b"\n', "annotations: expected the name of a file or folder"),
        ('annotations: a\nimages: "\\ud800"\n', "images: expected the name of a file or folder"),
        ('annotations: a\nsplits: {train: {list: "\\ud800"}}\n', "list: expected the name of a file or folder"),
        ("annotations: a\nkeypoints: {names: [a], flips: [[[a], a]]}\n", "flips: expected pairs of names"),
        (f"{LAUGHS}annotations: *l11\n", "annotations: expected a text"),
        (f"{LAUGHS}annotations: a\nsplits: *l11\n", "splits: expected a list of names"),
        (f"{LAUGHS}annotations: a\ncategories: [*l11]\n", "categories[0]: expected a name"),
        (f"{LAUGHS}annotations: a\ncategories: [{{name: a, id: *l11}}]\n", "expected an integer id"),
        (f"instances: {{annotations: a}}\n? {'k' * 5000}\n: 1\n", "there is no key 'kkk"),
        ("annotations: a\nformat: nobody\n", "there is no format 'nobody'"),
        ("annotations: labels\nformat: labelme\nignore: 5\n", "ignore: expected a list of labels, got 5"),
    ],
)
def test_one_line_that_names_the_declaration(tmp_path, text, words):
    path = tmp_path / "street.yaml"
    path.write_text(text)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.json").write_text('{"shapes": [], "imagePath": "a.png", "imageHeight": 4, "imageWidth": 4}')
    with pytest.raises(UserError) as caught:
        read_declared(read_declaration(path))
    message = str(caught.value)
    assert words in message and "street.yaml" in message
    assert message.isprintable() and len(message) < 1000


def test_a_line_of_a_list_is_shown_shortly(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.json").write_text('{"shapes": [], "imagePath": "a.png", "imageHeight": 4, "imageWidth": 4}')
    (tmp_path / "train.txt").write_text("x" * 10**5)
    (tmp_path / "street.yaml").write_text("annotations: labels\nsplits: {train: {list: train.txt}}\n")
    with pytest.raises(UserError, match="train.txt, line 1: 'xxx.* is the name of no image") as caught:
        read_declared(read_declaration(tmp_path / "street.yaml"))
    assert len(str(caught.value)) < 500


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "segmentation", [[nested(960)], {"size": nested(960), "counts": "0"}, {"size": [2, 2], "counts": nested(960)}]
)
def test_masks_that_are_nested_too_deeply_to_be_printed(segmentation):
    with pytest.raises(UserError) as caught:
        MaskCrops.from_coco([segmentation], 2, 2)
    assert len(str(caught.value)) < 200


def test_a_category_whose_id_is_nested_too_deeply_to_be_printed():
    with pytest.raises(UserError, match="expected an integer id"):
        Categories.from_coco([{"id": nested(990), "name": "cat"}])


@pytest.mark.parametrize("length", [b"\x80\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\x09"])
def test_the_end_of_a_png_that_claims_a_length(tmp_path, length):
    """OpenCV would make room for 2 GiB."""
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0 \0\0\0\x18\x08\0\0\0\0\xbe\x38\xa0\xe8"
    (tmp_path / "a.png").write_bytes(header + length + b"IEND\xaeB`\x82")
    with pytest.raises(UserError, match=r"a.png: the PNG is damaged or cut off"):
        read_label_png(tmp_path / "a.png")
