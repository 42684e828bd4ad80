"""Imports run one way, and the light half of the toolkit stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "thingstuff"
LEVEL = {
    "errors": 0,
    "files": 0,
    "cores": 0,
    "console": 0,
    "progress": 1,
    "structures": 1,
    "merge": 2,
    "evaluation": 2,
    "store": 2,
    "config": 3,
    "data": 4,
    "modeling": 4,
    "engine": 5,
    "report": 6,
    "benchmark": 7,
    "cli": 8,
}
NUMPY_ONLY = ("errors", "files", "cores", "console", "progress", "structures", "merge", "evaluation", "store")
HEAVY = {"torch", "torchvision", "detectron2", "fvcore"}
FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name"
            names.add(node.module)
    return names


def test_every_part_has_a_level():
    assert {part_of(path) for path in FILES} - {"__init__"} <= set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    own = part_of(path)
    if own == "__init__":
        return
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "thingstuff" and len(parts) > 1 and parts[1] != own:
            assert LEVEL[parts[1]] < LEVEL[own], f"{path} imports {name}"


@pytest.mark.parametrize("path", [p for p in FILES if part_of(p) in NUMPY_ONLY], ids=lambda p: p.name)
def test_plain_data_needs_no_torch(path):
    assert not {name.split(".")[0] for name in imported(path)} & HEAVY


def test_detectron2_comes_after_its_mends():
    """A package whose files import Detectron2 imports `thingstuff.config` in its `__init__`, which runs first."""
    for path in FILES:
        part = part_of(path)
        at_top = {n for n in imported(path) if n.split(".")[0] in ("detectron2", "fvcore")}
        if at_top and part not in ("config", "cli"):
            assert "thingstuff.config" in imported(PACKAGE / part / "__init__.py"), f"{path} imports {sorted(at_top)}"


@pytest.mark.parametrize(
    "module",
    [f"thingstuff{part}" for part in ("", ".structures", ".merge", ".evaluation", ".store.exports", ".config")],
)
def test_light_imports_load_nothing_heavy(module):
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""
