"""`tools/train_net.py`: a run from config to files, and every mistake in one line with nothing lost."""

import errno
import json

import pytest
import torch
from helpers import TINY, assert_one_line

RECIPE = "thingstuff://shapes/mask_rcnn.yaml"


@pytest.fixture(scope="module")
def trained(small_shapes, tmp_path_factory):
    """The folder of a run of two steps, and what it printed."""
    import contextlib
    import io

    from thingstuff.cli.train_net import main

    folder = tmp_path_factory.mktemp("trained") / "run"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main(["--config-file", RECIPE, *TINY, "OUTPUT_DIR", str(folder)])
    assert code == 0
    return folder, printed.getvalue()


def test_a_run_leaves_its_files_and_says_where(trained):
    folder, printed = trained
    for name in ("model_final.pth", "results.json", "metrics.json", "pictures.png", "config.yaml", "log.txt"):
        assert (folder / name).stat().st_size > 0, name
    for name in ("model_final.pth", "results.json", "pictures.png", "metrics.json"):
        assert str(folder / name) in printed
    results = json.loads((folder / "results.json").read_text())["results"]["shapes_val"]
    assert {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"} <= set(
        results["segm"]
    )
    assert "AP of heart" in printed
    assert "Environment info" in (folder / "log.txt").read_text()


def test_eval_only_repeats_the_numbers_and_keeps_the_training(trained, run_tool, tmp_path):
    folder, printed = trained
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    code, out, _ = run_tool(
        *("train_net", "--config-file", RECIPE, "--eval-only", *TINY, "OUTPUT_DIR", folder),
        *("MODEL.WEIGHTS", folder / "model_final.pth"),
    )
    assert code == 0
    table = [line for line in printed.splitlines() if line.startswith(("AP", "AR"))]
    assert table
    assert [line for line in out.splitlines() if line.startswith(("AP", "AR"))] == table
    trained_results = json.loads((folder / "results.json").read_text())["results"]
    assert json.loads((folder / "inference/results.json").read_text())["results"] == trained_results
    for name, content in before.items():
        if name != "log.txt":
            assert (folder / name).read_bytes() == content, name


def test_resume_goes_on_where_the_run_stopped(trained, run_tool, tmp_path):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder)
    more = [*TINY, "SOLVER.MAX_ITER", "4"]
    code, out, _ = run_tool("train_net", "--config-file", RECIPE, "--resume", *more, "OUTPUT_DIR", folder)
    assert code == 0
    assert "steps 3 to 4" in out
    checkpoint = torch.load(folder / "model_final.pth", weights_only=True)
    assert checkpoint["iteration"] == 3


def test_a_new_run_moves_an_earlier_one_aside(trained, run_tool, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model_final.pth").write_text("precious")
    (folder / "results.json").write_text("{}")
    code, out, _ = run_tool("train_net", "--config-file", RECIPE, *TINY, "OUTPUT_DIR", folder)
    assert code == 0
    assert (tmp_path / "run.earlier/model_final.pth").read_text() == "precious"
    assert "run.earlier" in out
    run_tool("train_net", "--config-file", RECIPE, *TINY, "TEST.PICTURES", "0", "OUTPUT_DIR", folder)
    assert (tmp_path / "run.earlier/model_final.pth").read_text() == "precious"
    assert (tmp_path / "run.earlier-2/model_final.pth").is_file()


def test_seeds_give_mean_and_spread(run_tool, small_shapes, tmp_path):
    code, out, _ = run_tool(
        *("train_net", "--config-file", RECIPE, "--seeds", "0,1", *TINY),
        *("SOLVER.MAX_ITER", "1", "TEST.PICTURES", "0", "OUTPUT_DIR", tmp_path),
    )
    assert code == 0
    assert "mask_ap" in out
    assert "std" in out
    repeats = json.loads((tmp_path / "repeats.json").read_text())["shapes_val"]["mask_ap"]
    runs = [json.loads((tmp_path / f"seed_{s}/results.json").read_text()) for s in (0, 1)]
    values = [run["results"]["shapes_val"]["segm"]["AP"] for run in runs]
    assert list(repeats["by_seed"].values()) == values
    assert repeats["mean"] == pytest.approx(sum(values) / 2)
    assert [run["seed"] for run in runs] == [0, 1]


def test_semantic_model_trains_and_prints_miou(run_tool, small_shapes, tmp_path):
    code, out, _ = run_tool(
        *("train_net", "--config-file", "thingstuff://shapes/semantic.yaml", *TINY),
        *("SOLVER.MAX_ITER", "1", "OUTPUT_DIR", tmp_path),
    )
    assert code == 0
    assert "mean IoU" in out
    assert "IoU of water" in out
    assert "AP @" not in out


def test_same_seed_same_weights(small_shapes, tiny_cfg, tmp_path):
    from thingstuff.engine.run import train

    states = []
    for name in ("a", "b"):
        cfg = tiny_cfg("shapes/mask_rcnn.yaml", "OUTPUT_DIR", str(tmp_path / name), "TEST.PICTURES", "0")
        cfg.DATASETS.TEST = ()
        states.append(train(cfg).state_dict())
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())


