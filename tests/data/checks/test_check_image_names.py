"""Names of images: missing, outside of the folder, listed twice, not listed, and in other upper or lower case."""

import os
import sys

import pytest
from planted import added, changed, found, sound_splits, the_only

from thingstuff.data.checks.image_names import IMAGE_NAMES
from thingstuff.data.checks.listed_files import ListedFiles


@pytest.fixture
def splits(tmp_path):
    return sound_splits(tmp_path)


def with_train(splits, **values):
    return {**splits, "train": changed(splits["train"], "images", 1, **values)}


def test_a_sound_data_set_has_none(splits):
    assert found(IMAGE_NAMES, splits, is_quick=True) == found(IMAGE_NAMES, splits) == []


def test_missing(splits, tmp_path):
    (tmp_path / "train/train_1.png").unlink()
    finding = the_only(IMAGE_NAMES, splits, "image-missing", is_quick=True)
    assert (finding.split, finding.place) == ("train", "train.json: images[1]")
    assert finding.message == f"there is no file 'train_1.png' in {tmp_path / 'train'}"


def test_missing_where_the_name_is_a_folder(splits, tmp_path):
    (tmp_path / "train/train_1.png").unlink()
    (tmp_path / "train/train_1.png").mkdir()
    the_only(IMAGE_NAMES, splits, "image-missing", is_quick=True)


def test_missing_folder(splits, tmp_path):
    (tmp_path / "train").rename(tmp_path / "images")
    findings = found(IMAGE_NAMES, splits, is_quick=True)
    assert [f.code.name for f in findings] == ["image-missing"] * 3
    assert all(f.message.endswith(f"in {tmp_path / 'train'}, which is no folder") for f in findings)


@pytest.mark.skipif(sys.platform != "linux", reason="the file system may not tell upper from lower case")
@pytest.mark.parametrize("stated", ["Train_1.PNG", "train_1.PNG"])
def test_missing_because_of_its_case_says_so(splits, stated):
    finding = the_only(IMAGE_NAMES, with_train(splits, file_name=stated), "image-missing", is_quick=True)
    assert finding.message.endswith(": there is 'train_1.png', which differs in upper and lower case alone")


@pytest.mark.skipif(sys.platform != "linux", reason="the file system may not tell upper from lower case")
def test_a_folder_in_other_case(splits):
    inner = {**splits, "train": changed(splits["train"], "images", 0, file_name="First/train_0.png")}
    finding = the_only(IMAGE_NAMES, inner, "image-missing", is_quick=True)
    assert "there is 'first/train_0.png'" in finding.message


def test_case_where_the_file_system_does_not_care(splits, monkeypatch):
    """There the file is found by any case, and only a list of its folder tells how it is written."""
    isfile = os.path.isfile
    monkeypatch.setattr("os.path.isfile", lambda path: isfile(str(path).replace("TRAIN_1.PNG", "train_1.png")))
    finding = the_only(IMAGE_NAMES, with_train(splits, file_name="TRAIN_1.PNG"), "image-case", is_quick=True)
    assert finding.place == "train.json: images[1]"
    assert "'train_1.png', not 'TRAIN_1.PNG'" in finding.message


def test_two_names_that_differ_in_case_alone(splits, tmp_path):
    (tmp_path / "train/TRAIN_1.png").write_bytes((tmp_path / "train/train_1.png").read_bytes())
    more = {**splits, "train": added(splits["train"], "images", id=99, file_name="TRAIN_1.png", width=40, height=64)}
    finding = the_only(IMAGE_NAMES, more, "image-case", is_quick=True)
    assert finding.place == "train.json: images[3]"
    assert "'TRAIN_1.png' and 'train_1.png' differ in case alone" in finding.message


@pytest.mark.parametrize("how", ["dots", "absolute", "link", "folder link"])
def test_outside_root(splits, tmp_path, how):
    other = tmp_path / "val/val_1.png"
    (tmp_path / "train/train_1.png").unlink()
    if how == "link":
        (tmp_path / "train/link.png").symlink_to(other)
    if how == "folder link":
        (tmp_path / "train/inner").symlink_to(tmp_path / "val")
    names = {"dots": "../val/val_1.png", "absolute": str(other), "link": "link.png", "folder link": "inner/val_1.png"}
    finding = the_only(IMAGE_NAMES, with_train(splits, file_name=names[how]), "image-outside-root", is_quick=True)
    assert finding.place == "train.json: images[1]"
    assert finding.message.endswith(f"leads out of {tmp_path / 'train'}, and is not opened")


