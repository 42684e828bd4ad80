"""Weights of a backbone and of a detector are told apart by their tensors."""

import pytest
import torch

from thingstuff.engine.weights.kind import is_of_backbone


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["stem.conv1.weight", "res2.0.conv1.weight"], True),
        (["backbone.bottom_up.res2.0.conv1.weight"], True),
        (["backbone.bottom_up.res2.0.conv1.weight", "proposal_generator.rpn_head.conv.weight"], False),
        (["res2.0.conv1.weight", "roi_heads.box_predictor.cls_score.weight"], False),
        (["model.0.conv.weight", "model.22.proto.cv1.conv.weight"], False),  # prototypes of masks
    ],
)
def test_by_their_names(tmp_path, names, expected):
    torch.save({"model": {name: torch.ones(1) for name in names}}, tmp_path / "weights.pth")
    assert is_of_backbone(str(tmp_path / "weights.pth")) is expected


def test_by_their_place_without_reading():
    assert is_of_backbone("detectron2://ImageNetPretrained/MSRA/R-50.pkl")


def test_a_file_that_cannot_be_read_is_refused_later(tmp_path):
    assert not is_of_backbone(str(tmp_path / "absent.pth"))