# ---- bad input ---------------------------------------------------------------------------------------------------


@pytest.fixture
def earlier(tmp_path):
    """An output folder with an earlier run; afterwards it must be as it was."""
    folder = tmp_path / "earlier"
    folder.mkdir()
    for name in ("model_final.pth", "metrics.json", "results.json", "log.txt", "config.yaml"):
        (folder / name).write_text(f"earlier {name}")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    yield folder
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def damaged(tmp_path, kind):
    path = tmp_path / f"{kind}.pth"
    if kind == "truncated":
        torch.save({"model": {"a": torch.ones(1000)}}, path)
        path.write_bytes(path.read_bytes()[:500])
    elif kind == "foreign":
        torch.save({"model": {f"transformer.{i}": torch.ones(2) for i in range(9)}}, path)
    return path


@pytest.mark.parametrize("eval_only", [False, True])
@pytest.mark.parametrize(
    ("kind", "said"), [("missing", "no weights at"), ("truncated", "damaged"), ("foreign", "another model")]
)
def test_bad_weights(run_tool, small_shapes, earlier, tmp_path, kind, said, eval_only):
    flags = ["--eval-only"] if eval_only else []
    weights = damaged(tmp_path, kind)
    code, _, err = run_tool(
        *("train_net", "--config-file", RECIPE, *flags, *TINY, "OUTPUT_DIR", earlier, "MODEL.WEIGHTS", weights)
    )
    assert code == 2
    assert_one_line(err, said, weights.name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config-file", "nowhere/x.yaml"], "no config file nowhere/x.yaml"),
        (["--config-file", RECIPE, "SOLVER.MAXITER", "3"], "did you mean SOLVER.MAX_ITER"),
        (["--config-file", RECIPE, "SEED"], "no partner"),
        (["--config-file", RECIPE, "DATASETS.TRAIN", "('shapes_trian',)"], "did you mean shapes_train"),
        (["--config-file", RECIPE, "DATASETS.TRAIN", "('coco_2017_train',)"], "there is no json_file"),
        (["--config-file", RECIPE, "DATASETS.TRAIN", "()"], "nothing to train on"),
        (["--config-file", RECIPE, "--num-gpus", "64"], "--num-gpus 64 was asked for"),
        (["--config-file", RECIPE, "--num-machines", "2", "MODEL.DEVICE", "cpu"], "2 machines"),
        (["--config-file", RECIPE, "MODEL.DEVICE", "abacus"], "cannot compute on the device abacus"),
        (["--config-file", "model_zoo://new_baselines/x.py"], "--allow-python-config"),
        (["--config-file", "tests"], "tests is a folder"),
        (
            ["--config-file", RECIPE, "MODEL.ROI_HEADS.NUM_CLASSES", "3"],
            "has 6 classes, but MODEL.ROI_HEADS.NUM_CLASSES",
        ),
        (["--config-file", RECIPE, "INPUT.MASK_FORMAT", "polygon"], "set INPUT.MASK_FORMAT bitmask"),
        (["--config-file", RECIPE, "MODEL.META_ARCHITECTURE", "GeneralisedRCNN"], "META_ARCH"),
        (["--config-file", RECIPE, "SOLVER.MAX_ITER", "-5"], "SOLVER.MAX_ITER is -5"),
        (["--config-file", RECIPE, "SOLVER.IMS_PER_BATCH", "0"], "SOLVER.IMS_PER_BATCH is 0"),
        (["--config-file", RECIPE, "SOLVER.MAX_ITER", "ten"], "expected a whole number such as"),
        (["--config-file", RECIPE, "SOLVER.MAX_ITER=3"], "write SOLVER.MAX_ITER 3 with a space"),
        (["--config-file", RECIPE, "--seeds", "0,1", "DATASETS.TEST", "()"], "nothing to compare the seeds by"),
        (["--config-file", RECIPE, "SOLVER.OPTIMIZER", "LION"], "expected one of SGD, ADAMW"),
    ],
)
def test_mistakes_end_in_one_line_and_touch_nothing(run_tool, small_shapes, earlier, arguments, said):
    more = [] if arguments[-1] == "SEED" or "=" in arguments[-1] else ["OUTPUT_DIR", earlier]
    flags = [a for a in arguments if a.startswith("--")]
    head = arguments[: 2 * len(flags)]
    code, _, err = run_tool("train_net", *head, *more, *arguments[len(head) :])
    assert code == 2
    assert_one_line(err, said)


