"""A recipe for this batch, these epochs and this data set: every number is its formula."""

import json
import math

import pytest

from thingstuff.config import load_config
from thingstuff.engine.training import recipe
from thingstuff.engine.training.recipe import check_recipe, finetune_defaults, schedule_for, settle_recipe
from thingstuff.errors import ConfigError

ZOO = "model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
COCO_WEIGHTS = "detectron2://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x/137849600/model_final_f10217.pkl"


def cfg_with(config=None, **solver):
    cfg = load_config(config, ["MODEL.DEVICE", "cpu"])
    for key, value in solver.items():
        cfg.SOLVER[key] = value
    return cfg


# ---- epochs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "images", "batch"), [(12.0, 300, 2), (3.0, 7, 2), (0.5, 1000, 16), (0.1, 30, 1), (0.001, 5, 8)]
)
def test_epochs_set_the_steps(epochs, images, batch):
    cfg = cfg_with(ZOO, EPOCHS=epochs, IMS_PER_BATCH=batch)
    lines = settle_recipe(cfg, images)
    # 0.1 * 30 is 3.0000000000000004 in floating point, and 3 steps are meant
    expected = max(1, math.ceil(round(epochs * images / batch, 9)))
    assert expected == cfg.SOLVER.MAX_ITER
    assert [line for line in lines if "epochs" in line and f"270000 -> {expected}" in line]


def test_steps_and_warmup_move_in_proportion():
    cfg = cfg_with(MAX_ITER=900, STEPS=(600, 800), WARMUP_ITERS=100, EPOCHS=9.0, IMS_PER_BATCH=2)
    kept = cfg.SOLVER.CHECKPOINT_PERIOD, cfg.TEST.EVAL_PERIOD
    settle_recipe(cfg, 100)
    assert cfg.SOLVER.MAX_ITER == 9 * 100 / 2
    assert cfg.SOLVER.STEPS == (600 / 900 * 450, 800 / 900 * 450)
    assert cfg.SOLVER.WARMUP_ITERS == 100 / 900 * 450
    assert kept == (cfg.SOLVER.CHECKPOINT_PERIOD, cfg.TEST.EVAL_PERIOD)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 1), (100, 1), (1000, 10)])
def test_a_shorter_warmup_keeps_one_step_where_it_had_one(before, after):
    cfg = cfg_with(MAX_ITER=1000, WARMUP_ITERS=before, EPOCHS=1.0, IMS_PER_BATCH=1)
    settle_recipe(cfg, 10)
    assert after == cfg.SOLVER.WARMUP_ITERS


def test_a_longer_run_does_not_warm_up_longer():
    cfg = cfg_with(MAX_ITER=100, STEPS=(50,), WARMUP_ITERS=10, EPOCHS=1.0, IMS_PER_BATCH=1)
    settle_recipe(cfg, 1000)
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.SOLVER.WARMUP_ITERS) == (1000, (500,), 10)


@pytest.mark.parametrize(("images", "steps"), [(1, ()), (2, (1,)), (3, (2,)), (9, (6, 8))])
def test_the_shortest_runs_can_be_scheduled(images, steps):
    import torch

    from thingstuff.engine.training.solver import build_lr_scheduler

    cfg = cfg_with(MAX_ITER=900, STEPS=(600, 800), EPOCHS=1.0, IMS_PER_BATCH=1)
    settle_recipe(cfg, images)
    assert steps == cfg.SOLVER.STEPS
    build_lr_scheduler(cfg, torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1))


def test_what_a_user_gave_stays_beside_epochs():
    cfg = cfg_with(MAX_ITER=900, STEPS=(70,), WARMUP_ITERS=20, EPOCHS=1.0, IMS_PER_BATCH=1)
    settle_recipe(cfg, 90, ["SOLVER.STEPS", "(70,)", "SOLVER.WARMUP_ITERS", "20"])
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.SOLVER.WARMUP_ITERS) == (90, (70,), 20)


