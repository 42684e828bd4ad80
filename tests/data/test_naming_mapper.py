"""A damaged image in a training: the file is named in one line, also from a loader's process."""

import shutil

import pytest
from helpers import TINY, assert_one_line

from thingstuff.data.naming_mapper import NamingMapper
from thingstuff.errors import ConfigError, DataError


def test_what_cannot_be_read_is_named():
    def fail(record):
        raise OSError("image file\n is truncated")

    with pytest.raises(DataError, match=r"^a.png: cannot be read.*\(image file is truncated\)"):
        NamingMapper(fail)({"file_name": "a.png"})


def test_our_own_errors_and_bugs_pass_through():
    def refuse(record):
        raise ConfigError("no")

    def fail(record):
        raise AttributeError("a bug")

    with pytest.raises(ConfigError, match="^no$"):
        NamingMapper(refuse)({})
    with pytest.raises(AttributeError):
        NamingMapper(fail)({})


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_training_ends_in_one_line(run_tool, small_shapes, tmp_path, workers):
    for split in ("train", "val"):
        shutil.copytree(small_shapes / split, tmp_path / split)
        for image in (tmp_path / split).iterdir():
            image.write_bytes(image.read_bytes()[:2000])
    path = tmp_path / f"cut_{workers}.yaml"
    path.write_text(
        f"format: coco\nannotations: '{small_shapes}/annotations/instances_{{split}}.json'\nimages: '{{split}}'\n"
        "splits: [train, val]\n"
    )
    config = ("--config-file", "thingstuff://shapes/mask_rcnn.yaml", "--dataset", path)
    tiny = [*TINY, "DATALOADER.NUM_WORKERS", workers, "OUTPUT_DIR", str(tmp_path / "run")]
    code, _, error = run_tool("train_net", *config, *tiny)
    assert code == 2
    assert_one_line(error, ".png: cannot be read", "tools/dataset.py check")
    assert "Original Traceback" not in error
