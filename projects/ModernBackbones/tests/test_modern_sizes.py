"""Images of any size: positions are interpolated, windows and patches padded, and small ones are no special case."""

import pytest
import torch
import torch.nn.functional as F
from detectron2.modeling.backbone.utils import get_abs_pos, get_rel_pos
from modern_cases import RCNNS, SHAPES, image_of, model_of

SQUARE = ("INPUT.MAX_SIZE_TEST", "96", "INPUT.MAX_SIZE_TRAIN", "96")
EVERYTHING = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0")


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("size", [(5, 3), (33, 97), (160, 160), (171, 84)])
def test_a_model_takes_images_of_any_size(name, size):
    model = model_of(name, *EVERYTHING).eval()
    with torch.inference_mode():
        found = model([{"image": image_of(*size)}])[0]["instances"]
    assert found.image_size == size
    assert torch.isfinite(found.pred_boxes.tensor).all()
    assert torch.isfinite(found.scores).all()
    if name in RCNNS:
        assert found.pred_masks.shape == (len(found), *size)


@pytest.mark.parametrize("name", SHAPES)
def test_features_have_the_sizes_of_their_strides(name):
    model = model_of(name)
    features = model.backbone(torch.zeros(1, 3, 64, 96))
    for level, shape in model.backbone.output_shape().items():
        expected = (-(-64 // shape.stride), -(-96 // shape.stride))
        assert features[level].shape == (1, shape.channels, *expected), level


def test_absolute_positions_of_another_size_are_interpolated_bicubically():
    """A table of 14 x 14 and a class token, as MAE leaves it, for an image of 2 x 3 patches of 16."""
    overrides = ("MODEL.VIT.PATCH_SIZE", "16", "MODEL.VIT.PRETRAIN_IMG_SIZE", "224")
    levels = ("MODEL.VIT.SCALE_FACTORS", "[4.0, 2.0, 1.0]")
    model = model_of("shapes_vitdet", *overrides, *levels, "MODEL.VIT.PRETRAIN_USE_CLS_TOKEN", "True")
    vit = model.backbone.net
    assert vit.pos_embed.shape == (1, 197, 32)
    grid = vit.pos_embed[:, 1:].reshape(1, 14, 14, 32).permute(0, 3, 1, 2)
    expected = F.interpolate(grid, size=(2, 3), mode="bicubic", align_corners=False)
    for block in vit.blocks:  # what is left is the embedding of a black image and the positions
        block.forward = lambda x: x
    with torch.no_grad():
        vit.patch_embed.proj.bias.zero_()
        features = vit(torch.zeros(1, 3, 32, 48))["last_feat"]
    torch.testing.assert_close(features, expected)


def test_absolute_positions_of_the_same_size_stay_as_they_are():
    table = torch.rand(1, 1 + 9, 4)
    assert torch.equal(get_abs_pos(table, True, (3, 3)), table[:, 1:].reshape(1, 3, 3, 4))


def test_relative_positions_of_another_size_are_interpolated_linearly():
    """2 n - 1 distances for n positions: row q, column k has the distance q - k."""
    table = torch.rand(7, 5)  # of 4 positions
    longer = F.interpolate(table.T[None], size=11, mode="linear")[0].T  # of 6
    found = get_rel_pos(6, 6, table)
    expected = torch.stack([torch.stack([longer[q - k + 5] for k in range(6)]) for q in range(6)])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", RCNNS)
def test_positions_are_stored_for_the_size_of_the_recipe(name):
    """At 160 x 160 the first stage or the only one has its table as it is stored."""
    tables = {key: len(value) for key, value in model_of(name).named_parameters() if "rel_pos_h" in key}
    patches = {"shapes_vitdet": 20, "shapes_mvitv2": 40, "shapes_swin": 0}[name]
    if patches:
        assert 2 * patches - 1 in tables.values()
    else:
        assert not tables


def test_square_padding_gives_every_image_one_size():
    model = model_of("shapes_vitdet", "MODEL.FPN.SQUARE_PAD", "96", *SQUARE)
    for size in ((30, 80), (96, 41)):
        assert model.preprocess_image([{"image": image_of(*size)}]).tensor.shape == (1, 3, 96, 96)


@pytest.mark.parametrize("name", SHAPES)
def test_the_last_pixels_of_an_image_count(name):
    """Of 33 x 33 pixels, which Detectron2's own pyramid over a ViT would cut to 32 x 32."""
    model, image = model_of(name).eval(), image_of(33, 33)
    changed = image.clone()
    changed[:, 32] = 255 - changed[:, 32]
    with torch.inference_mode():
        before, after = (model.backbone(model.preprocess_image([{"image": i}]).tensor)["p2"] for i in (image, changed))
    assert not torch.allclose(before, after)
