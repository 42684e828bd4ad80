"""Every instance, keypoint and panoptic model of the zoo trains a step and predicts."""

import pytest

from thingstuff.cli import zoo


# one test a kind: a test a model would load Detectron2 and 92 configs whenever tests are collected
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["instance", "keypoint", "panoptic"])
def test_all_models_of_a_kind_train_a_step_and_predict(kind, capsys):
    code = zoo.main(["--run", kind])
    lines = capsys.readouterr().out.splitlines()
    assert code == 0, [line for line in lines if line.startswith("FAILED")]
    assert len(lines) > 5
