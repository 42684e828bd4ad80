"""Supervisely: what the images of a project are called, wherever they lie."""

from __future__ import annotations

import json
import os

import pytest
from round_trips import HEIGHT, WIDTH
from supervisely_files import images, label_file, polygon, project, read

from thingstuff.data.formats import Source, format_of
from thingstuff.data.formats.supervisely import SUPERVISELY
from thingstuff.errors import DataError


def test_images_of_one_data_set_have_their_own_names(tmp_path):
    project(tmp_path, {"ds/ann/a.jpg.json": label_file(), "ds/ann/b.png.json": label_file()})
    images(tmp_path / "ds/img", "a.jpg", "b.png", "c.jpg")
    for folder in (tmp_path, tmp_path / "ds"):
        truth = SUPERVISELY.read(Source(folder))
        assert truth.image_root == tmp_path / "ds/img"
        assert [image["file_name"] for image in truth.images] == ["a.jpg", "b.png"]
        assert [c["name"] for c in truth.categories] == ["dog", "cat"]
        assert f"left out: 1 of the images in {tmp_path / 'ds/img'}, which have no labels" in truth.notes


def test_images_of_several_data_sets_are_kept_apart(tmp_path):
    names = ("day/img/a.jpg", "night/img/a.jpg", "night/datasets/dawn/img/a.jpg")
    project(tmp_path, {f"{name.replace('/img/', '/ann/')}.json": label_file(polygon()) for name in names})
    images(tmp_path, *names, "day/masks_human/a.png")
    truth = SUPERVISELY.read(Source(tmp_path))
    assert truth.image_root == tmp_path
    assert {image["file_name"] for image in truth.images} == set(names)
    assert len(truth.annotations) == 3 and not truth.notes


@pytest.mark.parametrize("layout", ["day/{}", "day/img/{}", "{}"])
def test_images_elsewhere_lie_with_the_folders_of_their_data_sets_or_without(tmp_path, layout):
    files = {"day/ann/a.jpg.json": label_file(), "night/ann/b.jpg.json": label_file()}
    project(tmp_path / "project", files)
    found = [layout.format("a.jpg"), layout.format("b.jpg").replace("day", "night")]
    images(tmp_path / "photos", *found)
    truth = SUPERVISELY.read(Source(tmp_path / "project", tmp_path / "photos"))
    assert [image["file_name"] for image in truth.images] == found


def test_images_elsewhere_that_two_data_sets_call_the_same_need_their_folders(tmp_path):
    project(tmp_path / "project", {"day/ann/a.jpg.json": label_file(), "night/ann/a.jpg.json": label_file()})
    images(tmp_path / "photos", "a.jpg", "day/a.jpg")
    truth = SUPERVISELY.read(Source(tmp_path / "project", tmp_path / "photos", lenient=True))
    assert [image["file_name"] for image in truth.images] == ["day/a.jpg"]


def test_labels_of_the_first_projects_lack_the_suffix_of_the_image(tmp_path):
    project(tmp_path, {"ds/ann/a.json": label_file(), "ds/ann/b.json": label_file()})
    images(tmp_path / "ds/img", "a.png", "b.jpg")
    assert [image["file_name"] for image in SUPERVISELY.read(Source(tmp_path)).images] == ["a.png", "b.jpg"]
    images(tmp_path / "ds/img", "a.jpg")
    with pytest.raises(DataError, match="1 labels that several images fit"):
        SUPERVISELY.read(Source(tmp_path))


def test_labels_without_their_image_are_faults_where_others_have_theirs(tmp_path):
    project(tmp_path, {"ds/ann/a.jpg.json": label_file(polygon()), "ds/ann/b.jpg.json": label_file(polygon())})
    assert len(SUPERVISELY.read(Source(tmp_path)).images) == 2  # downloaded without images
    images(tmp_path / "ds/img", "b.jpg")
    with pytest.raises(DataError, match=r"1 labels without an image \(ds/ann/a.jpg.json, of .*a.jpg\)"):
        SUPERVISELY.read(Source(tmp_path))
    truth = SUPERVISELY.read(Source(tmp_path, lenient=True))
    assert [image["file_name"] for image in truth.images] == ["b.jpg"]
    assert truth.annotation_places == ["ds/ann/b.jpg.json: objects[0]"]
    assert any("left out: 1 x labels without an image" in note for note in truth.notes)


def test_the_size_is_the_image_s_where_it_is_not_stated(tmp_path):
    images(tmp_path / "ds/img", "a.jpg")
    truth = read(tmp_path, polygon(), size={})
    assert (truth.images[0]["width"], truth.images[0]["height"]) == (WIDTH, HEIGHT)


def test_names_that_are_not_utf_8_are_faults(tmp_path):
    folder = project(tmp_path, {"ds/ann/a.jpg.json": label_file(polygon())})
    strange = os.fsencode(folder / "ds/ann") + b"/\xff.jpg.json"
    with open(strange, "w") as file:  # noqa: PTH123  a name in bytes
        json.dump(label_file(polygon()), file)
    with pytest.raises(DataError, match=r"1 labels whose names are not UTF-8 \('ds/ann/\\udcff"):
        SUPERVISELY.read(Source(folder))
    assert len(SUPERVISELY.read(Source(folder, lenient=True)).images) == 1


def test_it_is_recognised(tmp_path):
    folder = project(tmp_path / "one", {"ds/ann/a.jpg.json": label_file()})
    assert format_of("auto", folder) is SUPERVISELY
    assert format_of("auto", folder / "ds") is SUPERVISELY
    nested = project(tmp_path / "two", {"a/datasets/b/ann/a.jpg.json": label_file()})
    assert format_of("auto", nested) is SUPERVISELY
    assert not SUPERVISELY.recognises(project(tmp_path / "three", {}))
    assert not SUPERVISELY.recognises(tmp_path / "none")
    (folder / "meta.json").write_text('{"keys": []}')
    assert not SUPERVISELY.recognises(folder)