# ---- the learning rate -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scaling", "factor"), [("linear", lambda new, old: new / old), ("sqrt", lambda new, old: (new / old) ** 0.5)]
)
@pytest.mark.parametrize("batch", [1, 2, 16, 64])
def test_the_rate_follows_the_batch(scaling, factor, batch):
    cfg = cfg_with(BASE_LR=0.02, BASE_LR_END=0.001, REFERENCE_BATCH=16, RATE_SCALING=scaling, IMS_PER_BATCH=batch)
    lines = settle_recipe(cfg, 100)
    assert pytest.approx(0.02 * factor(batch, 16)) == cfg.SOLVER.BASE_LR
    assert pytest.approx(0.001 * factor(batch, 16)) == cfg.SOLVER.BASE_LR_END
    assert batch == cfg.SOLVER.REFERENCE_BATCH
    assert len(lines) == (batch != 16)


def test_the_line_of_the_rate():
    cfg = cfg_with(BASE_LR=0.02, REFERENCE_BATCH=16, IMS_PER_BATCH=2)
    assert settle_recipe(cfg, 100) == ["learning rate 0.02 for batches of 16 -> 0.0025 for 2 (linear)"]


def test_a_rate_that_was_given_stays():
    cfg = cfg_with(BASE_LR=0.3, BASE_LR_END=0.1, REFERENCE_BATCH=16, IMS_PER_BATCH=2)
    (line,) = settle_recipe(cfg, 100, {"SOLVER.BASE_LR"})
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.BASE_LR_END, cfg.SOLVER.REFERENCE_BATCH) == (0.3, 0.1, 2)
    assert "0.3 as given" in line
    cfg = cfg_with(BASE_LR=0.3, BASE_LR_END=0.1, REFERENCE_BATCH=16, IMS_PER_BATCH=8)
    settle_recipe(cfg, 100, {"SOLVER.BASE_LR_END"})
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.BASE_LR_END) == (0.15, 0.1)


def test_without_a_reference_nothing_changes_but_the_zoos_rate_is_noticed():
    for batch, warned in ((16, False), (2, True)):
        cfg = cfg_with(ZOO, IMS_PER_BATCH=batch)
        before = cfg.dump()
        lines = settle_recipe(cfg, 100)
        assert cfg.dump() == before
        assert [("0.02 was found for batches of 16" in line) for line in lines] == [True] * warned
    assert settle_recipe(cfg, 100, ["SOLVER.BASE_LR", "0.02"]) == []
    for other in ({"BASE_LR": 0.003}, {"MAX_ITER": 1000}, {"OPTIMIZER": "ADAMW"}):
        assert settle_recipe(cfg_with(ZOO, **{"IMS_PER_BATCH": 2, **other}), 100) == []


def test_a_settled_config_stays_as_it_is(tmp_path):
    cfg = cfg_with(ZOO, EPOCHS=7.3, REFERENCE_BATCH=16, IMS_PER_BATCH=3, RATE_SCALING="sqrt", BASE_LR_END=0.0001)
    assert len(settle_recipe(cfg, 123)) == 2
    before = cfg.dump()
    assert settle_recipe(cfg, 123) == []
    assert cfg.dump() == before
    (tmp_path / "config.yaml").write_text(before)
    again = load_config(tmp_path / "config.yaml")
    assert settle_recipe(again, 123) == []
    assert again.SOLVER == cfg.SOLVER


