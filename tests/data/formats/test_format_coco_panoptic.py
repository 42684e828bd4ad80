import json
from dataclasses import replace

import pytest
from helpers import SHARED
from mutated_json import mutated_files

from thingstuff.data.formats.coco_panoptic import COCO_PANOPTIC
from thingstuff.data.formats.format import Source, WriteOptions
from thingstuff.errors import DataError
from thingstuff.structures import Categories, PanopticMap, read_png

GOLDEN = SHARED / "golden" / "panoptic_coco"


def content():
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 3, "height": 2}],
        "annotations": [
            {
                "image_id": 7,
                "file_name": "a.png",
                "segments_info": [
                    {"id": 1, "category_id": 1, "area": 4, "bbox": [0, 0, 2, 2], "iscrowd": 0, "mine": 1}
                ],
            }
        ],
        "categories": [{"id": 1, "name": "cat", "isthing": 1}, {"id": 2, "name": "sky", "isthing": 0}],
    }


def written(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def read(path, **options):
    return COCO_PANOPTIC.read(Source(path, options=options))


def assert_equal_truths(found, expected):
    assert (found.images, found.categories) == (expected.images, expected.categories)
    assert found.panoptic.annotations == expected.panoptic.annotations
    for record in expected.panoptic.annotations:
        name = record["file_name"]
        assert (found.panoptic.folder / name).read_bytes() == (expected.panoptic.folder / name).read_bytes()


def test_what_the_file_says_is_read_as_it_is(tmp_path):
    path = written(tmp_path / "annotations" / "panoptic_val2017.json", content())
    (tmp_path / "val2017").mkdir()
    truth = read(path)
    assert truth.annotations is None and truth.stuff is None
    assert (truth.images, truth.categories) == (content()["images"], content()["categories"])
    assert truth.panoptic.annotations == content()["annotations"]
    assert truth.panoptic.json_path == path
    assert truth.panoptic.folder == tmp_path / "annotations" / "panoptic_val2017"
    assert truth.image_root == tmp_path / "val2017"


def test_the_folder_of_the_pngs_can_be_said(tmp_path):
    path = written(tmp_path / "a.json", content())
    assert read(path, folder="maps/val").panoptic.folder == tmp_path / "maps" / "val"
    with pytest.raises(DataError, match=r"folder: expected the folder of the PNGs.*got \[1\]"):
        read(path, folder=[1])


def test_shapes_round_trip(small_shapes, tmp_path):
    truth = read(small_shapes / "annotations" / "panoptic_train.json", folder="../panoptic_train")
    assert truth.image_root == small_shapes / "train"
    path = COCO_PANOPTIC.write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    again = read(path)
    assert path == tmp_path / "out" / "panoptic.json"
    assert_equal_truths(again, truth)
    assert again.image_root == tmp_path / "out" / "images"
    categories = Categories.from_coco(again.categories)
    for record in again.panoptic.annotations:  # each map is one of ours
        PanopticMap.read_coco(again.panoptic.folder / record["file_name"], record["segments_info"], categories)


@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/data")
def test_real_coco_round_trip(tmp_path):
    truth = read(GOLDEN / "panoptic_examples.json")
    assert truth.image_root == GOLDEN  # not the folder of the PNGs
    again = read(COCO_PANOPTIC.write(truth, tmp_path / "out", WriteOptions()))
    assert_equal_truths(again, truth)
    assert read_png(again.panoptic.folder / "000000142238.png", "RGB").shape == (427, 640, 3)


def test_categories_that_say_nothing_are_written_as_things(tmp_path):
    value = content() | {"annotations": []}
    del value["categories"][0]["isthing"]
    truth = read(written(tmp_path / "a.json", value))
    again = read(COCO_PANOPTIC.write(truth, tmp_path / "out", WriteOptions()))
    assert again.categories == content()["categories"]


def test_a_png_that_is_not_there_stops_the_writing(tmp_path):
    truth = read(written(tmp_path / "a.json", content()))
    with pytest.raises(DataError, match=r"annotations\[0\]: .*a.png' cannot be copied"):
        COCO_PANOPTIC.write(truth, tmp_path / "out", WriteOptions())
    assert not (tmp_path / "out" / "panoptic.json").exists()


def test_only_panoptic_truth_is_written(tmp_path):
    truth = replace(read(written(tmp_path / "a.json", content())), panoptic=None)
    with pytest.raises(DataError, match="has no panoptic truth"):
        COCO_PANOPTIC.write(truth, tmp_path / "out", WriteOptions())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image_id", None, "expected image_id as COCO's panoptic format has it, got none"),
        ("image_id", [7], "got a list"),
        ("file_name", 7, "expected file_name as COCO's panoptic format has it, got a number"),
        ("segments_info", {}, "expected a list of 'segments_info', as COCO has it, got a dictionary"),
        ("segments_info", [{}, "x"], r"segments_info\[1\]: expected a dictionary, got a text"),
    ],
)
def test_annotations_of_another_kind_are_refused(tmp_path, key, value, message):
    wrong = content()
    wrong["annotations"][0][key] = value
    with pytest.raises(DataError, match=r"a.json: annotations\[0\]: .*" + message):
        read(written(tmp_path / "a.json", wrong))


def test_mutated_files_are_read_or_refused_in_one_line(tmp_path):
    path = tmp_path / "a.json"
    refused = 0
    for number, data in enumerate(mutated_files(content(), 300)):
        path.write_bytes(data)
        COCO_PANOPTIC.recognises(path)
        try:
            COCO_PANOPTIC.write(read(path), tmp_path / "out", WriteOptions(copy_images=number % 2 == 0))
        except DataError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600
    assert refused > 50


def test_it_is_recognised_by_its_segments(tmp_path):
    assert COCO_PANOPTIC.recognises(written(tmp_path / "a.json", content()))
    many = content()
    many["images"] *= 5000
    assert COCO_PANOPTIC.recognises(written(tmp_path / "a.json", many))
    many["annotations"] = [{"id": 1, "segmentation": []}]
    assert not COCO_PANOPTIC.recognises(written(tmp_path / "a.json", many))
    assert not COCO_PANOPTIC.recognises(tmp_path / "missing.json")
