"""1,000 instances and 54 classes of stuff at 4000 x 6000 pixels: less than 1 GiB beside the model and its outputs."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import json, resource, sys
import numpy as np, torch
import thingstuff.config
from detectron2.modeling import PanopticFPN
from detectron2.structures import Boxes, Instances
from thingstuff.engine.stored_prediction import to_stored
from thingstuff.merge import Greedy
from thingstuff.modeling.label_space import LabelSpace
from thingstuff.modeling.stuff_sources import HeadSource
from thingstuff.modeling.things_and_stuff import ThingsAndStuff
from thingstuff.store import StoreMeta, StoreWriter
from thingstuff.structures import Categories, Category

N, (h, w), (H, W) = 1000, (800, 1200), (4000, 6000)
things = [Category(i, f"thing {i}") for i in range(1, 81)]
stuff = [Category(i, f"stuff {i}", False) for i in range(101, 154)]
categories = Categories((*things, *stuff))
torch.manual_seed(0)
rng = np.random.default_rng(0)
sides = np.clip(np.exp(rng.normal(np.log(45), 0.9, (N, 2))), 4, 900)
corners = rng.uniform(0, 1, (N, 2)) * (np.array([w, h]) - np.minimum(sides, [w, h]))
raw = Instances((h, w))
raw.pred_boxes = Boxes(torch.tensor(np.hstack([corners, corners + sides]).astype("float32")))
raw.scores = torch.rand(N) * 0.5 + 0.5
raw.pred_classes = torch.randint(0, 80, (N,))
y, x = torch.meshgrid(torch.linspace(-1, 1, 28), torch.linspace(-1, 1, 28), indexing="ij")
raw.pred_masks = torch.sigmoid(8 * (0.9 - (x**2 + y**2)) + torch.randn(N, 1, 28, 28))
coarse = torch.randn(1, 54, 10, 15)
logits = torch.nn.functional.interpolate(coarse, size=(h, w), mode="bilinear")

class Outputs(PanopticFPN):
    def __init__(self):
        torch.nn.Module.__init__(self)
    def inference(self, inputs, do_postprocess):
        return [raw], logits

head = HeadSource(LabelSpace.of(categories), categories)
model = ThingsAndStuff(things=Outputs(), stuff=head, rule=Greedy(), categories=categories).eval()
image = {"image": torch.zeros(3, h, w), "height": H, "width": W}
writer = StoreWriter.open(sys.argv[1], StoreMeta("c", "w", categories))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with writer, torch.inference_mode():
    found = model.predict([image])[0]
    writer.append(to_stored("large.jpg", None, (H, W), found))
mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
kept = sum(segment.isthing for segment in found.panoptic.segments)
print(json.dumps({"mib": mib, "found": len(found.detections), "kept": kept}))
"""


def test_a_large_image_with_a_thousand_instances(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "store"], capture_output=True, text=True, check=True
    )
    measured = json.loads(answer.stdout)
    assert measured["found"] == 1000
    assert measured["kept"] > 100
    assert measured["mib"] < 1024, measured
