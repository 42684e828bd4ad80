"""Names of keypoints: those of the files, and declared ones that fit them."""

from __future__ import annotations

import json

import pytest
from detectron2.data import MetadataCatalog

from thingstuff.data.declared.declare import register_declared
from thingstuff.errors import DataError

NAMES = ["nose", "left_eye", "right_eye"]


@pytest.fixture
def declare_people(monkeypatch, tmp_path, request):
    """A function: declared lines -> the metadata of `people`, whose file names three keypoints."""
    monkeypatch.setenv("THINGSTUFF_CACHE", str(tmp_path / "cache"))
    name = f"people_{abs(hash(request.node.nodeid)) % 10**9}"
    note = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [1, 1, 4, 4], "area": 16}
    note |= {"segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]], "num_keypoints": 3, "keypoints": [2, 2, 2] * 3}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 8, "height": 8}],
        "annotations": [note],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES}],
    }
    (tmp_path / "people.json").write_text(json.dumps(content))
    (tmp_path / "a.jpg").write_bytes(b"")

    def declare(lines):
        path = tmp_path / f"{name}.yaml"
        path.write_text(f"annotations: people.json\nsplits: [all]\n{lines}")
        register_declared([path])
        return MetadataCatalog.get(f"{name}_all")

    return declare


def test_names_of_the_file_mirror_left_and_right(declare_people):
    metadata = declare_people("")
    assert metadata.keypoint_names == NAMES
    assert metadata.keypoint_flip_map == [["left_eye", "right_eye"]]


def test_declared_names_may_be_others(declare_people):
    metadata = declare_people("keypoints: {names: [a, b, c], flips: [[b, c]]}")
    assert metadata.keypoint_names == ["a", "b", "c"]
    assert metadata.keypoint_flip_map == [["b", "c"]]


@pytest.mark.parametrize("names", ["[nose, left_eye]", "[nose, right_eye, left_eye]"], ids=["fewer", "exchanged"])
def test_declared_names_that_do_not_fit_the_file_are_refused(declare_people, names):
    with pytest.raises(DataError, match=r"declared are \d, nose.*the annotations name 3, nose, left_eye, right_eye"):
        declare_people(f"keypoints: {{names: {names}}}")
