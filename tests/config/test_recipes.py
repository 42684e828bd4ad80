"""Every recipe of configs/ loads, builds, and comes back from the file that a run writes of it."""

import pytest
from helpers import ROOT

from thingstuff.config import load_config

RECIPES = sorted(p for p in (ROOT / "configs").rglob("*.yaml") if p.parent.name != "base")


def plain(value):
    """YAML knows no tuples."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_builds_and_comes_back(recipe, tmp_path):
    from thingstuff.modeling.zoo_check import build_without_weights

    cfg = load_config(recipe)
    assert list(build_without_weights(cfg).parameters())
    (tmp_path / "config.yaml").write_text(cfg.dump())
    assert plain(load_config(tmp_path / "config.yaml")) == plain(cfg)
