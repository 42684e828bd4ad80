"""Comparing stores: the numbers are those of the parts, the words say them, and what does not fit is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from thingstuff.errors import DataError
from thingstuff.evaluation import CocoPanoptic, evaluate_coco
from thingstuff.evaluation.merged_instances import things_of
from thingstuff.merge import Greedy, merge
from thingstuff.report.comparison import AP_IN_MAP, COST, MIOU_IN_MAP, ComparisonOptions, compare_stores
from thingstuff.report.comparison_page import comparison_page
from thingstuff.report.comparison_report import all_notes, record, tables, text, verdict
from thingstuff.report.image_ranks import image_ranks
from thingstuff.store import PredictedImage, Store, StoreMeta, StoreWriter
from thingstuff.structures import Detections

FEW = ComparisonOptions(draws=50)


@pytest.fixture
def write_store(small_shapes):
    """A function: folder, rule -> a store of shapes_val: true instances with random scores, merged with true stuff."""
    from thingstuff.data.shapes import CATEGORIES

    truth = CocoPanoptic.open(small_shapes / "annotations/panoptic_val.json", small_shapes / "panoptic_val")

    def write(folder, rule=None, keys=None):
        rng = np.random.default_rng(0)
        meta = StoreMeta("c", "w", CATEGORIES, dataset="shapes_val", image_root=str(small_shapes / "val"))
        with StoreWriter.open(folder, meta) as writer:
            for image_id, note in truth.records.items():
                true = truth.read(image_id)
                found = true.to_detections()
                scores = rng.uniform(0.3, 1, len(found)).astype(np.float32)
                found = Detections(found.masks, found.boxes_xyxy, scores, found.category_ids)
                stuff = true.stuff_map(CATEGORIES)
                panoptic, ledger = merge(found, stuff, CATEGORIES, rule or Greedy(0.5, 0, 0.5))
                image = PredictedImage(
                    note["file_name"], *stuff.shape, image_id, found, stuff, panoptic, tuple(ledger.records())
                )
                if keys is None or image.key in keys:
                    writer.append(image)
        return folder

    return write


def test_one_store_says_what_its_merge_costs(write_store, small_shapes, tmp_path):
    comparison = compare_stores([write_store(tmp_path / "one")], options=FEW)
    store = comparison.stores[0]
    records = [r for key, i in store.ids.items() for r in things_of(store.store.read(key).panoptic, i)]
    expected = evaluate_coco(small_shapes / "annotations/instances_val.json", records, "segm").numbers["AP"]
    assert store.merge.stages["panoptic"].ap.numbers["AP"] == pytest.approx(expected)
    assert store.scores.results["segm"]["AP"] == pytest.approx(100)
    sentences = verdict(comparison)
    assert f"{100 * expected:.1f} of the things in the map" in sentences[0]
    assert "one map with stuff" in sentences[1]
    assert AP_IN_MAP in text(comparison)
    found = json.loads(json.dumps(record(comparison, {})))["stores"]["one"]
    assert found["merge"]["stages"]["panoptic"]["numbers"]["AP"] == pytest.approx(100 * expected)


def test_several_stores_are_held_against_the_first(write_store, tmp_path):
    folders = [write_store(tmp_path / "strict"), write_store(tmp_path / "lax", Greedy(0.9, 0, 0.0))]
    comparison = compare_stores(folders, options=FEW)
    found = comparison.differences["lax"]
    assert found["mask AP"].value == 0
    assert found[AP_IN_MAP].verdict == "better", "nothing is dropped for its score"
    assert found["PQ"].verdict == "better"
    stores = {store.name: store.merge.whole_cost() for store in comparison.stores}
    assert found[COST].value == pytest.approx(100 * (stores["lax"] - stores["strict"]))
    assert found[COST].verdict == "better"
    miou = [store.stuff.panoptic_scores.numbers["mIoU"] for store in comparison.stores]
    assert found[MIOU_IN_MAP].value == pytest.approx(100 * (miou[1] - miou[0]), abs=1e-9)
    assert any("lax against strict" in sentence for sentence in verdict(comparison))
    assert any(title == "lax minus strict" for title, _ in tables(comparison))


def test_stores_without_maps_have_no_disagreement(write_store, small_shapes, tmp_path):
    truth = json.loads((small_shapes / "annotations/instances_val.json").read_text())
    results = [
        {key: note[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9}
        for note in truth["annotations"]
    ]
    (tmp_path / "theirs.json").write_text(json.dumps(results))
    options = ComparisonOptions(draws=20, import_folder=tmp_path / "imported")
    comparison = compare_stores([tmp_path / "theirs.json"], "shapes_val", options)
    assert set(map(len, image_ranks(comparison).values())) == {0}
    assert comparison.stores[0].void is None
    assert "nothing is said of a merge" in text(comparison)


def test_pixels_of_no_segment_are_void(write_store, tmp_path):
    comparison = compare_stores(
        [write_store(tmp_path / "one", Greedy(0.5, 10**6, 0.5))], options=FEW
    )  # no stuff at all
    store = comparison.stores[0]
    maps = [store.store.read(key).panoptic for key in store.ids]
    void = sum(np.count_nonzero(m.ids == 0) for m in maps) / sum(m.ids.size for m in maps)
    assert store.void == pytest.approx(void) and void > 0.3
    assert f"{100 * void:.1f} % of its pixels belong to nothing" in verdict(comparison)[1]


def test_what_does_not_fit_is_refused(write_store, tmp_path):
    whole = write_store(tmp_path / "whole")
    keys = Store.open(whole).keys()
    part = write_store(tmp_path / "part", keys=keys[1:])
    with pytest.raises(
        DataError, match=rf"whole and part are of other images: '{keys[0]}' is in whole alone.*run of part cut short"
    ):
        compare_stores([whole, part], options=FEW)
    rest = write_store(tmp_path / "rest", keys=keys[:1])
    with pytest.raises(DataError, match="predict the same images with both"):
        compare_stores([part, rest], options=FEW)
    with pytest.raises(DataError, match="two stores have one name"):
        compare_stores([whole, whole], options=ComparisonOptions(names=("a", "a")))
    with pytest.raises(DataError, match="--names: expected 2"):
        compare_stores([whole, whole], options=ComparisonOptions(names=("a",)))


def test_names_are_as_short_as_tells_them_apart(write_store, tmp_path):
    folders = [write_store(tmp_path / name / "store") for name in ("one", "two")]
    assert [store.name for store in compare_stores(folders, options=FEW).stores] == ["one/store", "two/store"]
    assert compare_stores(folders[:1], options=FEW).stores[0].name == "store"
    with pytest.raises(DataError, match="two stores have one name"):
        compare_stores(folders[:1] * 2, options=FEW)


def test_what_is_true_of_all_stores_is_said_once(write_store, tmp_path):
    comparison = compare_stores([write_store(tmp_path / name) for name in ("one", "two", "three")], options=FEW)
    told = [["of all", "of some"], ["of all", "of some", "of one"], ["of all"]]
    for store, notes in zip(comparison.stores, told, strict=True):
        store.scores.notes[:] = notes
    assert all_notes(comparison) == ["all: of all", "one, two: of some", "two: of one"]
    alone = replace(comparison, stores=comparison.stores[:1])
    assert all_notes(alone) == ["one: of all", "one: of some"]


def test_the_page_has_the_most_telling_images_with_their_ledger(write_store, tmp_path):
    comparison = compare_stores([write_store(tmp_path / "one")], options=FEW)
    ranks = image_ranks(comparison)
    page = comparison_page(comparison, ranks, most_images=3)
    images = list(page.images)
    assert len(images) == 3
    assert list(images[0].pictures) == [
        "input",
        "ground truth",
        *(f"one: {v}" for v in ("box", "semantic", "instance", "panoptic")),
    ]
    shares = [image.ranks["disagreement"] for image in images]
    assert shares == sorted(shares, reverse=True)
    layer = images[0].layers["one: panoptic"]
    store = comparison.stores[0].store
    ledger = store.read(images[0].key).ledger
    dropped = [r for r in ledger if r["kind"] == "instance" and r["outcome"] == "dropped"]
    assert len(layer.dropped) == len(dropped)
    assert all("below the limit 0.50" in s.text for s in layer.dropped)
    drawn = images[0].layers["one: instance"]
    shown = [r for r in ledger if r["kind"] == "instance" and r["score"] >= 0.5]
    assert {(s.id, s.outcome) for s in drawn.segments} == {(r["index"] + 1, r["outcome"]) for r in shown}
    assert all(s.text.startswith("dropped: ") for s in drawn.segments if s.outcome == "dropped")
    true = store.read(images[0].key).detections
    for s in drawn.segments:  # no two true instances overlap
        assert np.count_nonzero(drawn.ids == s.id) == s.area_px == true.masks.crops[s.id - 1].sum()
    lost = comparison.stores[0].merge.lost.get(comparison.stores[0].ids[images[0].key], ())
    assert len(lost) == len(dropped) == images[0].ranks["lost"]  # all of them are true
    assert all(
        s.is_lost and s.text.endswith("It had found an object, and finds none in the map.") for s in layer.dropped
    )
    stuff = images[0].layers["one: semantic"]
    stuff_map = store.read(images[0].key).stuff_map
    for s in stuff.segments:
        if not s.isthing:
            label = [c.name for c in store.meta.categories.stuff].index(s.name) + 1
            assert np.all(stuff_map[stuff.ids == s.id] == label)
    assert {s.outcome for s in images[0].layers["ground truth"].segments} == {"true"}
    assert page.verdict[0].startswith("Going panoptic")
    assert [table.title for table in page.tables[: page.open_tables]] == ["All numbers", "one: what the merge costs"]
    assert list(comparison_page(comparison, ranks, 0).images) == []
