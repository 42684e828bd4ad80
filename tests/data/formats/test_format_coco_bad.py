import pytest
from mutated_json import mutated_files
from test_format_coco import content, read, written

from thingstuff.data.formats.coco import COCO
from thingstuff.data.formats.format import WriteOptions
from thingstuff.errors import DataError

# ---- bad files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("{", "not JSON, or cut off"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ("[]", "expected a dictionary with images, annotations, categories, as COCO has it, got a list"),
        ("7", "got a number"),
        ('{"images": [], "categories": []}', "expected a list of 'annotations', as COCO has it, got none"),
        ('{"images": {}, "annotations": [], "categories": []}', "'images', as COCO has it, got a dictionary"),
        ('{"images": [], "annotations": [{}, 3], "categories": []}', r"annotations\[1\]: expected a dictionary"),
        (
            '{"images": [], "annotations": [], "categories": ["cat"]}',
            r"categories\[0\]: expected a dictionary, got a text",
        ),
        ('{"images": [' + "9" * 5000 + "]}", "not JSON"),
    ],
)
def test_files_that_are_no_coco_are_refused(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_missing_files_are_refused(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"images": "\xff\xfe\xff"}')
    with pytest.raises(DataError, match="not JSON: invalid start byte at byte 12"):
        read(tmp_path / "a.json")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read(tmp_path / "b.json")


def test_mutated_files_are_read_or_refused_in_one_line(tmp_path):
    path = tmp_path / "a.json"
    refused = 0
    for number, data in enumerate(mutated_files(content(), 400)):
        path.write_bytes(data)
        COCO.recognises(path)
        try:
            truth = read(path)
            COCO.write(truth, tmp_path / "out", WriteOptions(copy_images=number % 2 == 0))
        except DataError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600
    assert 50 < refused < 400


# ---- recognition -------------------------------------------------------------------------------------------------


def test_coco_is_recognised_by_its_ends(tmp_path):
    assert COCO.recognises(written(tmp_path / "a.json", content()))
    assert COCO.recognises(tmp_path)
    big = content()
    big["images"] *= 5000
    assert COCO.recognises(written(tmp_path / "a.json", big))
    assert COCO.recognises(written(tmp_path / "a.json", {"categories": big["categories"] * 3000} | big))


@pytest.mark.parametrize(
    "value",
    [
        {"shapes": [], "imagePath": "a.jpg", "version": "5"},
        {"info": {"images": [], "annotations": []}},
        {"categories": [], "labels": {}, "void": []},
        [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}],
        {"images": [], "annotations": [{"segments_info": []}], "categories": []},
        {"images": [], "annotations": [], "categories": [{"id": 92, "name": "banner", "supercategory": "textile"}]},
    ],
)
def test_other_json_is_not(tmp_path, value):
    assert not COCO.recognises(written(tmp_path / "a.json", value))


@pytest.mark.parametrize("data", [b"", b"{", b'{"' + b'\\"' * 60_000, b'"' * 100_000, b'{"categories":[' * 20_000])
def test_recognising_never_raises_and_never_takes_long(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    assert not COCO.recognises(tmp_path / "a.json")
    assert not COCO.recognises(tmp_path / "missing.json")
