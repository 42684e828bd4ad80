"""Out of memory ends in one line that says what to try."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import thingstuff
from thingstuff.engine.out_of_memory import name_what_fits
from thingstuff.errors import SetupError

CPU = "[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: not enough memory: you tried to allocate {} bytes."
LINUX = (
    "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate {} bytes."
)
GPU = "CUDA out of memory. Tried to allocate {} GiB. GPU 0 has a total capacity of 24.00 GiB of which {} GiB is free."


def said(error, height, width, **options):
    with pytest.raises(SetupError) as caught, name_what_fits(height, width, **options):
        raise error
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_batch_is_halved():
    text = said(torch.OutOfMemoryError("CUDA out of memory."), 800, 1333, batch=8)
    assert text == "out of memory while predicting 8 images of up to 1333 x 800: try --batch 4"


def test_a_batch_is_halved_until_what_was_asked_for_fits():
    # 12 GiB where 2 are free: an eighth, the first power of two below a sixth
    assert said(torch.OutOfMemoryError(GPU.format("12.00", "2.00")), 800, 1333, batch=16).endswith("try --batch 2")
    assert said(torch.OutOfMemoryError(GPU.format("12.00", "2.00")), 800, 1333, batch=4).endswith("try --batch 1")


def test_a_large_image_gets_tiles():
    text = said(MemoryError("Unable to allocate 1.12 GiB for an array with shape (20000, 20000, 3)"), 20000, 20000)
    assert "(1,147 MiB more were asked for)" in text
    assert "try --tile 9984 (in Python tile=9984)" in text  # 10,000 in whole cells of 32


def test_tiles_are_halved_until_what_was_asked_for_fits():
    # an eighth of the pixels is less than a quarter of the length
    assert "--tile 2496" in said(torch.OutOfMemoryError(GPU.format("12.00", "2.00")), 10000, 8000)


def test_a_small_image_gets_a_smaller_network_input_too():
    assert "--tile 640 (in Python tile=640), or a smaller network" in said(RuntimeError(CPU.format(10**9)), 720, 1280)
    text = said(RuntimeError(LINUX.format(10**9)), 200, 200)
    assert "INPUT.MIN_SIZE_TEST" in text
    assert "--tile" not in text


@pytest.mark.parametrize("error", [RuntimeError("size mismatch"), ValueError("out of memory"), KeyError("x")])
def test_other_errors_stay(error):
    with pytest.raises(type(error)) as caught, name_what_fits(10, 10):
        raise error
    assert caught.value is error


def test_opencvs_error_is_known():
    import cv2

    with pytest.raises(SetupError, match="out of memory"), name_what_fits(10, 10):
        raise cv2.error("OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 400 bytes")
    with pytest.raises(cv2.error), name_what_fits(10, 10):
        cv2.resize(np.zeros((0, 0), np.uint8), (2, 2))


LIMITED = """
import resource, sys
import numpy as np, torch
from thingstuff.engine.out_of_memory import name_what_fits
from thingstuff.errors import SetupError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)
for allocate in (lambda: torch.zeros(1 << 30), lambda: np.zeros(1 << 30)):
    try:
        with name_what_fits(8000, 8000):
            allocate()
    except SetupError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
def test_a_real_lack_of_memory_is_known():
    answer = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    lines = answer.stdout.splitlines()
    assert len(lines) == 2, answer
    assert "(4,096 MiB more were asked for)" in lines[0]
    assert "(8,192 MiB more were asked for)" in lines[1]
    assert all("try --tile " in line for line in lines)


def test_a_predictor_says_it(sharp_weights, monkeypatch):
    model = thingstuff.load("thingstuff://shapes/mask_rcnn.yaml", sharp_weights["mask"], device="cpu")

    def fail(*arguments, **options):
        raise RuntimeError(CPU.format(4 << 30))

    monkeypatch.setattr(model.predictor.model.backbone, "forward", fail)
    with pytest.raises(SetupError, match=r"an image of 1200 x 900 pixels \(4,096 MiB more .*try --tile"):
        model(np.zeros((900, 1200, 3), np.uint8))


def test_joining_says_it_too(sharp_weights, monkeypatch):
    model = thingstuff.load("thingstuff://shapes/semantic.yaml", sharp_weights["semantic"], device="cpu", tile=128)

    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(type(model.predictor), "_answer", fail)
    with pytest.raises(SetupError, match="joining the tiles of 200 x 150 pixels"):
        model(np.zeros((150, 200, 3), np.uint8))
