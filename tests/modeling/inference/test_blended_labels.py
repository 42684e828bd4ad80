"""Labels of small scores against the two enlargements and the argmax that they stand for, in C and in PyTorch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from detectron2.modeling.postprocessing import sem_seg_postprocess

from thingstuff.modeling.inference import blended_labels as module
from thingstuff.modeling.inference.blended_labels import blended_labels
from thingstuff.modeling.inference.semantic import enlarged
from thingstuff.modeling.semantic_logits import SemanticLogits


@pytest.fixture(params=["c", "pytorch"], autouse=True)
def _way(request, monkeypatch):
    if request.param == "pytorch":
        monkeypatch.setattr(module, "_compiled", lambda: None)
    elif module._compiled() is None:
        pytest.skip("needs a C compiler")


def scores_in_the_image(logits, stride, cut, height, width):
    """C x H x W in float64, as Detectron2 makes them."""
    full = F.interpolate(logits[None].double(), scale_factor=float(stride), mode="bilinear", align_corners=False)[0]
    return sem_seg_postprocess(full, cut, height, width)


@pytest.mark.parametrize("classes", [1, 5, 16, 54, 256])
@pytest.mark.parametrize(
    ("small", "stride", "cut", "output"),
    [
        ((20, 30), 4, (77, 113), (150, 222)),  # larger
        ((20, 30), 4, (80, 120), (31, 17)),  # smaller
        ((8, 8), 4, (1, 1), (1, 1)),
        ((8, 8), 4, (1, 32), (3, 200)),
        ((6, 5), 2, (12, 9), (12, 9)),
        ((6, 5), 8, (47, 33), (90, 10)),
    ],
)
def test_the_best_class_wins(classes, small, stride, cut, output):
    """Where two classes are equal but for rounding either may win."""
    logits = torch.randn(1, classes, *small, generator=torch.Generator().manual_seed(classes))
    logits = logits.contiguous(memory_format=torch.channels_last)[0]
    found = blended_labels(logits, stride, cut, *output)
    scores = scores_in_the_image(logits, stride, cut, *output).numpy()
    assert (found.dtype, found.shape) == (np.uint8, output)
    won = np.take_along_axis(scores, found[None].astype(np.int64), axis=0)[0]
    assert (scores.max(axis=0) - won).max() < 1e-5
    assert (found != scores.argmax(axis=0)).mean() < 1e-3


def test_ties_go_to_the_first_class():
    logits = torch.zeros(40, 6, 7)
    assert (blended_labels(logits, 4, (24, 28), 50, 50) == 0).all()
    logits[17] = logits[33] = 2
    assert (blended_labels(logits, 4, (24, 28), 50, 50) == 17).all()


def test_nan_wins():
    logits = torch.zeros(40, 6, 7)
    logits[3] = 5
    logits[21], logits[30] = torch.nan, torch.nan
    assert (blended_labels(logits, 4, (24, 28), 50, 50) == 21).all()


def test_more_classes_than_a_byte_holds():
    logits = torch.randn(300, 5, 6, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="up to 256 classes"):
        blended_labels(logits, 4, (20, 24), 30, 30)
    found = SemanticLogits(logits, 4).labels((20, 24), 30, 30)
    expected = scores_in_the_image(logits, 4, (20, 24), 30, 30).argmax(dim=0).numpy()
    assert (found != expected).mean() < 1e-2


def test_full_scores_are_the_heads_own():
    logits = torch.randn(1, 5, 6, 7)
    assert torch.equal(SemanticLogits(logits[0], 4).full(), enlarged(logits, 4)[0])
    assert SemanticLogits(logits[0]).full() is not None
