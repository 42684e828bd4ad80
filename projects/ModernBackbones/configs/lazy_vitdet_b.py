"""ViTDet-B on COCO as a Python config, for `tools/train_net.py --allow-python-config`.

It says what coco_vitdet_b.yaml says: a start for what YAML cannot say.
`train.init_checkpoint` is a local file of MAE's ViT-B, or an address.
"""

import functools

from detectron2.config import LazyCall
from detectron2.data import transforms
from detectron2.model_zoo import get_config
from detectron2.modeling import get_vit_lr_decay_rate
from detectron2.solver import WarmupParamScheduler
from fvcore.common.param_scheduler import MultiStepParamScheduler

PIXELS, STEPS = 1024, 184375

model = get_config("common/models/mask_rcnn_vitdet.py").model

optimizer = get_config("common/optim.py").AdamW
optimizer.params.lr_factor_func = functools.partial(get_vit_lr_decay_rate, num_layers=12, lr_decay_rate=0.7)
optimizer.params.overrides = {"pos_embed": {"weight_decay": 0.0}}

train = get_config("common/train.py").train
train.amp.enabled = True
train.max_iter = STEPS
train.output_dir = "output/coco/lazy_vitdet_b"
train.init_checkpoint = "detectron2://ImageNetPretrained/MAE/mae_pretrain_vit_base.pth?matching_heuristics=True"

lr_multiplier = LazyCall(WarmupParamScheduler)(
    scheduler=LazyCall(MultiStepParamScheduler)(
        values=[1.0, 0.1, 0.01], milestones=[163889, 177546], num_updates=STEPS
    ),
    warmup_length=250 / STEPS,
    warmup_factor=0.001,
)

dataloader = get_config("common/data/coco.py").dataloader
dataloader.train.total_batch_size = 64
dataloader.train.mapper.image_format = "RGB"
dataloader.train.mapper.recompute_boxes = True
dataloader.train.mapper.augmentations = [
    LazyCall(transforms.RandomFlip)(horizontal=True),
    LazyCall(transforms.ResizeScale)(min_scale=0.1, max_scale=2.0, target_height=PIXELS, target_width=PIXELS),
    LazyCall(transforms.FixedSizeCrop)(crop_size=(PIXELS, PIXELS), pad=False),
]
dataloader.test.mapper.image_format = "RGB"
dataloader.test.mapper.augmentations = [
    LazyCall(transforms.ResizeShortestEdge)(short_edge_length=PIXELS, max_size=PIXELS)
]
