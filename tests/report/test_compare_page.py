"""The comparison page as a file: what is in it, what names cannot do to it, and where its pictures lie."""

import base64
import json
import zlib
from html.parser import HTMLParser
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from thingstuff.errors import DataError
from thingstuff.report.page import Layer, LayerSegment, Page, PageImage, PageOptions, PageTable, write_page

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&amp;{{ 7 * 7 }}"
H, W = 30, 40


class Parts(HTMLParser):
    """Tags with their attributes, and the text inside each element with an id or of a table."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.scripts = [], [], {}
        self._script = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._script = dict(attributes).get("id", "") if tag == "script" else None

    def handle_data(self, data):
        if self._script is None:
            self.texts.append(data.strip())
        else:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    def handle_endtag(self, tag):
        self._script = None

    def json(self, name):
        return json.loads(self.scripts[name], parse_constant=pytest.fail)


def ids_of(*boxes, height=H, width=W):
    """Segment 7 in the first box x0, y0, x1, y1, segment 14 in the second, ..."""
    ids = np.zeros((height, width), np.uint32)
    for number, (x0, y0, x1, y1) in enumerate(boxes, 1):
        ids[y0:y1, x0:x1] = 7 * number
    return ids


def layer(name="dog", text="kept"):
    kept = LayerSegment(name, "kept", True, 200, id=7, score=0.75, text=text)
    stuff = LayerSegment("grass", "eroded", False, 300, id=14)
    dropped = LayerSegment(name, "dropped", True, 90, score=0.4, text="dropped: covered", box_xywh=(1, 2, 9, 10))
    return Layer(ids_of((5, 5, 15, 25), (20, 10, 40, 25)), [kept, stuff], [dropped])


def image(key="a.jpg", name="dog", **changes):
    grey = np.full((H, W, 3), 90, np.uint8)
    views = {"input": grey, "A: instance": grey + 1, "A: panoptic": np.full((2 * H, 2 * W, 3), (0, 0, 255), np.uint8)}
    return PageImage(
        **({"key": key, "width": W, "height": H, "pictures": views, "layers": {"A: panoptic": layer(name)}} | changes)
    )


def written(page, tmp_path, options=None, name="page.html"):
    return Parts(write_page(page, tmp_path / name, options).read_text(encoding="utf-8"))


def file_of(url):
    kind, data = url.split(",", 1)
    assert kind == "data:image/webp;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def unpacked(record):
    kind = {1: np.uint8, 2: np.dtype("<u2")}[record["bytes"]]
    rows = np.frombuffer(zlib.decompress(base64.b64decode(record["map"])), kind)
    return np.bitwise_xor.accumulate(rows.reshape(record["height"], record["width"]), axis=0)


def test_words_and_tables_stand_in_the_page(tmp_path):
    table = PageTable("Costs", ["stage", "AP"], [["instances", 48.21], ["panoptic", None]], footnotes=["by image"])
    parts = written(Page("val", ["It costs 2.5 AP."], [table]), tmp_path)
    for text in ("val", "It costs 2.5 AP.", "Costs", "stage", "AP", "48.210", "-", "by image"):
        assert text in parts.texts
    assert not [tag for tag, _ in parts.tags if tag == "dialog"]  # there are no images


def test_cells_sort_by_their_whole_value(tmp_path):
    cells = [1.23456, 7, np.float32(0.5), float("nan"), None, True, "-0.5 ± 0.1", "−2", "-", "dog", float("-inf")]
    parts = written(Page("t", tables=[PageTable("t", ["x"], [[c] for c in cells], digits=1)]), tmp_path)
    values = [attributes.get("data-value") for tag, attributes in parts.tags if tag == "td"]
    assert values == ["1.23456", "7", "0.5", "", "", None, "-0.5", "-2", "", None, "-Infinity"]
    shown = [text for text in parts.texts if text in ("1.2", "7", "0.5", "-", "yes")]
    assert shown == ["1.2", "7", "0.5", "-", "-", "yes", "-"]


def test_columns_of_numbers_stand_right(tmp_path):
    parts = written(Page("t", tables=[PageTable("t", ["a", "b"], [["x", 1], ["y", None]])]), tmp_path)
    assert [a["class"] for tag, a in parts.tags if tag in ("th", "td")] == ["left", "right"] * 3


def test_pictures_and_maps_come_back(tmp_path):
    parts = written(Page("t", images=[image()]), tmp_path)
    detail = parts.json("image-0")
    assert list(detail["pictures"]) == ["input", "A: instance", "A: panoptic"]
    red = file_of(detail["pictures"]["A: panoptic"])
    assert red.shape == (2 * H, 2 * W, 3)
    assert np.abs(red.astype(int) - (0, 0, 255)).max() <= 4
    record = detail["layers"]["A: panoptic"]
    assert np.array_equal(unpacked(record), ids_of((5, 5, 15, 25), (20, 10, 40, 25)) // 7)
    assert record["segments"][0] == {
        "name": "dog", "outcome": "kept", "isthing": True, "area": 200, "text": "kept", "score": 0.75
    }  # fmt: skip
    assert record["dropped"][0]["box"] == [1, 2, 9, 10]


def test_more_than_255_segments_take_two_bytes(tmp_path):
    ids = np.arange(H * W, dtype=np.uint32).reshape(H, W)[::-1] * 1000
    segments = [LayerSegment("s", "true", True, 1, id=1000 * place) for place in range(1, H * W)]
    parts = written(Page("t", images=[image(layers={"A": Layer(ids, segments)})]), tmp_path)
    assert np.array_equal(unpacked(parts.json("image-0")["layers"]["A"]), ids // 1000)


def test_an_empty_layer_and_no_layer(tmp_path):
    empty = Layer(np.zeros((H, W), np.uint32), [])
    parts = written(Page("t", images=[image(layers={"A": empty}), image(layers={})]), tmp_path)
    assert not unpacked(parts.json("image-0")["layers"]["A"]).any()
    assert parts.json("image-1")["layers"] == {}
    assert [entry["has"] for entry in parts.json("index")["images"]] == [[], []]


def test_the_index_knows_classes_outcomes_and_ranks(tmp_path):
    images = [image(ranks={"PQ": 0.5, "lost": float("nan")}), image("b.jpg", "cat", ranks={"PQ": np.float32(0.25)})]
    index = written(Page("t", images=iter(images), legend=[("cat", (1, 2, 3), True)]), tmp_path).json("index")
    assert index["classes"] == ["cat", "dog", "grass"]  # the legend's order first
    assert [index["outcomes"][place] for place in index["usedOutcomes"]] == ["kept", "eroded", "dropped"]
    has = [{(index["classes"][c], index["outcomes"][o]) for c, o in entry["has"]} for entry in index["images"]]
    assert has == [{(n, "kept"), (n, "dropped"), ("grass", "eroded")} for n in ("dog", "cat")]
    assert index["ranks"] == ["PQ", "lost"]
    assert [entry["ranks"] for entry in index["images"]] == [{"PQ": 0.5, "lost": None}, {"PQ": 0.25}]


def test_the_first_pair_and_the_small_picture(tmp_path):
    index = written(Page("t", images=[image()]), tmp_path).json("index")
    assert index["images"][0]["pair"] == ["A: instance", "A: panoptic"]
    assert file_of(index["images"][0]["small"])[0, 0, 2] > 200  # red
    named = written(Page("t", images=[image()], compared=("A: panoptic", "input")), tmp_path).json("index")
    assert named["images"][0]["pair"] == ["A: panoptic", "input"]
    alone = written(Page("t", images=[image(pictures={"x": np.zeros((H, W, 3), np.uint8)})]), tmp_path).json("index")
    assert alone["images"][0]["pair"] == ["x", "x"]


def test_large_pictures_and_maps_are_shrunk(tmp_path):
    detail = written(Page("t", images=[image()]), tmp_path, PageOptions(max_side_px=20, thumbnail_px=8)).json("image-0")
    assert file_of(detail["pictures"]["A: panoptic"]).shape == (15, 20, 3)
    record = detail["layers"]["A: panoptic"]
    assert np.array_equal(unpacked(record), (ids_of((5, 5, 15, 25), (20, 10, 40, 25)) // 7)[::2, ::2])
    assert record["pixels"] == H * W


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "jpeg"), (".png", "png"), (".webp", "webp")])
def test_encoded_pictures_stay_as_they_are(tmp_path, suffix, kind):
    data = cv2.imencode(suffix, np.zeros((H, W, 3), np.uint8))[1].tobytes()
    parts = written(Page("t", images=[image(pictures={"x": data})]), tmp_path)
    expected = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    assert parts.json("image-0")["pictures"] == {"x": expected}


@pytest.mark.parametrize("beside", [False, True])
def test_names_do_nothing(tmp_path, beside):
    n = HOSTILE
    page = Page(
        n,
        [n],
        [PageTable(n, [n], [[n]], footnotes=[n])],
        [image(n, n, layers={n: layer(n, n)}, pictures={n: np.zeros((H, W, 3), np.uint8)}, ranks={n: 1.0})],
        [(n, (1, 2, 3), True)],
    )
    parts = written(page, tmp_path, PageOptions(embed_images=0 if beside else 9))
    plain = written(
        Page("t", ["v"], [PageTable("t", ["h"], [["c"]], footnotes=["f"])], [image()], [("l", (1, 2, 3), True)]),
        tmp_path,
        name="plain.html",
    )
    assert [tag for tag, _ in parts.tags if (tag, beside) != ("script", True)] == [
        tag for tag, _ in plain.tags if (tag, beside) != ("script", True)
    ]
    assert not [a for _, a in parts.tags if any(name.startswith("on") for name in a)]
    assert parts.texts.count(n) == 8  # title twice, verdict, table title, header, cell, footnote, legend
    assert parts.json("index")["images"][0]["key"] == n
    if beside:
        assert "<" not in (tmp_path / "page_files" / "00000.js").read_text()


def test_many_images_lie_beside_the_page(tmp_path):
    images = [image(f"{number}.jpg") for number in range(3)]
    parts = written(Page("t", images=images), tmp_path, PageOptions(embed_images=2), "50% #1.html")
    index = parts.json("index")
    assert "image-0" not in parts.scripts
    assert index["scripts"] == [f"50%25%20%231_files/0000{number}.js" for number in range(3)]
    for number, entry in enumerate(index["images"]):
        assert cv2.imread(str(tmp_path / unquote(entry["small"]))) is not None
        script = (tmp_path / unquote(index["scripts"][number])).read_text()
        start, end = f"receiveImage({number}, ", ");\n"
        assert script.startswith(start) and script.endswith(end)
        detail = json.loads(script[len(start) : -len(end)])
        assert unpacked(detail["layers"]["A: panoptic"]).shape == (H, W)
        for link in detail["pictures"].values():
            assert cv2.imread(str(tmp_path / unquote(link))) is not None


def test_large_pictures_lie_beside_the_page(tmp_path):
    written(Page("t", images=[image()]), tmp_path, PageOptions(embed_mb=1e-5))
    assert (tmp_path / "page_files" / "00000.js").is_file()


def test_writing_again_leaves_nothing_old(tmp_path):
    page, few = Page("t", images=[image(), image("b.jpg")]), PageOptions(embed_images=1)
    written(page, tmp_path, few)
    written(Page("t", images=[image()]), tmp_path, PageOptions(embed_images=0))
    assert not (tmp_path / "page_files" / "00001.js").exists()
    written(page, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_folder_of_others_is_left_alone(tmp_path):
    (tmp_path / "page_files").mkdir()
    (tmp_path / "page_files" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"page_files: is in the way"):
        write_page(Page("t", images=[image()]), tmp_path / "page.html")
    assert (tmp_path / "page_files" / "thesis.txt").read_text() == "mine"


def test_an_error_leaves_the_page_as_it_was(tmp_path):
    def broken():
        yield image()
        raise RuntimeError("no more")

    few = PageOptions(embed_images=0)
    written(Page("old", images=[image()]), tmp_path, few)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RuntimeError, match="no more"):
        write_page(Page("new", images=broken()), tmp_path / "page.html", few)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


SEGMENT = LayerSegment("dog", "kept", True, 200, id=7)
BAD = {
    "an outcome of": lambda: LayerSegment("dog", "gone", True, 1),
    "needs a box": lambda: Layer(ids_of(), [], [LayerSegment("dog", "dropped", True, 1)]),
    "a different id above 0": lambda: Layer(ids_of(), [SEGMENT, SEGMENT]),
    "expected an H x W uint32 map": lambda: Layer(np.zeros((3, 4), int), []),
    r"layer 'A': expected 30 x 40 ids": lambda: image(layers={"A": Layer(np.zeros((3, 4), np.uint32), [])}),
    "view 'x': expected a colour picture": lambda: image(pictures={"x": np.zeros((W, H, 3), np.uint8)}),
    "one picture or more": lambda: image(pictures={}),
    "row 0: expected 1 cells, got 2": lambda: PageTable("t", ["a"], [[1, 2]]),
    "l, r or c": lambda: PageTable("t", ["a"], [[1]], align="rr"),
}


@pytest.mark.parametrize("message", BAD)
def test_what_does_not_fit_is_refused(message):
    with pytest.raises(DataError, match=message):
        BAD[message]()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": {"A": Layer(ids_of((0, 0, 5, 5), (9, 9, 12, 12)), [SEGMENT])}}, "pixels of segment 14"),
        ({"pictures": {"x": b"GIF89a"}}, "WebP, JPEG or PNG"),
        ({"pictures": {"x": b"\x89PNG\r\n\x1a\n and no more"}}, "damaged"),
    ],
)
def test_what_cannot_be_encoded_names_the_image(tmp_path, changes, message):
    with pytest.raises(DataError, match=rf"image 'a\.jpg': .*{message}"):
        write_page(Page("t", images=[image(**changes)]), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_tables_after_the_open_ones_are_folded(tmp_path):
    three = [PageTable(name, ["x"], [[1]]) for name in "abc"]
    folded = written(Page("p", tables=three, open_tables=1), tmp_path)
    tags = [tag for tag, _ in folded.tags]
    assert tags.count("table") == 3
    assert tags.index("details") > tags.index("table")
    assert "2 more tables" in folded.texts
    assert "details" not in [tag for tag, _ in written(Page("p", tables=three, open_tables=3), tmp_path).tags]
