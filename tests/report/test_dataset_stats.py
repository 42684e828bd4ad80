"""A data set in numbers, tables and a page: each number is counted by hand from a handful of records."""

import json
import math
import random
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from mutated_json import STRANGE

from thingstuff.data.truth import PanopticFiles, SplitTruth, StuffFiles
from thingstuff.files import write_json
from thingstuff.report.dataset_stats import GRID, OCTAVE, RARE_BELOW, measure
from thingstuff.report.dataset_stats_page import write_stats_page
from thingstuff.report.dataset_tables import rare_lines, stats_tables
from thingstuff.structures import rle
from thingstuff.structures.png import write_png

HOSTILE = "</title></script><img src=x onerror=alert(1)>'\"&amp;"
CATEGORIES = [
    {"id": 4, "name": "Straße", "keypoints": ["nose", "手"]},
    {"id": 7, "name": "猫"},
    {"id": 1, "name": "sky", "isthing": 0},
]


def note(image_id, category_id, x, y, w, h, **more):
    return {"id": 0, "image_id": image_id, "category_id": category_id, "bbox": [x, y, w, h], "area": w * h} | more


def truth(notes=(), images=((200, 100), (200, 100), (50, 80)), **more):
    """Images 0, 1, 2 ... of these widths and heights."""
    records = [{"id": n, "file_name": f"ü{n}.png", "width": w, "height": h} for n, (w, h) in enumerate(images)]
    return SplitTruth("t.json", Path("/nowhere"), CATEGORIES, records, list(notes), **more)


def the(notes=(), **more):
    return measure({"train": truth(notes, **more)}).splits["train"]


NOTES = (
    note(0, 4, 0, 0, 100, 92),  # 9200 px: medium, since 96 * 96 = 9216
    note(0, 4, 50, 0, 96, 96),  # 9216 px: large
    note(0, 7, 0, 0, 32, 32),  # 1024 px: medium
    note(2, 7, 10, 20, 10, 20),  # small
    note(2, 7, 0, 0, 50, 80, iscrowd=1),
)


def test_what_is_in_a_split():
    found = the(NOTES)
    assert (found.images, found.annotated_images, found.instances, found.crowds) == (3, 2, 4, 1)
    # 3, 0 and 1 instances
    assert (found.per_image.mean, found.per_image.median, found.per_image.most) == (4 / 3, 1, 3)
    assert found.by_count == [1, 1, 0, 1]
    assert found.by_area == {"small": 1, "medium": 2, "large": 1}
    assert found.sizes_wh == [(200, 100, 2), (50, 80, 1)]
    assert (found.width_px.least, found.width_px.median, found.width_px.most) == (50, 200, 200)
    assert (found.height_px.least, found.height_px.median, found.height_px.most) == (80, 100, 100)
    assert found.notes == []


def test_classes_with_shares_and_the_rare_ones():
    found = the(NOTES)
    assert [(c.name, c.isthing, c.instances, c.images, c.share) for c in found.classes] == [
        ("Straße", True, 2, 1, 2 / 4), ("猫", True, 2, 2, 2 / 4), ("sky", False, 0, 0, None)
    ]  # fmt: skip
    assert found.rare == ["Straße", "猫"], "stuff has no instances to be rare by"
    enough = the([note(0, 4, 0, 0, 5, 5)] * RARE_BELOW + [note(0, 7, 0, 0, 5, 5)] * (RARE_BELOW - 1))
    assert enough.rare == ["猫"]
    lines = rare_lines(measure({"train": truth([note(0, 7, 0, 0, 5, 5)])}).splits)
    assert lines == ["Fewer than 10 instances in train: Straße (0), 猫 (1)"]


def test_shapes_of_boxes():
    found = the([note(0, 4, 0, 0, 100, 50), note(2, 4, 0, 0, 10, 40)])
    assert (found.aspect.least, found.aspect.most) == (10 / 40, 2)
    sides = sorted((math.sqrt(100 * 50 / (200 * 100)), math.sqrt(10 * 40 / (50 * 80))))
    assert (found.relative_size.least, found.relative_size.most) == pytest.approx(tuple(sides))


