"""Declarations: what may stand in them, what it means, and what is said of a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from thingstuff.data.declared.declaration import read_declaration
from thingstuff.errors import ConfigError, DataError


@pytest.fixture
def declare(tmp_path):
    """A function: YAML text -> the declaration."""

    def read(text):
        path = tmp_path / "street.yaml"
        path.write_text(text)
        return read_declaration(path)

    return read


def test_the_shortest_declaration(declare, tmp_path):
    found = declare("annotations: labels\n")
    assert found.name == "street"
    assert found.root == tmp_path
    assert [split.name for split in found.splits] == ["train"]
    assert [(part.kind, part.format, part.annotations) for part in found.parts] == [("", "auto", "labels")]
    assert found.registered("train") == "street_train"


def test_everything_that_may_be_said(declare, tmp_path):
    found = declare("""
name: my-street
root: $HOME/data
splits: {train: 0.8, val: 0.2}
seed: 3
instances: {format: labelme, annotations: json, ignore: [blurred]}
stuff: {format: semantic, annotations: maps, images: other}
images: photos
panoptic: {build: area}
categories: [car, {name: road, isthing: false, color: [1, 2, 3]}]
keypoints: {names: [left_eye, right_eye], flips: [[left_eye, right_eye]]}
""")
    assert found.root == Path.home() / "data"
    assert [(s.name, s.share) for s in found.splits] == [("train", 0.8), ("val", 0.2)]
    instances, stuff = found.parts
    assert (instances.kind, instances.format, instances.images) == ("instances", "labelme", "photos")
    assert instances.options == {"ignore": ["blurred"]}
    assert stuff.images == "other"
    assert found.build_panoptic == "area"
    assert [(c.id, c.name, c.isthing, c.color) for c in found.categories.all] == [
        (1, "car", True, None),
        (2, "road", False, (1, 2, 3)),
    ]
    assert found.keypoints.flips == (("left_eye", "right_eye"),)
    assert found.seed == 3


def test_splits_may_have_lists_or_paths_of_their_own(declare, tmp_path):
    lists = declare("annotations: a.json\nsplits: {train: {list: train.txt}, val: {list: val.txt}}\n")
    assert lists.splits[0].list_file == tmp_path / "train.txt"
    paths = declare("splits:\n  train: {annotations: a.json, images: a}\n  val: {annotations: b.json}\n")
    assert paths.splits[0].paths == {"annotations": "a.json", "images": "a"}
    assert paths.parts[0].annotations == ""


def test_the_folder_of_data_sets_is_detectron2s(declare, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", "/data/sets")
    assert declare("root: $DETECTRON2_DATASETS/x\nannotations: a\n").root == Path("/data/sets/x")
    monkeypatch.delenv("DETECTRON2_DATASETS")
    assert declare("root: ${DETECTRON2_DATASETS}/x\nannotations: a\n").root == Path("datasets/x").absolute()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a/b\nannotations: x\n", "name: expected letters"),
        ("{}\n", "the key annotations is missing"),
        ("annotations: [a]\n", "annotations: expected a text, got ['a']"),
        ("annotations: a\nroot: $NO_SUCH_VARIABLE/x\n", "root: '$NO_SUCH_VARIABLE/x': a variable that is not set"),
        ("annotations: a\nsplits: [train, val]\n", "annotations: expected {split} in 'a'"),
        ("annotations: a\nsplits: {train: 0.8, val: 0.3}\n", "at most 1 in all, got [0.8, 0.3]"),
        ("annotations: a\nsplits: {train: 0.8, val: {list: x}}\n", "shares are for all splits or none"),
        ("annotations: a\nsplits: {train: 2}\n", "train: expected a share from 0 to 1"),
        ("annotations: a\nsplits: []\n", "splits: expected a list of names"),
        ("annotations: a\nsplits: ['../x']\n", "splits: expected names of letters"),
        ("annotations: 'a/{split}'\nsplits: {train: 0.5}\n", "no path can hold {split}"),
        ("annotations: a\nseed: -1\n", "seed: expected a whole number"),
        ("annotations: a\ncategories: car\n", "categories: expected a list of names"),
        ("annotations: a\ncategories: [car, car]\n", "two categories share the name 'car'"),
        ("annotations: a\ncategories: [{nme: car}]\n", "categories[0]: expected a name"),
        ("annotations: a\ncategories: [{name: car, color: red}]\n", "expected a colour"),
        ("annotations: a\npanoptic: {build: area}\n", "declare both"),
        ("annotations: a\npanoptic: {build: best}\n", "one of fail, area, order"),
        ("annotations: a\ninstances: {annotations: b}\n", "annotations stands beside instances"),
        ("instances: {annotations: b}\nanotations: a\n", "there is no key anotations"),
        ("annotations: a\nkeypoints: {names: [a], flips: [[a, b]]}\n", "flips: expected pairs of names"),
    ],
)
def test_mistakes_are_named_with_the_file(declare, text, words):
    with pytest.raises(DataError) as refused:
        declare(text)
    assert words in str(refused.value)
    assert "street.yaml" in str(refused.value)


def test_yaml_cannot_run_code(declare):
    with pytest.raises(ConfigError, match="tag would run code"):
        declare("annotations: !!python/object/apply:os.system [ls]\n")


def test_no_file(tmp_path):
    with pytest.raises(DataError, match="there is no declaration of a data set at"):
        read_declaration(tmp_path / "none.yaml")