def test_seeds_without_training_are_refused(run_tool, small_shapes):
    code, _, err = run_tool(
        "train_net", "--config-file", RECIPE, "--eval-only", "--seeds", "0,1", "MODEL.DEVICE", "cpu"
    )
    assert code == 2
    assert_one_line(err, "--eval-only or SOLVER.MAX_ITER 0 trains nothing")


def test_python_tag_in_a_config(run_tool, tmp_path):
    (tmp_path / "evil.yaml").write_text("SEED: !!python/object/apply:os.getpid []\n")
    code, _, err = run_tool("train_net", "--config-file", tmp_path / "evil.yaml")
    assert code == 2
    assert_one_line(err, "evil.yaml, line 1", "python tag")


def test_output_folder_that_cannot_be_made(run_tool, small_shapes, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    code, _, err = run_tool("train_net", "--config-file", RECIPE, *TINY, "OUTPUT_DIR", tmp_path / "file/run")
    assert code == 2
    assert_one_line(err, "cannot write to OUTPUT_DIR")


def test_full_disk_is_one_line_and_leaves_no_half_file(run_tool, small_shapes, tmp_path, monkeypatch):
    def full(data, file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "run/model_final.pth"))

    monkeypatch.setattr(torch, "save", full)
    code, _, err = run_tool("train_net", "--config-file", RECIPE, *TINY, "OUTPUT_DIR", tmp_path / "run")
    assert code == 2
    assert_one_line(err, "the disk is full", "model_final.pth")
    assert not [p for p in (tmp_path / "run").iterdir() if p.suffix == ".pth" or p.name.endswith(".tmp")]


def test_debug_shows_the_traceback(tmp_path):
    from thingstuff.cli.train_net import main
    from thingstuff.errors import ConfigError

    with pytest.raises(ConfigError):
        main(["--debug", "--config-file", str(tmp_path / "none.yaml")])


@pytest.mark.parametrize("text", ["0,x", "", "1,1", "-1"])
def test_odd_seeds_are_refused(run_tool, text):
    code, _, err = run_tool("train_net", f"--seeds={text}", "--config-file", RECIPE)
    assert code == 2
    assert "--seeds" in err


def test_python_config_trains_when_allowed(run_tool, small_shapes, tmp_path):
    import detectron2.config
    from detectron2 import model_zoo

    assert model_zoo is not None
    assert detectron2.config is not None
    path = tmp_path / "lazy.py"
    path.write_text(LAZY)
    code, out, err = run_tool(
        *("train_net", "--config-file", path, "--allow-python-config"),
        *(f"train.output_dir={tmp_path / 'run'}", "train.max_iter=1", "train.device=cpu"),
    )
    assert code == 0, err
    assert "percent" in out
    assert (tmp_path / "run/model_final.pth").is_file()


LAZY = """
from detectron2.config import LazyCall as L
from detectron2.evaluation import COCOEvaluator
from detectron2.model_zoo import get_config

common = "common/"
model = get_config(common + "models/mask_rcnn_fpn.py").model
model.backbone.bottom_up.stages.depth = 50
model.roi_heads.num_classes = 6
model.proposal_generator.post_nms_topk = (20, 10)
train = get_config(common + "train.py").train
train.init_checkpoint = ""
optimizer = get_config(common + "optim.py").SGD
lr_multiplier = get_config(common + "coco_schedule.py").lr_multiplier_1x
dataloader = get_config(common + "data/coco.py").dataloader
dataloader.train.dataset.names = "shapes_train"
dataloader.train.total_batch_size = 1
dataloader.train.num_workers = 0
dataloader.train.mapper.instance_mask_format = "bitmask"
dataloader.train.mapper.augmentations = []
dataloader.test.dataset.names = "shapes_val"
dataloader.test.num_workers = 0
dataloader.test.mapper.augmentations = []
dataloader.evaluator = L(COCOEvaluator)(dataset_name="shapes_val", output_dir=None)
"""
