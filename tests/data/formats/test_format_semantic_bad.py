import random
import zlib

import pytest
from mutated_json import mutated_files
from test_format_semantic import image, label_folder, read

from thingstuff.data.formats.semantic import SEMANTIC
from thingstuff.errors import DataError


@pytest.fixture
def folder(tmp_path):
    return label_folder(tmp_path)


# ---- bad files ---------------------------------------------------------------------------------------------------


def test_mutated_meanings_are_read_or_refused_in_one_line(folder):
    content = {
        "categories": [{"id": 7, "name": "road", "isthing": 0, "color": [1, 2, 3]}, {"id": 23, "name": "sky"}],
        "labels": {"0": None, "7": 7, "23": 23},
        "void": [255],
    }
    refused = 0
    for data in mutated_files(content, 300):
        (folder / "labels.json").write_bytes(data)
        try:
            truth = read(folder)
            assert all(isinstance(label, int) for label in truth.stuff.label_ids)
        except DataError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600
    assert refused > 100


def test_mutated_maps_are_read_or_refused_in_one_line(folder):
    whole = (folder / "a.png").read_bytes()
    rng = random.Random(0)
    for _ in range(120):
        data = bytearray(whole if rng.random() < 0.7 else whole[: rng.randrange(len(whole))])
        for _ in range(rng.randint(0, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256) if data else 0
        (folder / "a.png").write_bytes(bytes(data))
        SEMANTIC.recognises(folder)
        try:
            read(folder).stuff.read(1)
        except DataError as error:
            assert "\n" not in str(error)


def test_a_header_that_announces_too_much_is_refused(folder):
    size = (10**9).to_bytes(4, "big") * 2
    chunk = b"IHDR" + size + bytes((8, 0, 0, 0, 0))
    header = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    (folder / "a.png").write_bytes(header)
    truth = read(folder)
    assert len(truth.images) == 2
    with pytest.raises(DataError, match=r"a.png"):
        truth.stuff.read(1)


# ---- recognition -------------------------------------------------------------------------------------------------


def test_a_folder_of_label_maps_is_recognised(folder):
    assert SEMANTIC.recognises(folder)
    assert not SEMANTIC.recognises(folder.parent / "images")
    assert not SEMANTIC.recognises(folder / "a.png")
    assert not SEMANTIC.recognises(folder / "missing")
    image(folder / "a.png")
    assert not SEMANTIC.recognises(folder)
