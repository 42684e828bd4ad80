"""Ten thousand pastes against Detectron2 and pycocotools, and the memory of a large image with very many instances."""

import subprocess
import sys

import pytest
from helpers import ROOT
from paste_cases import check_cases

pytestmark = pytest.mark.slow

LIMIT_MIB = 1024
# 1,000 instances of an aerial image, of which a few fill it, and the scores of 54 classes: 5 GB where all are held.
LARGE_IMAGE = """
import resource
import numpy as np, torch
import thingstuff.config
from thingstuff.benchmark.paste_scenes import random_probs
from thingstuff.benchmark.panoptic_scenes import CATEGORIES
from thingstuff.modeling.postprocess import RoiInstances, paste_and_merge
from thingstuff.modeling.stuff_labels import stuff_labels

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

torch.set_num_threads(1)
rng = np.random.default_rng(0)
height, width, count = 4000, 6000, 1000
sides = np.exp(rng.normal(np.log(90), 0.9, (count, 2)))
sides[:4] = [width, height]
low = rng.uniform(0, 1, (count, 2)) * np.maximum([width, height] - sides, 0)
boxes = np.concatenate([low, low + sides], axis=1).clip(0, [width, height] * 2).astype(np.float32)
ids = rng.choice([c.id for c in CATEGORIES.things], count)
instances = RoiInstances(random_probs(count, rng), boxes, rng.random(count, np.float32), ids)
logits = torch.randn(54, 200, 300, generator=torch.Generator().manual_seed(0))
start = peak_mib()
labels = stuff_labels(logits, (200, 300), height, width)
after_labels = peak_mib()
detections, panoptic, ledger = paste_and_merge(instances, labels.astype(np.uint16), CATEGORIES)
assert len(detections) == count and len(panoptic.segments) > 50
print(after_labels - start, peak_mib() - start)
"""


def test_ten_thousand_random_cases():
    assert check_cases(10_000, seed=2) > 10_000


def test_a_large_image_with_very_many_instances_stays_small():
    answer = subprocess.run([sys.executable, "-c", LARGE_IMAGE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    labels_mib, all_mib = map(float, answer.stdout.split())
    assert labels_mib < LIMIT_MIB / 3
    assert all_mib < LIMIT_MIB
