"""A store of Parquet shards is read as one of lines is: the same images, the same records, the same refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from predicted_scenes import CATEGORIES, META, assert_same, detections, full, panoptic, stored, write_store

from thingstuff.errors import DataError, SetupError
from thingstuff.store import PredictedImage, Store, StoreWriter
from thingstuff.store.parquet_row import quarantine_row, to_row
from thingstuff.store.parquet_writer import ParquetRun, checked_row, shard_name, write_shard
from thingstuff.structures import Detections, MaskCrops

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: thingstuff[ray]")

PARQUET_META = replace(META, layout="parquet")


def write_parquet(folder, *shards):
    """Each shard is a list of images, and of (key, reason) of what could not be read."""
    with ParquetRun(folder, PARQUET_META):
        for shard in shards:
            keys = [one[0] if isinstance(one, tuple) else one.key for one in shard]
            rows = [quarantine_row(*one) if isinstance(one, tuple) else to_row(one) for one in shard]
            write_shard(folder, shard_name(keys), rows)
    return folder


def every_kind():
    """What an image may have and lack, with ids of all kinds."""
    empty = Detections(
        MaskCrops.from_bitmaps(np.zeros((0, 24, 32), bool)),
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
        np.zeros(0, np.int64),
    )
    return [
        full("a/1.jpg", 1, image_id=7, source={"bytes": 3, "sha256": "00"}),
        full("a/2.jpg", 2, image_id="seven", stuff_map=None),
        full("a/é 3.jpg", 3, panoptic=None, ledger=None),
        full("b", 4, detections=detections(4, masks=False)),
        full("c", 5, detections=None),
        full("d", 6, detections=empty),
        PredictedImage("e", 24, 32, ledger=()),
    ]


def test_every_image_comes_back_as_from_a_store_of_lines(tmp_path):
    images = every_kind()
    lines = stored(tmp_path / "lines", *images)
    store = Store.open(write_parquet(tmp_path / "parquet", images[:3], images[3:]))
    assert store.keys() == lines.keys()
    for image in images:
        assert_same(store[image.key], image)
        assert store[image.key].source == image.source
        assert store.ledger(image.key) == lines.ledger(image.key)
        assert store.coco_records(image.key, 1) == lines.coco_records(image.key, 1)
    for ours, theirs in zip(store.entries, lines.entries, strict=True):
        for name in ("key", "height", "width", "image_id", "source", "has_detections", "has_stuff_map", "has_panoptic"):
            assert getattr(ours, name) == getattr(theirs, name)


def test_other_programs_find_plain_columns(tmp_path):
    image = full("a", 1)
    write_parquet(tmp_path, [image])
    (row,) = parquet.read_table(next(tmp_path.glob("*.parquet"))).to_pylist()
    assert row["key"] == "a"
    assert row["error"] is None
    assert row["category_ids"] == image.detections.category_ids.tolist()
    assert row["scores"] == image.detections.scores.tolist()
    assert row["boxes_xyxy"] == image.detections.boxes_xyxy.tolist()
    assert row["rles"] == [rle["counts"] for rle in image.detections.masks.to_rles()]
    assert row["panoptic_png"].startswith(b"\x89PNG")
    assert json.loads(row["ledger"]) == list(image.ledger)


def test_images_that_could_not_be_read_are_no_entries_until_they_are(tmp_path):
    folder = write_parquet(tmp_path, [full("a", 1), ("b", "is empty"), ("c", "is no image")])
    store = Store.open(folder)
    assert store.keys() == ("a",)
    assert store.quarantined == {"b": "is empty", "c": "is no image"}
    write_parquet(folder, [full("b", 2), ("c", "is still no image")])
    store = Store.open(folder)
    assert store.keys() == ("a", "b")
    assert set(store.quarantined) == {"c"}


def test_nothing_is_quarantined_in_a_store_of_lines(tmp_path):
    assert stored(tmp_path, full("a", 1)).quarantined == {}


def test_the_same_images_are_the_same_file(tmp_path):
    write_parquet(tmp_path, [full("a", 1), full("b", 2)])
    write_parquet(tmp_path, [full("a", 1), full("b", 2)])
    assert len(list(tmp_path.glob("*.parquet"))) == 1
    assert shard_name(["a", "b"]) != shard_name(["a/b"]) != shard_name(["b", "a"])


def test_shards_are_read_in_the_order_of_their_first_keys(tmp_path):
    write_parquet(tmp_path, [full("c", 1), full("d", 2)], [full("b", 3), full("x", 4)], [full("a", 5)])
    assert Store.open(tmp_path).keys() == ("a", "b", "x", "c", "d")


def test_an_image_in_two_shards_is_named_with_both(tmp_path):
    write_parquet(tmp_path, [full("a", 1)], [full("a", 1), full("b", 2)])
    with pytest.raises(
        DataError, match=r"predictions-.*parquet and predictions-.*parquet hold 'a': remove one of them"
    ):
        Store.open(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "columns", "key"])
def test_a_damaged_shard_is_named_with_the_remedy(tmp_path, damage):
    write_parquet(tmp_path, [full("a", 1)])
    path = next(tmp_path.glob("*.parquet"))
    whole = path.read_bytes()
    if damage == "columns":
        parquet.write_table(parquet.read_table(path).drop_columns(["width"]), path)
    elif damage == "key":
        table = parquet.read_table(path)
        parquet.write_table(table.set_column(0, "key", [["../a"]]), path)
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"key,error\n"}[damage])
    with pytest.raises(DataError, match=rf"{path.name}: is damaged.*: remove it, and predict again") as caught:
        Store.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_map_that_does_not_fit_its_segments_is_named(tmp_path):
    row = to_row(full("a", 1)) | {"panoptic_png": to_row(full("a", 1, panoptic=panoptic(9)))["panoptic_png"]}
    with ParquetRun(tmp_path, PARQUET_META):
        write_shard(tmp_path, shard_name(["a"]), [row])
    with pytest.raises(DataError, match="the panoptic map of 'a' does not fit its row"):
        Store.open(tmp_path).read("a")


def test_a_shard_replaced_after_the_store_was_opened_is_noticed(tmp_path):
    write_parquet(tmp_path, [full("a", 1)])
    store = Store.open(tmp_path)
    write_shard(tmp_path, shard_name(["a"]), [to_row(full("b", 1))])
    with pytest.raises(DataError, match="has changed since the store was opened"):
        store.read("a")


def test_each_layout_refuses_the_writer_of_the_other(tmp_path):
    write_parquet(tmp_path / "parquet", [full("a", 1)])
    with pytest.raises(DataError, match="lie in parquet files, and this run would write jsonl: go on with the engine"):
        StoreWriter.open(tmp_path / "parquet", META)
    write_store(tmp_path / "lines", [full("a", 1)])
    with pytest.raises(DataError, match="lie in jsonl files, and this run would write parquet"):
        ParquetRun(tmp_path / "lines", PARQUET_META)


def test_images_of_one_layout_are_written_in_the_other(tmp_path):
    parquet_store = Store.open(write_parquet(tmp_path / "parquet", [full("a", 1)]))
    lines = Store.open(write_store(tmp_path / "lines", list(parquet_store), parquet_store.meta))
    assert lines.meta.layout == "jsonl"
    assert_same(lines["a"], parquet_store["a"])
    write_store(tmp_path / "lines", [full("b", 2)], parquet_store.meta)


def test_what_an_older_version_cannot_read_has_another_format(tmp_path):
    write_parquet(tmp_path, [full("a", 1)])
    record = json.loads((tmp_path / "meta.json").read_text())
    assert (record["format"], record["layout"]) == (2, "parquet")
    write_store(tmp_path / "lines", [full("a", 1)])
    assert json.loads((tmp_path / "lines/meta.json").read_text())["format"] == 1
    (tmp_path / "meta.json").write_text(json.dumps(record | {"layout": "zarr"}))
    with pytest.raises(DataError, match="expected a layout out of jsonl, parquet, got 'zarr'"):
        Store.open(tmp_path)


@pytest.mark.parametrize("field", ["config_hash", "weights_hash", "image_root"])
def test_another_run_is_refused_as_by_a_store_of_lines(tmp_path, field):
    write_parquet(tmp_path, [full("a", 1)])
    with pytest.raises(DataError, match="its predictions were made with"):
        ParquetRun(tmp_path, replace(PARQUET_META, **{field: "other"}))


def test_one_run_at_a_time_and_its_remains_are_removed(tmp_path):
    with ParquetRun(tmp_path, PARQUET_META), pytest.raises(SetupError, match="another run"):
        ParquetRun(tmp_path, PARQUET_META)
    left = tmp_path / ".predictions-00.parquet.ab.tmp"
    left.write_bytes(b"half")
    with ParquetRun(tmp_path, PARQUET_META):
        assert not left.exists()


def test_a_shard_that_cannot_be_written_leaves_no_trace(tmp_path):
    with ParquetRun(tmp_path, PARQUET_META), pytest.raises(Exception, match="a text|str|convert"):
        write_shard(tmp_path, "x", [to_row(full("a", 1)) | {"height": "a text"}])
    assert not list(tmp_path.glob("*.parquet")) + list(tmp_path.glob(".*.tmp"))


def test_ids_that_the_categories_lack_are_refused(tmp_path):
    found = detections(1)
    wrong = replace(found, category_ids=np.full(len(found), 99))
    with pytest.raises(DataError, match="predictions of 'a': "):
        checked_row(full("a", 1, detections=wrong), CATEGORIES)


def test_without_pyarrow_the_extra_is_named(tmp_path):
    write_parquet(tmp_path, [full("a", 1)])
    code = f"""
import sys
sys.modules["pyarrow"] = None
from thingstuff.store import Store
from thingstuff.errors import SetupError
try:
    Store.open({str(tmp_path)!r})
except SetupError as error:
    print(error)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'thingstuff[ray]'" in answer.stdout
