"""Processes that train together, started by torchrun, of one agent or two, on CPUs, and by Detectron2's launcher."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
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


# ---- two agents --------------------------------------------------------------------------------------------------

RUNNING = (
    *(*TINY, "SOLVER.DETERMINISTIC", "True", "SOLVER.IMS_PER_BATCH", "4"),
    *("SOLVER.MAX_ITER", "8", "SOLVER.CHECKPOINT_PERIOD", "2"),
)
WAIT_S = 200  # torchrun waits 300 s for agents that are not there


class Agents:
    """torchrun's agents, each as on a machine of its own, with one rendezvous, which the first one holds."""

    def __init__(self, folder, options, nodes="2", resume=False):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._folder, self._nodes = folder, nodes
        self._options = (*(("--resume",) if resume else ()), *options)
        self.started = []
        self.start()
        wait_for(self._is_held)
        self.start()

    def start(self):
        words = [sys.executable, "-m", "torch.distributed.run", "--nnodes", self._nodes, "--nproc-per-node", "1"]
        words += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{self._port}", "--rdzv-id", "scale"]
        words += ["--rdzv-conf", "last_call_timeout=5", "--max-restarts", "3", ROOT / "tools/train_net.py"]
        words += ["--config-file", "thingstuff://shapes/mask_rcnn.yaml", *self._options]
        with (self._folder / f"agent{len(self.started)}.log").open("w") as log:
            variables = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
            self.started.append(subprocess.Popen(list(map(str, words)), stdout=log, stderr=log, env=variables))

    def _is_held(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def kill(self, number):
        """The agent alone: what it has started must end by itself."""
        self.started[number].kill()
        self.started[number].wait()

    def finish(self, *numbers):
        for number in numbers:
            code = self.started[number].wait(timeout=WAIT_S)
            assert code == 0, self.said(number)[-3000:]

    def said(self, number):
        return (self._folder / f"agent{number}.log").read_text()

    def stop(self, number=signal.SIGKILL):
        for agent in self.started:
            agent.send_signal(number)
        for agent in self.started:
            agent.wait(timeout=WAIT_S)


@pytest.fixture
def agents(small_shapes, tmp_path):
    """A function that starts two of them on a training into `tmp_path/run`; they end with the test."""
    begun = []

    def begin(*options, **how):
        folder = tmp_path / f"logs{len(begun)}"
        folder.mkdir()
        begun.append(Agents(folder, (*RUNNING, *options, "OUTPUT_DIR", tmp_path / "run"), **how))
        return begun[-1]

    yield begin
    for one in begun:
        one.stop()


@pytest.fixture(scope="module")
def straight(small_shapes, tmp_path_factory):
    """The outcome of 8 steps of two agents that nothing disturbs."""
    folder = tmp_path_factory.mktemp("straight")
    both = Agents(folder, (*RUNNING, "OUTPUT_DIR", folder / "run"))
    try:
        both.finish(0, 1)
    finally:
        both.stop()
    return outcome(folder / "run")


def wait_for(what):
    until = time.monotonic() + WAIT_S
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def outcome(run):
    """The numbers of the evaluation, and the weights."""
    state = torch.load(run / "model_final.pth", weights_only=True)
    assert state["trainer"]["iteration"] == 7
    return json.loads((run / "results.json").read_text())["results"], state["model"]


def assert_same_outcome(run, straight):
    results, weights = outcome(run)
    assert results == straight[0]
    assert weights.keys() == straight[1].keys()
    for name, value in weights.items():
        assert torch.equal(value, straight[1][name]), name


def went_on_behind(run, end=8):
    """How many steps were done whenever the training in a folder was gone on with."""
    assert not list(run.parent.glob("run-*"))  # where a training that begins anew would lie that lay here
    return [int(step) - 1 for step in re.findall(rf"steps (\d+) to {end}", (run / "log.txt").read_text())]


def test_an_agent_that_is_killed_and_replaced_changes_nothing(agents, straight, tmp_path):
    both = agents()
    wait_for((tmp_path / "run/model_0000003.pth").exists)
    both.kill(1)
    both.start()
    both.finish(0, 2)
    assert went_on_behind(tmp_path / "run") in ([4], [6])
    assert_same_outcome(tmp_path / "run", straight)


def test_a_time_limit_stops_both_agents_behind_the_same_step(agents, straight, tmp_path):
    """As SLURM gives notice of it. The step is none of those behind which a checkpoint is due."""
    period = ("SOLVER.CHECKPOINT_PERIOD", "3")
    both = agents(*period)
    wait_for((tmp_path / "run/model_0000002.pth").exists)
    both.stop(signal.SIGTERM)
    log = (tmp_path / "run/log.txt").read_text()
    done = int(re.search(r"stopped after (\d+) of 8 steps: go on with --resume", log).group(1))
    assert (tmp_path / f"run/model_{done - 1:07d}.pth").exists()
    agents(*period, resume=True).finish(0, 1)
    assert went_on_behind(tmp_path / "run") == [done]
    assert_same_outcome(tmp_path / "run", straight)


def test_where_one_agent_is_enough_it_goes_on_alone_until_another_one_comes(agents, tmp_path):
    both = agents("SOLVER.MAX_ITER", "30", nodes="1:2", resume=True)
    wait_for((tmp_path / "run/model_0000001.pth").exists)
    both.kill(1)
    wait_for((tmp_path / "run/model_0000005.pth").exists)
    both.start()
    both.finish(0, 2)
    assert torch.load(tmp_path / "run/model_final.pth", weights_only=True)["trainer"]["iteration"] == 29
    alone, together = went_on_behind(tmp_path / "run", 30)
    assert alone in (2, 4)
    assert together >= 6
