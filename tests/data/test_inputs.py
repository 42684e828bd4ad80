"""Inputs: what files, folders, globs and data sets lead to, under keys that are distinct and in an order that lasts."""

import os
from pathlib import Path

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from thingstuff.data.inputs import ImageInput, VideoInput, dataset_inputs, find_inputs, is_dataset
from thingstuff.errors import DataError


@pytest.fixture
def tree(tmp_path):
    """A folder with images in two others, a video, a note and hidden files."""
    for name in (
        *("a/img10.jpg", "a/img2.JPG", "b/img2.jpg", "b/deep/x.png", "clip.mp4", "notes.txt"),
        *(".hidden.jpg", ".cache/y.jpg", "b/Thumbs.db"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def keys(inputs):
    return [image.key for image in inputs.images]


def assert_refused(arguments, *parts):
    with pytest.raises(DataError) as caught:
        find_inputs(arguments)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_a_folder_is_searched_to_its_depth(tree):
    found = find_inputs([tree])
    assert found.root == tree
    assert keys(found) == ["a/img2.JPG", "a/img10.jpg", "b/deep/x.png", "b/img2.jpg"]
    assert found.images[0] == ImageInput("a/img2.JPG", tree / "a/img2.JPG")
    assert found.videos == (VideoInput("clip.mp4", tree / "clip.mp4"),)
    assert found.ignored == (tree / "b/Thumbs.db", tree / "notes.txt")


def test_files_of_one_name_have_different_keys(tree):
    found = find_inputs([tree / "a" / "img2.JPG", tree / "b" / "img2.jpg"])
    assert (found.root, keys(found)) == (tree, ["a/img2.JPG", "b/img2.jpg"])


def test_one_file_is_keyed_by_its_name(tree):
    found = find_inputs([str(tree / "b/deep/x.png")])
    assert (found.root, keys(found)) == (tree / "b/deep", ["x.png"])


def test_a_relative_path_stays_relative_but_the_root_is_absolute(tree, monkeypatch):
    monkeypatch.chdir(tree / "a")
    found = find_inputs(["../b/img2.jpg", "."])
    assert found.root == tree
    assert keys(found) == ["a/img2.JPG", "a/img10.jpg", "b/img2.jpg"]
    assert found.images[2].path == Path("../b/img2.jpg")


@pytest.mark.parametrize(
    ("pattern", "root", "expected"),
    [
        ("a/*.jpg", "a", ["img10.jpg"]),
        ("*/img2.*", "", ["a/img2.JPG", "b/img2.jpg"]),
        ("**/*.png", "", ["b/deep/x.png"]),
        ("b/**", "b", ["deep/x.png", "img2.jpg"]),
        ("?", "", ["a/img2.JPG", "a/img10.jpg", "b/deep/x.png", "b/img2.jpg"]),
        ("[b]/i*", "", ["b/img2.jpg"]),
    ],
)
def test_globs(tree, pattern, root, expected):
    found = find_inputs([f"{tree}/{pattern}"])
    assert (found.root, keys(found)) == (tree / root, expected)


def test_a_name_with_brackets_is_a_name_where_it_exists(tree):
    (tree / "a[1].jpg").write_bytes(b"x")
    assert keys(find_inputs([tree / "a[1].jpg"])) == ["a[1].jpg"]


def test_the_home_folder(tree, monkeypatch):
    monkeypatch.setenv("HOME", str(tree))
    assert keys(find_inputs(["~/a/*.jpg"])) == ["img10.jpg"]


def test_the_same_file_counts_once(tree):
    (tree / "a" / "again.jpg").symlink_to(tree / "a" / "img10.jpg")
    found = find_inputs([tree / "a/img10.jpg", f"{tree}/a/../a/img10.jpg", tree / "a", f"{tree}/a/*"])
    assert keys(found) == ["img2.JPG", "img10.jpg"]


def test_links_between_folders_end(tree):
    (tree / "a" / "up").symlink_to(tree, target_is_directory=True)
    assert len(keys(find_inputs([tree]))) == 4
    assert len(keys(find_inputs([tree / "a"]))) == 4


def test_a_dangling_link_in_a_folder_is_ignored_and_refused_by_name(tree):
    (tree / "a" / "gone.jpg").symlink_to(tree / "nowhere.jpg")
    assert find_inputs([tree / "a"]).ignored == (tree / "a" / "gone.jpg",)
    assert_refused([tree / "a" / "gone.jpg"], "no file or folder", "gone.jpg")


def test_hidden_files_can_be_named(tree):
    assert keys(find_inputs([tree / ".hidden.jpg"])) == [".hidden.jpg"]
    assert keys(find_inputs([tree / ".cache"])) == ["y.jpg"]


def test_the_order_is_natural_and_independent_of_the_arguments(tmp_path):
    names = ["f1.png", "f01.png", "f2.png", "f10.png", "f10a.png", "F3.png", "x²1.png", "ü.png", "7.png"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    forward = keys(find_inputs([tmp_path / name for name in names]))
    assert forward == keys(find_inputs([tmp_path / name for name in reversed(names)])) == keys(find_inputs([tmp_path]))
    assert forward[:7] == ["7.png", "f01.png", "f1.png", "f2.png", "F3.png", "f10.png", "f10a.png"]


def test_videos_alone_are_enough(tree):
    found = find_inputs([tree / "clip.mp4"])
    assert (found.images, [video.key for video in found.videos]) == ((), ["clip.mp4"])


def test_mistakes_end_in_one_line(tree):
    (tree / "empty").mkdir()
    assert_refused([], "no image is named")
    assert_refused([tree / "nothing.jpg"], "no file or folder", "nothing.jpg")
    assert_refused([tree / "notes.txt"], "no image and no video", "notes.txt", ".jpg")
    assert_refused([tree / "empty"], "no image or video in", "empty", ".mp4")
    assert_refused([f"{tree}/*.bmp"], "no file matches", "*.bmp")
    assert_refused([f"{tree}/*.txt"], "no image or video in", "*.txt")
    assert_refused([tree / "a", tree / "empty"], "empty")


def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert_refused([tmp_path / "pipe.jpg"], "no image")


@pytest.fixture
def registered(tmp_path):
    """A function: records, image_root -> the name of a data set that has them."""
    names = []

    def register(records, image_root=None):
        names.append(f"test_inputs_{len(names)}")
        DatasetCatalog.register(names[-1], lambda: records)
        if image_root is not None:
            MetadataCatalog.get(names[-1]).image_root = str(image_root)
        return names[-1]

    yield register
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def record(path, image_id):
    return {"file_name": str(path), "image_id": image_id, "height": 4, "width": 5}


def test_a_data_set_keeps_its_order_and_ids(registered, tmp_path):
    records = [record(tmp_path / "b/2.jpg", 17), record(tmp_path / "b/1.jpg", "s3")]
    found = dataset_inputs(registered(records, tmp_path))
    assert found.root == tmp_path
    assert found.images == (
        ImageInput("b/2.jpg", tmp_path / "b/2.jpg", 17),
        ImageInput("b/1.jpg", tmp_path / "b/1.jpg", "s3"),
    )
    assert found.videos == found.ignored == ()


def test_the_root_of_a_data_set_without_a_fitting_image_root(registered, tmp_path):
    records = [record(tmp_path / "a/1.jpg", 1), record(tmp_path / "b/1.jpg", 2)]
    (tmp_path / "a").mkdir()
    for image_root in (None, tmp_path / "a"):
        found = dataset_inputs(registered(records, image_root))
        assert (found.root, keys(found)) == (tmp_path, ["a/1.jpg", "b/1.jpg"])


def test_data_sets_that_cannot_be_keyed_are_refused(registered, tmp_path):
    twice = registered([record(tmp_path / "1.jpg", 1), record(tmp_path / "x/../1.jpg", 2)])
    with pytest.raises(DataError, match="images 1 and 2 are one file"):
        dataset_inputs(twice)
    with pytest.raises(DataError, match="no images"):
        dataset_inputs(registered([]))
    with pytest.raises(DataError, match="record 0: it has no file_name"):
        dataset_inputs(registered([{"image_id": 1}]))
    with pytest.raises(DataError, match="no data set is registered"):
        dataset_inputs("nobody_knows_this")


def test_the_embedded_data_set(small_shapes):
    found = dataset_inputs("shapes_val")
    assert found.root == small_shapes / "val"
    assert len(found.images) == 6 and found.images[0].path == small_shapes / "val" / found.images[0].key


def test_a_path_that_exists_is_no_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_dataset("shapes_val") and not is_dataset("street.jpg") and not is_dataset(str(tmp_path))
    (tmp_path / "shapes_val").mkdir()
    assert not is_dataset("shapes_val")
