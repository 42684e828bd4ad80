"""The labelmap.txt of VOC data sets, as CVAT and Datumaro write it: in any order, with or without a background."""

from __future__ import annotations

import numpy as np
import pytest
from test_format_voc import OBJECTS, labels_of, read, write_set

from thingstuff.errors import DataError


def labelmap(root, *lines):
    (root / "labelmap.txt").write_text("\n".join(lines))


RED, GREEN = [200, 10, 10], [10, 200, 10]
CUSTOM = np.array([[0, 0, 0], RED, GREEN], np.uint8)
TWO = np.where(OBJECTS == 1, 1, np.where(OBJECTS == 3, 2, 0)).astype(np.uint8)  # the classes of the objects 1 and 3


@pytest.mark.parametrize("kind", ["RGB", "palette"])
@pytest.mark.parametrize(
    "lines",
    [
        ["# label:color_rgb:parts:actions", "background:0,0,0::", "cat:200,10,10::", "dog:10,200,10::"],
        ["dog:10,200,10:head,tail:run", "cat:200,10,10::", "ignored:224,224,192::"],
        ["dog:10, 200, 10::", "", "background:1,2,3::", "bird:9,9,9::", "cat:200,10,10"],
        ["unlabelled:0,0,0::", "ignored:224,224,192::", "dog:10,200,10::", "cat:200,10,10::"],
    ],
)
def test_colours_tell_the_classes_in_any_order(tmp_path, lines, kind):
    write_set(tmp_path, classes=TWO, kind=kind, colors=CUSTOM)
    labelmap(tmp_path, *lines)
    truth = read(tmp_path)
    assert labels_of(truth) == ["cat", "dog"]
    by_name = {category["name"]: category for category in truth.categories}
    assert by_name["cat"]["color"] == RED and by_name["dog"]["color"] == GREEN
    assert not {"background", "unlabelled", "ignored"} & by_name.keys()


@pytest.mark.parametrize(
    "lines",
    [
        ["background:0,0,0::", "cat:200,10,10::", "dog:10,200,10::"],  # their colours are not those of the palette
        ["cat:200,10,10::", "background:0,0,0::", "dog:10,200,10::"],
        ["cat:::", "dog:::"],
        ["cat", "_background_", "dog"],
    ],
)
@pytest.mark.parametrize("kind", ["grey", "palette"])
def test_indices_count_from_1_without_the_background(tmp_path, lines, kind):
    labelmap(write_set(tmp_path, classes=TWO, kind=kind), *lines)
    truth = read(tmp_path)
    assert labels_of(truth) == ["cat", "dog"]
    assert [category["id"] for category in truth.categories] == [1, 2]


def test_without_colours_the_classes_have_those_of_voc(tmp_path):
    labelmap(write_set(tmp_path, classes=TWO, kind="RGB"), "background:::", "cat:::", "dog:::")
    assert labels_of(read(tmp_path)) == ["cat", "dog"]


def test_a_palette_goes_by_its_colours_where_they_are_those_of_the_labels(tmp_path):
    """VOC's colours, in a list of another order: colour 1, dark red, is the dog's."""
    labelmap(write_set(tmp_path, classes=TWO), "cat:0,128,0::", "dog:128,0,0::")
    assert labels_of(read(tmp_path)) == ["dog", "cat"]


def test_what_is_black_is_the_background_whatever_its_name(tmp_path):
    labelmap(write_set(tmp_path, classes=TWO, kind="grey"), "cow:0,0,0::", "cat:200,10,10::", "dog:10,200,10::")
    truth = read(tmp_path)
    assert labels_of(truth) == ["cat", "dog"]
    assert "'cow' is black, and so the background" in truth.notes[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["cat:1,2::"], r"labelmap\.txt, line 1: expected name:r,g,b:parts:actions with colours of 0 to 255, got"),
        (["cat:1,2,256::"], "line 1: expected name:r,g,b"),
        (["# x", ":1,2,3::"], "line 2: expected a label, got ''"),
        (["cat:1,2,3::", "cat:3,2,1::"], "line 2: 'cat' is that of a label before"),
        (["cat:1,2,3::", "dog:1,2,3::"], r"line 2: \(1, 2, 3\) is that of a label before: give each label its own"),
        ([f"c{n}:::" for n in range(255)], "255 labels are more than the 254"),
        (["x" * (1 << 20), ""], "expected a line for each label, got more than"),
    ],
)
def test_a_labelmap_that_cannot_be_read(tmp_path, lines, message):
    labelmap(write_set(tmp_path), *lines)
    with pytest.raises(DataError, match=message):
        read(tmp_path, lenient=True)


def test_a_labelmap_that_is_no_text(tmp_path):
    (write_set(tmp_path) / "labelmap.txt").write_bytes(b"cat\xff:::")
    with pytest.raises(DataError, match=r"labelmap\.txt: cannot be read"):
        read(tmp_path)
