"""Other tables of labels than Cityscapes' own, and what is wrong in single files: refused or left out."""

from __future__ import annotations

import os

import numpy as np
import pytest
from test_format_cityscapes import IDS, names_of, read, stuff_names, write_set

from thingstuff.data.checks import Checked, run_checks
from thingstuff.errors import DataError
from thingstuff.structures import write_png

# ---- other tables ------------------------------------------------------------------------------------------------


def test_labels_of_another_table(tmp_path):
    """In any order, with gaps, and a class 0 that nothing uses."""
    ids = np.array([[2000, 2001, 9], [0, 9, 1], [5, 255, 9000]], np.uint16)
    labels = write_set(tmp_path, ids)
    stated = {9: "fog", 2: "boat", 1: "water", 5: "car", 0: "background"}
    truth = read(labels, labels=stated, things=["boat", "fog"])
    assert names_of(truth) == {n: stated[n] for n in (9, 2, 1, 5, 0)}
    kinds = {category["name"]: category["isthing"] for category in truth.categories}
    assert kinds == {"fog": 1, "boat": 1, "water": 0, "car": 0, "background": 0}
    found = [(names_of(truth)[n["category_id"]], n["area"], n["iscrowd"]) for n in truth.annotations]
    assert found == [("fog", 2, 1), ("boat", 1, 0), ("boat", 1, 0), ("fog", 1, 0)]
    assert stuff_names(truth).tolist() == [["", "", ""], ["background", "", "water"], ["car", "?", ""]]


def test_names_of_cityscapes_keep_their_kind_and_colour(tmp_path):
    """Train ids, as people renumber them: 11 is a person."""
    labels = write_set(tmp_path, np.array([[11000, 11, 0, 255, 13000]], np.uint16))
    truth = read(labels, labels={0: "road", 11: "person", 13: "car"})
    assert truth.categories[1] == {"id": 11, "name": "person", "isthing": 1, "color": [220, 20, 60]}
    assert [(n["category_id"], n["iscrowd"]) for n in truth.annotations] == [(11, 1), (11, 0), (13, 0)]
    assert stuff_names(truth).tolist() == [["", "", "road", "?", ""]]


def test_two_labels_of_one_name_are_one_category(tmp_path):
    labels = write_set(tmp_path, np.array([[7, 9, 0]], np.uint16))
    assert stuff_names(read(labels, labels={7: "road", 9: "road"})).tolist() == [["road", "road", "?"]]


def test_only_one_kind_there(tmp_path):
    labels = write_set(tmp_path, np.array([[7, 26000, 0]], np.uint16))
    assert read(labels, labels={26: "car"}, void=[0, 7]).stuff is None
    assert read(labels, labels={7: "road"}, void=[0, 26]).annotations is None


