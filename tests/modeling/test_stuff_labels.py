"""Labels in the size of the image: those of Detectron2's scores of all classes, with or without holding them."""

import numpy as np
import pytest
import torch

import thingstuff.config  # noqa: F401  mends Detectron2 before it is imported
from thingstuff.modeling import stuff_labels as module
from thingstuff.modeling.stuff_labels import stuff_labels

OUTPUT = (131, 203)


@pytest.fixture(params=[module.WHOLE_BYTES, 0], ids=["at once", "class by class"])
def either_way(request, monkeypatch):
    monkeypatch.setattr(module, "WHOLE_BYTES", request.param)


def detectron2_labels(logits, input_size, height, width):
    from detectron2.modeling.postprocessing import sem_seg_postprocess

    return sem_seg_postprocess(logits, input_size, height, width).argmax(dim=0).numpy()


@pytest.mark.parametrize("input_size", [(60, 80), (57, 71)], ids=["whole", "padded"])
@pytest.mark.parametrize("classes", [1, 2, 3, 4, 54, 300])
def test_equals_detectron2(either_way, classes, input_size):
    logits = torch.randn(classes, 60, 80, generator=torch.Generator().manual_seed(classes))
    found = stuff_labels(logits, input_size, *OUTPUT)
    assert found.dtype == (np.uint8 if classes <= 256 else np.int32)
    assert np.array_equal(found, detectron2_labels(logits, input_size, *OUTPUT))


@pytest.mark.parametrize("classes", [3, 9])
def test_ties_go_to_the_first_class_and_nan_wins(either_way, classes):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randint(-2, 3, (classes, 30, 40), generator=generator).float()
    logits[1, 5:15, 5:30] = float("nan")
    logits[2, 10:20, 20:35] = float("nan")
    logits[0, 25:, :10] = float("inf")
    assert np.array_equal(stuff_labels(logits, (30, 40), 90, 120), detectron2_labels(logits, (30, 40), 90, 120))


def test_smaller_than_the_logits(either_way):
    logits = torch.randn(9, 300, 200, generator=torch.Generator().manual_seed(2))
    assert np.array_equal(stuff_labels(logits, (300, 200), 150, 99), detectron2_labels(logits, (300, 200), 150, 99))


def test_channels_last_logits():
    logits = torch.randn(1, 54, 60, 80).contiguous(memory_format=torch.channels_last)[0]
    assert np.array_equal(stuff_labels(logits, (60, 80), *OUTPUT), detectron2_labels(logits, (60, 80), *OUTPUT))


def test_logits_are_left_as_they_are(either_way):
    logits = torch.randn(5, 20, 30, requires_grad=True)
    before = logits.detach().clone()
    stuff_labels(logits, (20, 30), 20, 30)
    assert torch.equal(logits.detach(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(either_way):
    logits = torch.randn(54, 60, 80)
    found = stuff_labels(logits.cuda(), (60, 80), *OUTPUT)
    assert np.mean(found != detectron2_labels(logits, (60, 80), *OUTPUT)) < 1e-3
