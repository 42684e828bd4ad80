"""Two processes that train together, started by torchrun on CPUs and by Detectron2's launcher."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import ROOT, TINY

pytestmark = pytest.mark.slow

PLAIN = ("MODEL.CHANNELS_LAST", "False", "SOLVER.AMP.ENABLED", "False")  # no rounding but that of the sum


def average_gradients(folder):
    """What each process runs: one update on its own batch, with gradients exchanged; then its parts alone."""
    from detectron2.modeling import build_model
    from detectron2.utils import comm
    from detectron2.utils.env import seed_all_rng
    from detectron2.utils.events import EventStorage

    from thingstuff.config import load_config
    from thingstuff.data.catalog import require_datasets
    from thingstuff.engine.training.precision import Precision
    from thingstuff.engine.training.trainer import Trainer
    from thingstuff.engine.training.update import Update

    require_datasets(["shapes_train", "shapes_val"])
    cfg = load_config(
        "thingstuff://shapes/mask_rcnn.yaml", [*TINY, "SOLVER.IMS_PER_BATCH", "4", *PLAIN, "OUTPUT_DIR", folder]
    )
    trainer = Trainer(cfg)
    rank, model = comm.get_rank(), trainer.model
    batches = trainer._next_batches()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    seed_all_rng(10 + rank)
    with EventStorage():
        Update(model, optimizer, 1, Precision(None, "cpu"))(iter(batches))
    together = {name: p.grad.clone() for name, p in model.module.named_parameters() if p.grad is not None}
    alone = build_model(cfg).train()
    alone.load_state_dict(before)
    seed_all_rng(10 + rank)
    with EventStorage():
        sum(alone(batches[0]).values()).backward()
    own = {name: p.grad.clone() for name, p in alone.named_parameters() if p.grad is not None}
    names = [sample["file_name"] for sample in batches[0]]
    torch.save({"together": together, "own": own, "names": names}, Path(folder, f"rank{rank}.pth"))


def test_gradients_are_the_mean_over_processes(small_shapes, tmp_path):
    from detectron2.engine import launch

    launch(average_gradients, 2, dist_url="auto", args=(str(tmp_path),))
    one, other = (torch.load(tmp_path / f"rank{rank}.pth", weights_only=True) for rank in (0, 1))
    assert not set(one["names"]) & set(other["names"])
    for name, gradient in one["together"].items():
        assert torch.equal(gradient, other["together"][name])
        expected = (one["own"][name] + other["own"][name]) / 2
        assert torch.allclose(gradient, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def torchrun(tmp_path, *arguments, restarts=0):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["--max-restarts", str(restarts), ROOT / "tools/train_net.py", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path, timeout=1200
    )


def test_torchrun_trains_evaluates_and_resumes(small_shapes, tmp_path):
    recipe = ("--config-file", "thingstuff://shapes/mask_rcnn.yaml")
    options = (*TINY, "SOLVER.CHECKPOINT_PERIOD", "2", "OUTPUT_DIR", tmp_path / "run")
    done = torchrun(tmp_path, *recipe, *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("results    ") == 1
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert "segm" in results["results"]["shapes_val"]
    done = torchrun(tmp_path, *recipe, "--resume", *options, "SOLVER.MAX_ITER", "4")
    assert done.returncode == 0, done.stderr[-3000:]
    state = torch.load(tmp_path / "run/model_final.pth", weights_only=True)
    assert state["trainer"]["iteration"] == 3
    assert len(state["trainer"]["rng"]) == 2


def test_a_restarted_group_goes_on(small_shapes, tmp_path):
    """One process ends itself once, behind a checkpoint; torchrun starts both anew."""
    (tmp_path / "fails_once.py").write_text(
        "import os, pathlib\n"
        "from thingstuff.engine.training.hooks.checkpoints import Checkpoints\n"
        "original = Checkpoints.after_step\n"
        "def after_step(self):\n"
        "    original(self)\n"
        f"    mark = pathlib.Path({str(tmp_path / 'failed')!r})\n"
        "    if self.trainer.iter == 1 and os.environ['RANK'] == '1' and not mark.exists():\n"
        "        mark.touch()\n"
        "        os._exit(9)\n"
        "Checkpoints.after_step = after_step\n"
    )
    options = (*TINY, "SOLVER.CHECKPOINT_PERIOD", "2", "SOLVER.MAX_ITER", "4", "OUTPUT_DIR", tmp_path / "run")
    arguments = ("--config-file", "thingstuff://shapes/mask_rcnn.yaml", *options, "IMPORTS", "['fails_once']")
    done = torchrun(tmp_path, *arguments, restarts=1)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "failed").exists()
    assert "steps 3 to 4" in (tmp_path / "run/log.txt").read_text()