def test_cityscapes_own_labels_with_other_things(tmp_path):
    truth = read(write_set(tmp_path, np.array([[17000, 7]], np.uint16)), things=["pole"])
    assert [names_of(truth)[n["category_id"]] for n in truth.annotations] == ["pole"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": [1]}, r"labels: expected a mapping of labels to names"),
        ({"labels": {24: None}}, "labels: expected names of labels below 1000, got 24: None"),
        ({"labels": {24000: "person"}}, "labels: expected names of labels below 1000, got 24000: 'person'"),
        ({"labels": {7: "road"}, "void": [7]}, "labels: the label 7 is a category's and cannot mean void"),
        ({"labels": {7: "road"}, "void": "x"}, r"void: expected labels, as \[0, 255\], got 'x'"),
        ({"void": [0]}, "void: goes with `labels` alone"),
        ({"things": "person"}, r"things: expected a list of names, as \[person, car\], got 'person'"),
        ({"things": ["persno"]}, "things: no label is named 'persno': the names are road, sidewalk"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        read(write_set(tmp_path), lenient=True, **options)


# ---- faults ------------------------------------------------------------------------------------------------------


def refused_or_left_out(labels, kind, example, count=1, **options):
    """Refused in one line with that kind, and a note where that is wanted. What is left."""
    with pytest.raises(DataError) as caught:
        read(labels, **options)
    text = str(caught.value)
    assert f"{count} {kind} (" in text and example in text and "leave them out with --lenient" in text
    truth = read(labels, lenient=True, **options)
    assert any(note.startswith(f"left out: {count} x {kind}, the first: ") and example in note for note in truth.notes)
    assert not [finding for finding in run_checks(Checked({"train": truth})) if finding.code.severity == "error"]
    return truth


def test_labels_that_no_table_has(tmp_path):
    """They are void then, so that the checks find nothing either."""
    labels = write_set(tmp_path, np.array([[34, 50001, 24000, 7]], np.uint16))
    example = "aachen/aachen_0_1_gtFine_instanceIds.png: 34: name 34 in `labels`"
    truth = refused_or_left_out(labels, "regions whose label has no name", example, 2)
    assert stuff_names(truth).tolist() == [["?", "?", "", "road"]]
    assert len(truth.annotations) == 1


def test_instances_of_stuff(tmp_path):
    labels = write_set(tmp_path, np.array([[7001, 24000]], np.uint16))
    truth = refused_or_left_out(labels, "instances of stuff", "instanceIds.png: 7001: name 'road' in `things`")
    assert stuff_names(truth).tolist() == [["road", ""]] and len(truth.annotations) == 1


def test_labels_without_an_image(tmp_path):
    write_set(tmp_path, name="bonn/bonn_0_1")
    labels = write_set(tmp_path)
    (tmp_path / "leftImg8bit/train/bonn/bonn_0_1_leftImg8bit.png").unlink()
    truth = refused_or_left_out(labels, "labels without an image", "of 'bonn/bonn_0_1_leftImg8bit' in")
    assert len(truth.images) == 1
    with pytest.raises(DataError, match="train: none of the labels, as .*, has an image in .*: say where they are"):
        read(labels, tmp_path / "nowhere", lenient=True)


def test_labels_that_cannot_be_read(tmp_path):
    write_set(tmp_path, name="bonn/bonn_0_1")
    labels = write_set(tmp_path)
    (labels / "bonn/bonn_0_1_gtFine_instanceIds.png").write_bytes(b"")
    truth = refused_or_left_out(labels, "labels that cannot be read", "expected a PNG, got no PNG at all")
    assert len(truth.images) == len(truth.stuff.paths) == 1
    noise = np.random.default_rng(0).integers(24000, 34000, (64, 64)).astype(np.uint16)
    write_png(labels / "bonn/bonn_0_1_gtFine_instanceIds.png", noise)
    refused_or_left_out(labels, "labels that cannot be read", "different values, as in a photograph")


def test_fine_and_coarse_labels_of_one_image(tmp_path):
    labels = write_set(tmp_path)
    write_png(labels / "aachen/aachen_0_1_gtCoarse_instanceIds.png", IDS)
    refused_or_left_out(labels, "images with several labels", "'aachen/aachen_0_1_leftImg8bit.png' has ")


def test_a_name_that_is_not_utf8(tmp_path):
    labels = write_set(tmp_path)
    write_png(tmp_path / "x.png", IDS)
    (tmp_path / "x.png").rename(labels / os.fsdecode(b"\xff_gtFine_instanceIds.png"))
    refused_or_left_out(labels, "file names that are not UTF-8", r"'\udcff_gtFine_instanceIds.png': rename it")


def test_folders_without_labels(tmp_path):
    with pytest.raises(DataError, match="expected a folder of Cityscapes' labels, such as gtFine/train"):
        read(tmp_path / ("x" * 300))
    with pytest.raises(DataError, match=r"there are no labels in it: expected \*_gtFine_instanceIds.png"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["[]", '{"categories": [], "labels": {"a": 1}}', '{"categories": {}}', "{"])
def test_a_file_of_labels_that_is_none(tmp_path, content):
    labels = write_set(tmp_path)
    (labels / "labels.json").write_text(content)
    with pytest.raises(DataError, match=r"labels\.json: "):
        read(labels, lenient=True)