# ---- nonsense ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "overrides", "said"),
    [
        ({"EPOCHS": -1.0}, (), "SOLVER.EPOCHS is -1"),
        ({"EPOCHS": math.nan}, (), "SOLVER.EPOCHS is nan"),
        ({"EPOCHS": math.inf}, (), "SOLVER.EPOCHS is inf"),
        ({"EPOCHS": 2.0}, ("SOLVER.MAX_ITER",), "SOLVER.MAX_ITER contradicts SOLVER.EPOCHS 2"),
        ({"EPOCHS": 2.0, "MAX_ITER": 0}, (), "contradicts SOLVER.MAX_ITER 0"),
        ({"REFERENCE_BATCH": -16}, (), "REFERENCE_BATCH is -16"),
        ({"IMS_PER_BATCH": 0}, (), "IMS_PER_BATCH is 0"),
        ({"RATE_SCALING": "cubic"}, (), "linear, sqrt"),
    ],
)
def test_nonsense_is_refused_and_nothing_changed(solver, overrides, said):
    cfg = cfg_with(**{"REFERENCE_BATCH": 16, "IMS_PER_BATCH": 2, **solver})
    before = cfg.dump()
    with pytest.raises(ConfigError, match=said):
        settle_recipe(cfg, 100, overrides)
    assert cfg.dump() == before


def test_epochs_of_nothing():
    with pytest.raises(ConfigError, match="no training images"):
        settle_recipe(cfg_with(EPOCHS=1.0), 0)


@pytest.mark.parametrize(
    ("solver", "processes", "said"),
    [
        ({"BASE_LR": 0.0}, 1, "BASE_LR is 0, expected a number above 0"),
        ({"BASE_LR": -0.1}, 1, "BASE_LR is -0.1"),
        ({"BASE_LR": math.nan}, 1, "BASE_LR is nan"),
        ({"BASE_LR": math.inf}, 1, "BASE_LR is inf"),
        ({"BASE_LR": 1.5}, 1, "1.5 is huge for SGD"),
        ({"BASE_LR": 0.2, "OPTIMIZER": "ADAMW"}, 1, "0.2 is huge for ADAMW"),
        ({"BASE_LR": 0.2, "OPTIMIZER": "ADAM"}, 1, "0.2 is huge for ADAM"),
        ({"BASE_LR_END": -0.1}, 1, "BASE_LR_END is -0.1"),
        ({"BASE_LR_END": math.nan}, 1, "BASE_LR_END is nan"),
        ({"IMS_PER_BATCH": 3}, 4, "each of 4 processes needs an image"),
        ({"IMS_PER_BATCH": 6}, 4, "a multiple of the 4 processes"),
        ({"IMS_PER_BATCH": 0}, 1, "IMS_PER_BATCH is 0"),
        ({"MICRO_BATCHES": 0}, 1, "MICRO_BATCHES is 0"),
        ({"MICRO_BATCHES": 3}, 1, "a divisor of the 16 images"),
        ({"MICRO_BATCHES": 16}, 2, "a divisor of the 8 images"),
        ({"EMA_DECAY": 1.0}, 1, "EMA_DECAY is 1"),
        ({"EMA_DECAY": -0.1}, 1, "EMA_DECAY is -0.1"),
        ({"EMA_DECAY": math.nan}, 1, "EMA_DECAY is nan"),
        ({"RATE_SCALING": "cubic"}, 1, "linear, sqrt"),
        ({"ON_BAD_LOSS": "cry"}, 1, "skip, stop"),
    ],
)
def test_numbers_that_cannot_be_meant(solver, processes, said):
    with pytest.raises(ConfigError, match=said):
        check_recipe(cfg_with(**solver), processes)


def test_an_unknown_precision():
    cfg = cfg_with()
    cfg.SOLVER.AMP.PRECISION = "fp8"
    with pytest.raises(ConfigError, match="AMP.PRECISION is fp8, expected one of auto, bf16, fp16"):
        check_recipe(cfg)


@pytest.mark.parametrize(
    ("solver", "processes"),
    [
        ({}, 1),
        ({"BASE_LR": 1.0}, 8),
        ({"BASE_LR": 0.1, "OPTIMIZER": "ADAMW", "EMA_DECAY": 0.999}, 16),
        ({"IMS_PER_BATCH": 8, "MICRO_BATCHES": 4}, 2),
    ],
)
def test_numbers_that_can_be_meant(solver, processes):
    check_recipe(cfg_with(**solver), processes)


