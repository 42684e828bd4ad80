"""A segmenter that answers with boxes that are written down, and images to label."""

import numpy as np
import pytest
from PIL import Image
from sam_cases import WrittenNetwork, picture
from sam_masks.label import label_images, marked_work
from sam_masks.partial import Partial
from sam_masks.segmenter import MaskOptions, Segmenter

SIDE = 40


def square(*box):
    logits = np.full((1, SIDE, SIDE), -5.0, np.float32)
    if box:
        logits[0, box[1] : box[3], box[0] : box[2]] = 5.0
    return logits


def segmenter(*boxes, ious=None):
    """One that answers prompt n of the first image with the n-th box, and so on from the first for the next image."""
    network = WrittenNetwork([square(*box) for box in boxes], [[iou] for iou in ious or [1.0] * len(boxes)], SIDE)
    return Segmenter(network, MaskOptions(batch=2)), network


def label_marked(asker, marked, folder):
    return label_images(marked_work(asker, marked, folder), Partial(folder / "labels.json", "these"))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for number, name in enumerate(("a.png", "street/b.png")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(SIDE, SIDE, number)).save(path)
    return folder
