"""The layers that Detectron2's transformers take from timm: their formulas, and that nothing else is needed."""

import sys

import pytest
import torch
from detectron2.modeling.backbone import MViT, SwinTransformer, ViT

from thingstuff.config.compat.timm_modules import DropPath, Mlp


@pytest.mark.parametrize(
    "build",
    [
        lambda: ViT(img_size=32, embed_dim=8, depth=1, num_heads=1, drop_path_rate=0.1),
        lambda: MViT(img_size=32, embed_dim=8, depth=4, last_block_indexes=(0, 1, 2, 3), drop_path_rate=0.1),
        lambda: SwinTransformer(embed_dim=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1)),
    ],
)
def test_transformers_are_built_without_timm(build, monkeypatch):
    for name in ("timm", "timm.models", "timm.models.layers"):
        monkeypatch.setitem(sys.modules, name, None)  # to import it is an error
    build()


def test_an_mlp_is_two_linear_layers_and_an_activation():
    layer, x = Mlp(3, 5, 2), torch.rand(4, 6, 3)
    weights = layer.state_dict()
    assert set(weights) == {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
    hidden = x @ weights["fc1.weight"].T + weights["fc1.bias"]
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))  # GELU
    torch.testing.assert_close(layer(x), hidden @ weights["fc2.weight"].T + weights["fc2.bias"])
    assert Mlp(3).fc2.weight.shape == (3, 3)


def test_a_path_is_dropped_for_whole_images_and_the_mean_stays():
    torch.manual_seed(0)
    x = torch.ones(4000, 2, 3)
    dropped = DropPath(0.25)(x)
    rows = dropped.flatten(1)
    assert ((rows == 0).all(dim=1) | (rows == 1 / 0.75).all(dim=1)).all()
    assert rows.mean().item() == pytest.approx(1, abs=0.05)
    assert (DropPath(1.0)(x) == 0).all()


def test_nothing_is_dropped_in_prediction_or_without_a_chance():
    x = torch.rand(3, 2)
    assert DropPath(0.5).eval()(x) is x
    assert DropPath(0.0)(x) is x