# ---- a declared data set -----------------------------------------------------------------------------------------


@pytest.fixture
def declared(monkeypatch):
    monkeypatch.setattr(recipe, "is_declared", lambda name: name.startswith("mine"))

    def build(config=ZOO, weights=COCO_WEIGHTS, overrides=()):
        given = ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", weights, "DATASETS.TRAIN", "('mine_train',)"]
        return load_config(config, [*given, *overrides])

    return build


@pytest.mark.parametrize(("images", "batch"), [(300, 2), (10, 2), (5000, 2), (118_000, 16)])
def test_the_length_of_a_finetuning(images, batch):
    assert schedule_for(images, batch) == max(1000, math.ceil(12 * images / batch))


def test_a_zoo_recipe_fits_itself_to_a_declared_data_set(declared):
    cfg = declared()
    lines = finetune_defaults(cfg, 300)
    assert cfg.SOLVER.IMS_PER_BATCH == 2
    assert max(1000, 300 * 12 / 2) == cfg.SOLVER.MAX_ITER
    assert cfg.SOLVER.STEPS == (1800 * 2 / 3, 1800 * 8 / 9)
    assert min(1000, 0.1 * 1800) == cfg.SOLVER.WARMUP_ITERS
    assert len(lines) == 2
    assert "batches of 2 images for the CPU (the recipe's 16)" in lines[0]
    assert "1800 steps" in lines[1]
    assert "12 times each of 300 images" in lines[1]
    assert cfg.SOLVER.BASE_LR == 0.02  # not yet, and not silently
    assert settle_recipe(cfg, 300) == ["learning rate 0.02 for batches of 16 -> 0.0025 for 2 (linear)"]
    check_recipe(cfg)


def test_it_is_fitted_once(declared, tmp_path):
    cfg = declared()
    finetune_defaults(cfg, 300)
    settle_recipe(cfg, 300)
    (tmp_path / "config.yaml").write_text(cfg.dump())
    again = load_config(tmp_path / "config.yaml")
    assert finetune_defaults(again, 300) + settle_recipe(again, 300) == []
    assert again.SOLVER == cfg.SOLVER


def test_from_a_backbone_it_takes_three_times_as_long(declared):
    cfg = declared(weights="detectron2://ImageNetPretrained/MSRA/R-50.pkl")
    (_, line) = finetune_defaults(cfg, 300)
    assert cfg.SOLVER.MAX_ITER == 36 * 300 / 2
    assert "of a backbone" in line


def test_never_more_images_than_the_recipe_has(declared):
    cfg = declared()
    finetune_defaults(cfg, 10**7)
    assert cfg.SOLVER.MAX_ITER == 270_000 * 16 // 2
    cfg = declared("model_zoo://Cityscapes/mask_rcnn_R_50_FPN.yaml")
    finetune_defaults(cfg, 10**7)
    assert cfg.SOLVER.MAX_ITER == 24_000 * 8 // 2


@pytest.mark.parametrize(
    ("device", "processes", "batch"),
    [("cpu", 1, 2), ("cpu", 4, 4), ("cuda", 1, 2), ("cuda", 3, 6), ("cuda", 4, 8), ("cuda", 8, 16)],
)
def test_the_batch_is_the_devices_share(declared, device, processes, batch):
    cfg = declared()
    cfg.MODEL.DEVICE = device
    finetune_defaults(cfg, 300, processes=processes)
    share = processes if device == "cpu" else 16 * processes // 8
    assert cfg.SOLVER.IMS_PER_BATCH == max(2, share) == batch
    settle_recipe(cfg, 300)
    assert pytest.approx(0.02 * batch / 16) == cfg.SOLVER.BASE_LR


def test_the_batch_is_never_raised(declared):
    cfg = declared()
    cfg.MODEL.DEVICE = "cuda"
    finetune_defaults(cfg, 300, processes=16)
    assert cfg.SOLVER.IMS_PER_BATCH == 16


