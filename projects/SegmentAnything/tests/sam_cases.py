"""Small SAMs with random weights, saved as a user has them, a network that answers what is written down, pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from thingstuff.config.projects import import_project

import_project("SegmentAnything")  # so that its package can be imported

from sam_masks.frame import Frame  # noqa: E402
from sam_masks.network import Encoded  # noqa: E402

FAMILIES = ("sam", "sam2", "sam2_video")
SIDE = 128  # of the small networks' square, in pixels
_PATCH = 16
_CELLS = SIDE // _PATCH
_WIDTH = 32
_PROMPTS = {"hidden_size": _WIDTH, "image_size": SIDE, "patch_size": _PATCH, "mask_input_channels": 4}
_DECODER = {
    "hidden_size": _WIDTH,
    "mlp_dim": 32,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 16,
    "num_hidden_layers": 1,
}


def small_model(family, seed=0):
    """A SAM of transformers' with random weights; they are larger than usual, so that prompts make a difference."""
    transformers = pytest.importorskip("transformers", reason="the extra thingstuff[sam] is not installed")
    torch.manual_seed(seed)
    model = _sam(transformers) if family == "sam" else _sam2(transformers, family)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.dim() > 1 and "positional" not in name:
                value.normal_(0, 1.4 / value[0].numel() ** 0.5, generator=generator)
    return model.eval()


def _sam(transformers):
    vision = {
        "hidden_size": 16,
        "output_channels": _WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": _PATCH,
        "window_size": 2,
        "global_attn_indexes": [1],
        "num_pos_feats": _WIDTH // 2,
        "mlp_dim": 32,
    }
    config = transformers.SamConfig(vision_config=vision, prompt_encoder_config=_PROMPTS, mask_decoder_config=_DECODER)
    return transformers.SamModel(config)


def _sam2(transformers, family):
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "num_attention_heads": 1,
        "image_size": [SIDE, SIDE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 2, 2, 2],
        "window_size_per_stage": [8, 4, 2, 2],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [2, 2],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[_CELLS * n, _CELLS * n] for n in (4, 2, 1)],
        "fpn_hidden_size": _WIDTH,
    }
    parts = {"vision_config": vision, "prompt_encoder_config": _PROMPTS, "mask_decoder_config": _DECODER}
    if family == "sam2":
        return transformers.Sam2Model(transformers.Sam2Config(**parts))
    memory = {
        "memory_attention_hidden_size": _WIDTH,
        "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 32,
        "memory_encoder_hidden_size": _WIDTH,
        "memory_encoder_output_channels": 16,
        "mask_downsampler_embed_dim": _WIDTH,
        "memory_fuser_num_layers": 1,
        "memory_fuser_embed_dim": _WIDTH,
        "memory_fuser_intermediate_dim": 32,
        "image_size": SIDE,
    }
    return transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**parts, **memory))


def save(model, folder):
    model.save_pretrained(folder)
    return folder


def processor_of(family):
    """transformers' own preparation of images and prompts, for the square of the small networks."""
    transformers = pytest.importorskip("transformers")
    if family == "sam":
        sizes = {"size": {"longest_edge": SIDE}, "pad_size": {"height": SIDE, "width": SIDE}}
        return transformers.SamProcessor(image_processor("SamImageProcessor", **sizes))
    made = image_processor("Sam2ImageProcessor", size={"height": SIDE, "width": SIDE})
    return transformers.Sam2Processor(made, target_size=SIDE)


def image_processor(name, **sizes):
    """transformers' own class; that of version 4 computed with Pillow and rounded in another way."""
    transformers = pytest.importorskip("transformers", reason="the extra thingstuff[sam] is not installed")
    if int(transformers.__version__.split(".")[0]) < 5:
        pytest.skip("the reference is transformers 5 or newer")
    return getattr(transformers, name)(**sizes)


def picture(height, width, seed=0):
    """H x W x 3 uint8 BGR: coarse patches with noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (height // 8 + 1, width // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)[:height, :width]
    return (coarse + rng.normal(0, 12, coarse.shape)).clip(0, 255).astype(np.uint8)


@dataclass
class WrittenNetwork:
    """Answers prompt n of an image with the n-th of `logits` (M x h x w each) and of `ious`, and remembers its calls.

    The square is the image itself where `side` is as long as the image is.
    """

    logits: Sequence[np.ndarray]
    ious: Sequence[Sequence[float]]
    side: int
    keeps_proportions: bool = True
    encoded: int = 0
    asked: list = field(default_factory=list)

    def encode(self, image_bgr):
        self.encoded += 1
        self._given = 0
        return Encoded(Frame(*image_bgr.shape[:2], self.side, self.keeps_proportions), None)

    def decode(self, encoded, prompts, *, multimask):
        self.asked.append((prompts, multimask))
        rows = slice(self._given, self._given + len(prompts))
        self._given += len(prompts)
        return torch.tensor(np.array(self.logits[rows]), dtype=torch.float32), torch.tensor(self.ious[rows])
