"""What damaged files did once: each is refused in one line that names it, or written."""

import json

import numpy as np
import pytest
from test_format_coco import content, written

from thingstuff.data.formats import FORMATS, Source, WriteOptions
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import write_png


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def laughs():
    """Ten lists, each of which holds the one before ten times: YAML's aliases make them in a few hundred bytes."""
    value = ["ha"]
    for _ in range(10):
        value = [value] * 10
    return value


def refusal(name, source):
    with pytest.raises(DataError) as caught:
        FORMATS[name].read(source)
    text = str(caught.value)
    assert len(text.splitlines()) == 1 and text.isprintable() and len(text) < 500
    return text


def test_any_value_is_shown_shortly_on_one_line():
    for value in (laughs(), nested(5000), "a\nb", "x" * 10**6, 10**5000, {"a": laughs()}, ["y" * 99] * 99):
        text = shown(value)
        assert len(text) <= 64 and text.isprintable()


@pytest.mark.parametrize("value", [laughs(), nested(900)], ids=["repeated", "nested"])
@pytest.mark.parametrize(
    ("name", "option"),
    [
        *(("labelme", "ignore"), ("semantic", "void"), ("semantic", "labels"), ("semantic", "suffix")),
        *(("id_masks", "divisor"), ("id_masks", "suffix"), ("mask_folders", "class_from"), ("coco_panoptic", "folder")),
        *(("via", "label"), ("label_studio", "image")),
    ],
)
def test_options_that_are_huge_when_they_are_printed(tmp_path, name, option, value):
    for folder in ("images", "masks", "labels"):
        write_png(tmp_path / folder / "a.png", np.ones((4, 4), np.uint8))
    written(tmp_path / "a.json", {"images": [], "annotations": [], "categories": []})
    annotations = {"coco_panoptic": "a.json", "id_masks": "masks", "semantic": "labels"}.get(name, "")
    assert option in refusal(name, Source(tmp_path / annotations, tmp_path / "images", options={option: value}))


@pytest.mark.parametrize(
    ("name", "option"), [("id_masks", "divisor"), ("id_masks", "suffix"), ("mask_folders", "class_from")]
)
def test_an_option_that_stands_in_a_file_is_named_with_it(tmp_path, name, option):
    path = tmp_path / "masks" / "instances.json"
    for folder in ("images", "masks"):
        write_png(tmp_path / folder / "a.png", np.ones((4, 4), np.uint8))
    path.write_text(json.dumps({"categories": [{"id": 1, "name": "cat"}], option: [1]}))
    assert refusal(name, Source(tmp_path / "masks")).startswith(f"{path}: {option}: expected")
    own = Source(tmp_path / "masks", options={option: [1]})
    assert refusal(name, own).startswith(f"{option}: expected")


def test_a_label_of_two_lines_in_a_file_of_meanings(tmp_path):
    write_png(tmp_path / "a.png", np.ones((4, 4), np.uint8))
    meanings = {"categories": [{"id": 1, "name": "sky"}], "labels": {"1": "a\nb"}, "void": []}
    (tmp_path / "labels.json").write_text(json.dumps(meanings))
    write_png(tmp_path / "images" / "a.png", np.ones((4, 4), np.uint8))
    assert r"'1': 'a\nb'" in refusal("semantic", Source(tmp_path, tmp_path / "images"))


@pytest.mark.parametrize("name", ["fiftyone", "labelme", "supervisely"])
def test_a_path_too_long_for_the_file_system(tmp_path, name):
    assert "cannot be read: File name too long" in refusal(name, Source(tmp_path / ("x" * 300)))
    assert not FORMATS[name].recognises(tmp_path / ("x" * 300))


def test_a_name_that_xml_cannot_hold_is_named_with_its_data_set(tmp_path):
    images = [{"id": 1, "file_name": "a.png", "width": 4, "height": 4}]
    truth = SplitTruth("street.json", tmp_path, [{"id": 1, "name": "\ud800"}], images, [])
    with pytest.raises(DataError, match=r"street.json: '\\ud800': XML cannot hold"):
        FORMATS["cvat"].write(truth, tmp_path / "out", WriteOptions())


def test_a_file_name_with_control_characters_is_one_line(tmp_path):
    value = content()
    value["images"][0]["file_name"] = "a\r\u2028b\x1b[31m"
    truth = FORMATS["coco"].read(Source(written(tmp_path / "a.json", value)))
    with pytest.raises(DataError, match=r"images\[0\]: .*cannot be copied from") as caught:
        FORMATS["coco"].write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["coco", "fiftyone", "id_masks", "lvis", "mask_folders"])
def test_what_is_nested_too_deeply_to_be_written(tmp_path, name):
    """NaN, so that the records are taken apart."""
    value = content()
    value["categories"] = [{"id": 1, "name": "cat", "mine": [float("nan"), nested(800)]}]
    value["annotations"] = []
    value["images"][1].update(width=4, height=4)
    truth = FORMATS["coco"].read(Source(written(tmp_path / "a.json", value)))
    with pytest.raises(DataError, match=r"a.json: its records hold lists that are nested too deeply to be written"):
        FORMATS[name].write(truth, tmp_path / "out", WriteOptions())
