"""What `--input` of a bulk prediction may name, and how what is wrong with it is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thingstuff.data.bulk.find import Listing, find_bulk_inputs
from thingstuff.data.bulk.items import BulkInputs, BulkItem
from thingstuff.data.bulk.parquet_images import Columns
from thingstuff.data.bulk.reading import read_images
from thingstuff.data.fingerprint import fingerprint
from thingstuff.data.images import read_image_bgr
from thingstuff.data.inputs import find_inputs
from thingstuff.errors import ConfigError, DataError, SetupError

pytest.importorskip("fsspec", reason="fsspec is not installed: thingstuff[ray]")
pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: thingstuff[ray]")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def photos(tmp_path):
    """Images of different sizes in two folders, numbered beyond nine, and a text that is none."""
    folder = tmp_path / "photos"
    for number in (1, 2, 10):
        path = folder / "north" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4 + number, 8, 3), number, np.uint8)).save(path)
    (folder / "south").mkdir()
    shutil.copy(folder / "north/1.png", folder / "south/1.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def find(*arguments, **options):
    return find_bulk_inputs([str(a) for a in arguments], Listing(**options))[0]


def keys(inputs):
    return [item.key for item in inputs.items]


def pixels_of(inputs):
    return {read.item.key: read.pixels for read in read_images(inputs.items, None)}


def test_local_images_are_those_of_the_plain_engine(photos):
    inputs, plain = find(photos), find_inputs([photos])
    assert keys(inputs) == [image.key for image in plain.images]
    assert inputs.root == str(plain.root)
    for read, image in zip(read_images(inputs.items, None), plain.images, strict=True):
        assert np.array_equal(read.pixels, read_image_bgr(image.path))
        assert read.source == fingerprint(image.path)


def test_objects_of_storage_have_the_keys_and_the_order_of_files(photos):
    local = find(photos)
    inputs = find(f"file://{photos}")
    assert inputs.root == f"file://{photos}"
    assert keys(inputs) == keys(local)
    assert [item.bytes for item in inputs.items] == [Path(item.address).stat().st_size for item in local.items]
    found, expected = pixels_of(inputs), pixels_of(local)
    assert all(np.array_equal(found[key], expected[key]) for key in expected)
    reads = zip(read_images(inputs.items, None), read_images(local.items, None), strict=True)
    assert all(ours.source["sha256"] == theirs.source["sha256"] for ours, theirs in reads)


def test_globs_and_single_objects_of_storage(photos):
    assert keys(find(f"file://{photos}/*/1.png")) == ["north/1.png", "south/1.png"]
    assert keys(find(f"file://{photos}/north/2.png")) == ["2.png"]
    several = find(f"file://{photos}/north/2.png", f"file://{photos}/south")
    assert keys(several) == ["north/2.png", "south/1.png"]


def test_the_images_of_a_coco_file_with_their_ids(photos, tmp_path):
    images = [{"id": 7, "file_name": "north/2.png"}, {"id": 3, "file_name": "south/1.png"}]
    (photos / "list.json").write_text(json.dumps({"images": images}))
    beside = find(photos / "list.json")
    assert [(item.key, item.image_id) for item in beside.items] == [("north/2.png", 7), ("south/1.png", 3)]
    (tmp_path / "elsewhere.json").write_text(json.dumps({"images": images}))
    given = find(f"file://{tmp_path}/elsewhere.json", image_root=f"file://{photos}")
    assert given.root == f"file://{photos}"
    assert np.array_equal(pixels_of(given)["north/2.png"], pixels_of(beside)["north/2.png"])


@pytest.mark.parametrize("kind", ["bytes", "struct", "path"])
def test_images_in_parquet_files(photos, tmp_path, kind):
    files = find(photos)
    data = [Path(item.address).read_bytes() for item in files.items]
    names = keys(files)
    columns = {
        "bytes": {"image": data, "file_name": names},
        "struct": {"image": [{"bytes": b, "path": None} for b in data], "key": names},
        "path": {"path": [item.address for item in files.items], "key": names},
    }[kind]
    table = pa.table(columns | {"image_id": list(range(len(names)))})
    pq.write_table(table, tmp_path / "all.parquet", row_group_size=2)
    options = {"columns": Columns(key="key")} if kind == "path" else {}
    inputs = find(tmp_path / "all.parquet", **options)
    assert keys(inputs) == names
    assert [item.image_id for item in inputs.items] == [0, 1, 2, 3]
    found, expected = pixels_of(inputs), pixels_of(files)
    assert all(np.array_equal(found[key], expected[key]) for key in expected)
    last = pixels_of(BulkInputs(inputs.root, inputs.items[3:]))
    assert np.array_equal(last["south/1.png"], expected["south/1.png"])


def test_rows_without_a_key_are_known_by_file_and_number(photos, tmp_path):
    data = (photos / "north/1.png").read_bytes()
    for name in ("a", "b"):
        pq.write_table(pa.table({"bytes": [data]}), tmp_path / f"{name}.parquet")
    assert keys(find(tmp_path / "*.parquet")) == ["a/00000000", "b/00000000"]


def test_what_cannot_be_read_concerns_itself_alone(photos, tmp_path):
    (photos / "north/2.png").write_bytes(b"no image")
    (photos / "north/10.png").write_bytes(b"")
    inputs = find(photos)
    (photos / "south/1.png").unlink()
    errors = {read.item.key: read.error for read in read_images(inputs.items, None)}
    assert errors["north/1.png"] is None
    assert "no image in a format that can be read" in errors["north/2.png"]
    assert "is empty (0 bytes)" in errors["north/10.png"]
    assert "no image at" in errors["south/1.png"]
    remote = BulkInputs("file:///", (BulkItem("gone", f"file://{photos}/south/1.png"),))
    assert "cannot be read" in next(read_images(remote.items, None)).error
    pq.write_table(
        pa.table({"image": [b"x", None]}, schema=pa.schema([("image", pa.binary())])), tmp_path / "x.parquet"
    )
    parquet = find(tmp_path / "x.parquet")
    assert ["no image in" in e or "holds no bytes" in e for e in (r.error for r in read_images(parquet.items, None))]
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    assert all("is damaged or no Parquet file" in read.error for read in read_images(parquet.items, None))


def test_a_key_is_had_by_one_image_and_leads_nowhere_else(tmp_path):
    with pytest.raises(DataError, match="f:1 and f:2 are both 'a': each image needs its own key"):
        BulkInputs("f", (BulkItem("a", "f:1"), BulkItem("a", "f:2")))
    with pytest.raises(DataError, match=r"f, row 3: key: expected a path relative to the image root"):
        BulkInputs("f", (BulkItem("../a", "f", row=3),))


def test_mistakes_are_named(photos, tmp_path):
    def refused(match, *arguments, kind=DataError, **options):
        with pytest.raises(kind, match=match):
            find(*arguments, **options)

    refused(r"nothing at file:///.*\*.gif ends in", f"file://{photos}/none/*.gif")
    refused("there is nothing at", f"file://{photos}/none.png")
    refused("nosuch://bucket", "nosuch://bucket/photos")
    refused("have no common root", photos, f"file://{photos}")
    refused("--image-root is for one COCO file", photos, kind=ConfigError, image_root="x")
    refused("all inputs lie in --output", photos, kind=ConfigError, outside=photos)
    (tmp_path / "c.json").write_text('{"images": [{"file_name": "a.png"}]}')
    refused("c.json, image 0: expected a record with file_name and id", tmp_path / "c.json")
    (tmp_path / "c.json").write_text("[")
    refused("is no JSON", tmp_path / "c.json")
    (tmp_path / "c.json").write_text('{"images": []}')
    refused("lists no images", tmp_path / "c.json")
    pq.write_table(pa.table({"label": [1]}), tmp_path / "p.parquet")
    refused("no column of images is known among label: name it by --image-column", tmp_path / "p.parquet")
    refused("has no column 'x', but label", tmp_path / "p.parquet", columns=Columns(image="x"))
    (tmp_path / "q.parquet").write_text("no")
    refused("q.parquet: is damaged or no Parquet file", tmp_path / "q.parquet")
    (tmp_path / "v.mp4").write_bytes(b"")
    refused("is a video: --engine ray takes images", tmp_path / "v.mp4")


def test_storage_whose_package_is_missing_names_it():
    pytest.importorskip("fsspec")
    try:
        import s3fs  # noqa: F401
    except ImportError:
        with pytest.raises(SetupError, match=r"s3://bucket/x: .*s3fs"):
            find("s3://bucket/x")
    else:
        pytest.skip("s3fs is installed")