@pytest.mark.parametrize("given", [("SOLVER.MAX_ITER", "500"), ("SOLVER.EPOCHS", "3"), ("SOLVER.STEPS", "(9,)")])
def test_a_schedule_that_was_given_stays(declared, given):
    cfg = declared(overrides=given)
    before = cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.SOLVER.WARMUP_ITERS
    (line,) = finetune_defaults(cfg, 300, given)
    assert before == (cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.SOLVER.WARMUP_ITERS)
    assert "batches of 2" in line


def test_a_batch_and_a_warmup_that_were_given_stay(declared):
    given = ("SOLVER.IMS_PER_BATCH", "4", "SOLVER.WARMUP_ITERS", "77")
    cfg = declared(overrides=given)
    finetune_defaults(cfg, 3000, given)
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS) == (4, 12 * 3000 / 4, 77)


@pytest.mark.parametrize("key", ["MAX_ITER", "STEPS", "IMS_PER_BATCH"])
def test_a_config_of_the_users_own_stays(declared, key):
    cfg = declared()
    cfg.SOLVER[key] = {"MAX_ITER": 500, "STEPS": (400,), "IMS_PER_BATCH": 4}[key]
    before = cfg.dump()
    assert finetune_defaults(cfg, 300) == []
    assert cfg.dump() == before


def test_recipes_made_for_finetuning_and_other_data_sets_stay(declared):
    for cfg in (declared("configs/finetune/mask_rcnn_R_50_FPN.yaml"), load_config(ZOO)):
        before = cfg.dump()
        assert finetune_defaults(cfg, 300) == []
        assert cfg.dump() == before


def test_without_weights_the_schedule_stays(declared):
    cfg = declared(weights="")
    assert len(finetune_defaults(cfg, 300)) == 1
    assert cfg.SOLVER.MAX_ITER == 270_000


@pytest.mark.parametrize(
    "name",
    [
        "COCO-Detection/retinanet_R_50_FPN_1x.yaml",
        "COCO-PanopticSegmentation/panoptic_fpn_R_50_3x.yaml",
        "LVISv1-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml",
        "Cityscapes/mask_rcnn_R_50_FPN.yaml",
        "PascalVOC-Detection/faster_rcnn_R_50_FPN.yaml",
        "Misc/scratch_mask_rcnn_R_50_FPN_9x_gn.yaml",
        "Misc/cascade_mask_rcnn_X_152_32x8d_FPN_IN5k_gn_dconv.yaml",
        "Misc/panoptic_fpn_R_101_dconv_cascade_gn_3x.yaml",
    ],
)
def test_the_zoos_recipes_are_known(name):
    solver = load_config(f"model_zoo://{name}").SOLVER
    own = (solver.MAX_ITER, tuple(solver.STEPS), solver.IMS_PER_BATCH)
    known = {(z.max_iter, z.steps, z.batch): z.rates for z in recipe._ZOO_SCHEDULES}
    assert solver.BASE_LR in known[own]


def test_a_real_declaration(small_shapes, tmp_path, monkeypatch):
    from thingstuff.data.declared.declare import declare

    monkeypatch.setenv("THINGSTUFF_CACHE", str(tmp_path / "cache"))
    text = {
        "root": str(small_shapes),
        "splits": ["train"],
        "images": "{split}",
        "instances": {"format": "coco", "annotations": "annotations/instances_{split}.json"},
    }
    path = tmp_path / "recipe_of_shapes.yaml"
    path.write_text(json.dumps(text))
    cfg = cfg_with("configs/coco/mask_rcnn_R_50_FPN_3x.yaml")
    declare(cfg, [path])
    assert len(finetune_defaults(cfg, 8)) == 2
    settle_recipe(cfg, 8)
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER) == (2, 1000)
    assert pytest.approx(0.02 * 2 / 16) == cfg.SOLVER.BASE_LR