def test_places_and_sides_for_the_figures():
    found = the([note(0, 4, 0, 0, 2, 2), note(0, 4, 150, 50, 100, 100), note(0, 7, 100, 50, 1, 1)])
    cells = np.array(found.centres)
    # the second box's middle is the image's corner, 200, 100; the third's is right below the middle
    assert {tuple(place) for place in np.argwhere(cells).tolist()} == {(0, 0), (GRID - 1,) * 2, (GRID // 2,) * 2}
    sides = {0: 1, OCTAVE: 1, math.floor(OCTAVE * math.log2(100)): 1}  # 1, 2 and 100 px
    assert {n: count for n, count in enumerate(found.by_side) if count} == sides


def test_areas_that_are_not_stated_are_those_of_masks_or_boxes():
    mask = np.zeros((100, 200), np.uint8)
    mask[:30, :50] = 1  # 1500 px: medium
    triangle = [[0, 0, 100, 0, 0, 100], [0, 0, 1, 0, 1, 1, 0, 1]]  # 5000 + 1 px
    counts = {"size": [100, 200], "counts": [0, 10000, 10000]}
    notes = [
        note(0, 4, 0, 0, 1, 1, segmentation=rle.encode(mask)),
        note(0, 4, 0, 0, 1, 1, segmentation=triangle),
        note(0, 4, 0, 0, 1, 1, segmentation=counts),
        note(0, 4, 0, 0, 31, 33),
    ]
    found = the([{key: value for key, value in one.items() if key != "area"} for one in notes])
    places = [math.floor(OCTAVE * math.log2(math.sqrt(area))) for area in (1500, 5001, 10000, 31 * 33)]
    assert {n: count for n, count in enumerate(found.by_side) if count} == {n: places.count(n) for n in places}


def test_keypoints():
    flags = [[0, 0, 2, 5, 5, 1], [0, 0, 2, 0, 0, 0], [1, 1, 2], "no list"]
    found = the([note(0, 4, 0, 0, 5, 5, keypoints=one) for one in flags] + [note(0, 4, 0, 0, 5, 5)])
    assert [(k.class_name, k.name, k.instances, k.visible, k.hidden) for k in found.keypoints] == [
        ("Straße", "nose", 2, 2, 0), ("Straße", "手", 2, 0, 1)
    ]  # fmt: skip


def stuff_truth(tmp_path, *maps):
    paths = {}
    for n, labels in enumerate(maps):
        paths[n] = tmp_path / f"{n}.png"
        write_png(paths[n], np.array(labels, np.uint8))
    return truth(stuff=StuffFiles(paths, {0: None, 1: 1}, frozenset({255})))


def test_pixels_of_label_maps(tmp_path):
    # 8 pixels: 3 sky, 2 things, 2 void and one label that is nobody's
    whole = stuff_truth(tmp_path, [[1, 1, 0, 255]], [[1, 0, 255, 9]])
    found = measure({"train": whole}).splits["train"]
    sky = found.classes[2]
    assert (sky.pixel_share, sky.images) == (3 / 5, 2)
    assert (found.pixels.images, found.pixels.total_px) == (2, 8)
    assert (found.pixels.things_share, found.pixels.void_share) == (2 / 5, 1 - 5 / 8)
    assert found.notes == ["1 pixels of the label maps have labels that are no class's, and count as void"]
    skipped = measure({"train": whole}, with_pixels=False).splits["train"]
    assert skipped.pixels is None
    assert skipped.classes[2].pixel_share is None


def test_a_label_map_that_cannot_be_read_is_noted(tmp_path):
    whole = stuff_truth(tmp_path, [[1, 1]], [[1, 0]])
    (tmp_path / "1.png").write_bytes(b"no PNG")
    found = measure({"train": whole}).splits["train"]
    assert found.classes[2].pixel_share == 1
    assert found.notes[0].startswith("1 label maps cannot be read: ")


def test_panoptic_truth_without_annotations():
    segments = [
        {"id": 1, "category_id": 4, "area": 3000, "bbox": [0, 0, 50, 60], "iscrowd": 0},
        {"id": 2, "category_id": 7, "area": 1000, "bbox": [0, 0, 50, 60], "iscrowd": 1},
        {"id": 3, "category_id": 1, "area": 6000, "bbox": [0, 0, 200, 100], "iscrowd": 0},
    ]
    files = PanopticFiles(Path("p.json"), Path("p"), [{"image_id": 0, "segments_info": segments}])
    found = measure({"train": replace(truth(), annotations=None, panoptic=files)}).splits["train"]
    assert (found.instances, found.crowds, found.annotated_images) == (1, 1, 1)
    assert [c.instances for c in found.classes] == [1, 0, 0]
    assert found.classes[2].pixel_share == 6000 / 10000
    assert (found.pixels.things_share, found.pixels.void_share) == (4000 / 10000, 1 - 10000 / 20000)


def test_images_alone_and_nothing_at_all(tmp_path):
    bare = replace(truth(), annotations=None)
    empty = replace(truth(images=()), categories=[])
    one = truth([note(0, 4, 0, 0, 5, 5)], images=((9, 9),))
    stats = measure({"bare": bare, "empty": empty, "no annotations": truth(), "one": one})
    assert stats.splits["bare"].per_image is None
    assert stats.splits["bare"].rare == []
    assert stats.splits["empty"].images == 0
    assert stats.splits["no annotations"].per_image.most == 0
    assert stats.splits["one"].per_image.mean == 1
    for number, splits in enumerate([stats.splits, {}, {"empty": stats.splits["empty"]}]):
        part = replace(stats, splits=splits)
        assert all(table.text() for table in stats_tables(part).values())
        assert write_stats_page(part, tmp_path / f"{number}.html").stat().st_size
    assert json.dumps(stats.to_json(), allow_nan=False)


def test_tables_say_the_same():
    tables = stats_tables(measure({"train": truth(NOTES), "val": truth(NOTES[:1])}))
    assert list(tables) == ["Images", "Instances", "Boxes", "Classes", "Keypoints"]
    assert tables["Images"].rows[0] == ["train", 3, 2, 2, "50, 200, 200", "80, 100, 100"]
    assert tables["Instances"].rows[0] == ["train", 4, 1, 4 / 3, "1", "3", 25, 50, 25]
    assert tables["Classes"].rows == [["Straße", 2, 50, 1, 1, 100, 1], ["猫", 2, 50, 2, 0, 0, 0]]
    few = stats_tables(measure({"train": truth(NOTES)}), most_classes=1)["Classes"]
    assert (len(few.rows), few.footnotes[0]) == (1, "1 rarer classes are not shown")


def test_damaged_records_are_counted_out_and_noted():
    odd = [
        {},
        {"image_id": [1], "category_id": {}, "bbox": "1234", "area": "big"},
        note(0, 99, 0, 0, math.nan, 1) | {"area": math.inf},
        note(0, 4, 0, 0, -5, 5) | {"area": -1},
        note(0, 4, 0, 0, 10**400, 5) | {"area": 10**400},
        note(0, 4, 1e308, 0, 1e308, 1e308),
        note(77, 4, 0, 0, 5, 5, segmentation=[[1, "x"]]),
    ]
    whole = truth([*NOTES, *odd])
    whole.images.extend([{}, {"id": [2], "width": -1, "height": "9"}, {"id": 9, "width": 10**400, "height": True}])
    found = measure({"train": whole}).splits["train"]
    assert found.instances == len(NOTES) - 1 + len(odd)
    assert [c.instances for c in found.classes] == [2 + 4, 2, 0]
    assert "3 annotations are of no image in the list" in found.notes
    assert "3 annotations are of no class in the list, and count to none" in found.notes
    assert "5 annotations have no box" in found.notes


def test_fuzz(tmp_path):
    """Whatever the records hold, there are numbers, tables and a page."""
    values = [*STRANGE, {"counts": 1}, {"counts": "~~", "size": [1, 1]}, {"counts": [5, "x"]}, [[math.nan] * 6], [{}]]
    generator = random.Random(7)
    files = PanopticFiles(
        Path("p.json"), Path("p"), [{"image_id": 0, "segments_info": [{"category_id": 1, "area": 5}]}]
    )
    for _ in range(120):
        whole = truth([dict(one, segmentation=[[0, 0, 5, 0, 5, 5]]) for one in NOTES])
        segments = [{"category_id": 1, "area": 5}, {"category_id": 4, "area": 9, "bbox": [1, 1, 3, 3]}]
        maps = [{"image_id": 0, "segments_info": segments}]
        files = PanopticFiles(Path("p.json"), Path("p"), maps)
        whole = replace(whole, categories=[dict(c) for c in CATEGORIES], panoptic=files)
        if generator.random() < 0.3:
            whole = replace(whole, annotations=None)
        records = [*whole.categories, *whole.images, *(whole.annotations or []), *maps, *segments]
        for _ in range(4):
            record = generator.choice(records)
            if record:
                key = generator.choice(list(record))
                record[key] = generator.choice(values)
        stats = measure({"train": whole})
        write_json(tmp_path / "stats.json", stats.to_json())
        assert all(table.text() for table in stats_tables(stats).values())
        write_stats_page(stats, tmp_path / "page.html")


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_the_page_has_figures_and_sorted_tables_and_needs_no_network(tmp_path):
    stats = measure({"train": truth(NOTES), "val": truth(NOTES[:2])})
    path = write_stats_page(stats, tmp_path / "stats.html", "kleine Straße")
    text = path.read_text(encoding="utf-8")
    page = Tags(text)
    assert [p.name for p in tmp_path.iterdir()] == ["stats.html"]
    assert sum(tag == "svg" for tag, _ in page.tags) == 6  # classes, sizes, counts, images, and places of two splits
    titles = ["Classes", "Sizes of objects", "Instances an image", "Sizes of images"]
    for title in (*titles, "Places of objects: train", "Places of objects: val", "kleine Straße"):
        assert title in page.texts
    assert "train: 3 images, 4 instances (1.3 an image); val: 3 images, 2 instances (0.7 an image)" in page.texts
    assert sum(a.get("class") == "sortable" for _, a in page.tags) == len(stats_tables(stats))
    links = [value for _, a in page.tags for key, value in a.items() if key in ("src", "href")]
    assert links == ["data:,"]
    assert "NaN" not in text


def test_names_cannot_do_anything_to_the_page(tmp_path):
    whole = replace(truth(NOTES), categories=[{"id": 4, "name": HOSTILE}, {"id": 7, "name": HOSTILE + "2"}])
    path = write_stats_page(measure({HOSTILE: whole, "val": whole}), tmp_path / "stats.html", HOSTILE)
    page = Tags(path.read_text(encoding="utf-8"))
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert not [a for _, a in page.tags if any(key.startswith("on") for key in a)]
    assert HOSTILE in page.texts


def test_many_classes_and_sizes_fit_the_page(tmp_path):
    categories = [{"id": n, "name": f"class {n}"} for n in range(200)]
    notes = [note(0, n, 0, 0, 2 + n, 2 + n) for n in range(200)]
    whole = replace(truth(notes, images=[(300 + n, 300) for n in range(2000)]), categories=categories)
    text = write_stats_page(measure({"train": whole}), tmp_path / "stats.html").read_text(encoding="utf-8")
    assert "The 170 rarer classes are in the table." in text
    assert text.count("<circle") == 1500
    assert "500 sizes that few images have are left out." in text