def test_ways_that_stay_inside_are_none_of_it(splits, tmp_path):
    """Also where the image folder itself is reached by a link."""
    (tmp_path / "train/alias.png").symlink_to(tmp_path / "train/train_2.png")
    (tmp_path / "data").symlink_to(tmp_path)
    train = splits["train"]
    for number, name in enumerate(["first/../first/train_0.png", str(tmp_path / "train/train_1.png"), "alias.png"]):
        train = changed(train, "images", number, file_name=name)
    assert found(IMAGE_NAMES, {**splits, "train": train}, is_quick=True) == []
    linked = sound_splits(tmp_path / "data")
    assert found(IMAGE_NAMES, linked, is_quick=True) == []


@pytest.mark.parametrize("name", ["train_1.png", "./train_1.png", "first/../train_1.png"])
def test_listed_twice(splits, name):
    more = {**splits, "train": added(splits["train"], "images", id=99, file_name=name, width=40, height=64)}
    finding = the_only(IMAGE_NAMES, more, "image-listed-twice", is_quick=True)
    assert finding.place == "train.json: images[3]"
    assert finding.message == "'train_1.png' is the image of train.json: images[1] already"


def test_unlisted(splits, tmp_path):
    """Images only, no hidden ones, and only in folders from which images are used."""
    (tmp_path / "train/notes.txt").write_text("no image")
    (tmp_path / "train/.hidden.png").write_bytes(b"")
    (tmp_path / "train/masks").mkdir()
    for name in ("first/more.JPG", "masks/0.png"):
        (tmp_path / "train" / name).write_bytes(b"")
    finding = the_only(IMAGE_NAMES, splits, "image-unlisted", is_quick=True)
    assert (finding.split, finding.place) == ("train", str(tmp_path / "train/first/more.JPG"))


def test_splits_that_share_a_folder_list_for_each_other(splits, tmp_path):
    for path in (tmp_path / "val").rglob("*.png"):
        path.rename(tmp_path / "train" / path.relative_to(tmp_path / "val"))
    shared = {name: changed(split, "images", 0) for name, split in splits.items()}
    from dataclasses import replace

    shared["val"] = replace(shared["val"], image_root=tmp_path / "train")
    assert found(IMAGE_NAMES, shared, is_quick=True) == []
    (tmp_path / "train/more.png").write_bytes(b"")
    assert the_only(IMAGE_NAMES, shared, "image-unlisted", is_quick=True).split == "train"


@pytest.mark.parametrize("name", [None, 7, "", [], {}, True, "\ud800.png", "a\0.png", "x" * 5000, "../" * 3000 + "a"])
def test_strange_names_break_nothing(splits, name):
    """What is no name at all is the matter of another check."""
    findings = found(IMAGE_NAMES, with_train(splits, file_name=name), is_quick=True)
    assert {f.code.name for f in findings} <= {"image-missing", "image-unlisted", "image-outside-root"}


def test_a_folder_is_listed_once_and_no_file_is_asked_for(splits, tmp_path, monkeypatch):
    listed = []
    scandir = os.scandir
    monkeypatch.setattr("os.scandir", lambda path: listed.append(str(path)) or scandir(path))
    monkeypatch.setattr("os.path.isfile", None)
    files = ListedFiles(tmp_path / "train")
    states = [files.find(image["file_name"]).state for image in splits["train"].images * 2]
    assert states == ["there"] * 6
    assert listed == [str(tmp_path / "train/first"), str(tmp_path / "train")]


def test_a_pipe_is_no_image(splits, tmp_path):
    """Opening it would wait for ever."""
    (tmp_path / "train/train_1.png").unlink()
    os.mkfifo(tmp_path / "train/train_1.png")
    the_only(IMAGE_NAMES, splits, "image-missing", is_quick=True)
