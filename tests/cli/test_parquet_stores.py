"""Every command reads Parquet shards as it reads lines: the same scores, comparison, exports and summary."""

import json
from dataclasses import replace

import pytest

from thingstuff.store import Store
from thingstuff.store.parquet_row import quarantine_row, to_row

pytest.importorskip("pyarrow", reason="pyarrow is not installed: thingstuff[ray]")
RECIPE = "thingstuff://shapes/things_and_stuff.yaml"


@pytest.fixture(scope="module")
def stores(small_shapes, sharp_weights, tmp_path_factory):
    """The same predictions of `shapes_val` in both layouts; in Parquet two images were unreadable too."""
    from thingstuff.cli.predict import main
    from thingstuff.store.parquet_writer import ParquetRun, write_shard

    tmp_path = tmp_path_factory.mktemp("stores")
    assert main([str(word) for word in prediction(sharp_weights, tmp_path / "lines")]) == 0
    lines = Store.open(tmp_path / "lines/predictions/shapes_val")
    folder = tmp_path / "parquet/predictions/shapes_val"
    images = list(lines)
    with ParquetRun(folder, replace(lines.meta, layout="parquet")):
        write_shard(folder, "one", [to_row(image) for image in images[:4]])
        bad = [quarantine_row(key, "is no image") for key in ("x.png", "y.png")]
        write_shard(folder, "two", [*bad, *(to_row(image) for image in images[4:])])
    return tmp_path / "lines", tmp_path / "parquet"


def prediction(sharp_weights, output):
    """The words of `predict` for all of `shapes_val`."""
    fixed = ("--config-file", RECIPE, "--weights", sharp_weights["mask"], "--input", "shapes_val", "--no-overlays")
    opts = ("MODEL.DEVICE", "cpu", "PANOPTIC.STUFF_WEIGHTS", sharp_weights["semantic"])
    return (*fixed, "--output", output, "--opts", *opts)


def test_both_layouts_score_the_same(run_tool, stores, tmp_path):
    results = []
    for store in stores:
        out = tmp_path / f"scores_{store.name}"
        code, _, error = run_tool(
            "evaluate", "--predictions", store, "--ground-truth", "shapes_val", "--output", out, "--draws", "20"
        )
        assert code == 0, error
        results.append(json.loads((out / "results.json").read_text())["results"])
    assert results[0] == results[1]
    assert {"segm", "sem_seg", "panoptic_seg"} <= set(results[0]["shapes_val"])


def test_both_layouts_are_compared_and_do_not_differ(run_tool, stores, tmp_path):
    out = tmp_path / "comparison"
    code, text, error = run_tool("compare", *stores, "--output", out, "--draws", "20")
    assert code == 0, error
    assert "mIoU" in text


@pytest.mark.parametrize("name", ["coco", "coco_panoptic"])
def test_both_layouts_are_exported_as_the_same_files(run_tool, stores, tmp_path, name):
    exports = []
    for store in stores:
        out = tmp_path / f"export_{store.name}"
        code, _, error = run_tool("store", "export", store, "--to", name, "--output", out)
        assert code == 0, error
        exports.append({str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()})
    assert exports[0] == exports[1]
    assert exports[0]


def test_info_tells_what_could_not_be_read(run_tool, stores):
    code, out, error = run_tool("store", "info", stores[1])
    assert code == 0, error
    assert "images         6" in out
    assert "quarantined    2 images that could not be read, such as x.png (is no image)" in out
    assert "quarantined" not in run_tool("store", "info", stores[0])[1]


def test_the_plain_engine_does_not_add_to_parquet(run_tool, stores, sharp_weights):
    code, _, error = run_tool("predict", *prediction(sharp_weights, stores[1]))
    assert code == 2
    assert "lie in parquet files, and this run would write jsonl" in error
