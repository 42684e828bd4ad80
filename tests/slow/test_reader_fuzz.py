"""10,000 damaged files: each is read, checked and converted, or refused in one line that names it, and nothing else.

Nothing else is: another exception, half a minute of computing or 500 MiB for one data set, a file outside of the
output folder, or a line that is no line. To repeat one: `fuzz_worker.py NAME NUMBER 1 FOLDER`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

pytestmark = pytest.mark.slow

COUNTS = {
    "coco": 1400,
    "coco_panoptic": 1000,
    "coco_stuff": 700,
    "lvis": 300,
    "fiftyone": 300,
    "supervisely": 300,
    "labelme": 1000,
    "cvat": 1000,
    "yolo": 300,
    "via": 300,
    "label_studio": 300,
    "mask_folders": 500,
    "id_masks": 500,
    "voc": 300,
    "cityscapes": 300,
    "semantic": 500,
    "coco_results": 200,
    "panoptic_results": 200,
    "yolo_results": 200,
    "cityscapes_results": 200,
    "images": 300,
    "declaration": 700,
    "split_list": 200,
}
# many of them are no more than a few characters of a name, or pixels, that are others now
LEAST_REFUSED = {"images": 0}


def test_there_are_ten_thousand():
    assert sum(COUNTS.values()) >= 10_000


@pytest.mark.parametrize("name", COUNTS)
def test_damaged_files_are_refused_in_one_line_or_read(name, tmp_path):
    answer = _run(name, 0, COUNTS[name], tmp_path)
    assert answer["faults"] == []
    assert answer["refused"] >= LEAST_REFUSED.get(name, COUNTS[name] // 20)
    assert answer["converted"] >= COUNTS[name] // 100  # so that the steps behind the reader were reached


def _run(name, first, count, folder):
    """The worker's answer. It has few threads and one heap, so that its memory can be told apart from theirs."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
    environment = os.environ | single | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    command = [sys.executable, Path(__file__).with_name("fuzz_worker.py"), name, str(first), str(count), folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
