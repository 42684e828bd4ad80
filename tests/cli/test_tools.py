"""The scripts in tools/ and the one command `thingstuff`: quick help, clear refusals, the same commands in both."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers import ROOT, assert_one_line

from thingstuff.cli.doctor import BAD, OK, examine, pair_finding
from thingstuff.cli.main import COMMANDS
from thingstuff.errors import SetupError

TOOLS = sorted((ROOT / "tools").glob("*.py"))
SCRIPTS = [*TOOLS, *sorted((ROOT / "projects").glob("*/*.py"))]


def test_tools_and_subcommands_are_the_same():
    assert {p.stem for p in TOOLS} == set(COMMANDS)
    assert all(os.access(p, os.X_OK) for p in TOOLS)


@pytest.mark.parametrize("tool", SCRIPTS, ids=lambda p: p.stem)
def test_help_loads_nothing_heavy(tool):
    """What makes `--help` slow is importing torch; it is checked for itself, since a clock would say little here."""
    code = f"""
import runpy, sys
sys.argv = [{str(tool)!r}, "--help"]
try:
    runpy.run_path({str(tool)!r}, run_name="__main__")
except SystemExit as stop:
    code = stop.code
print("heavy:", sorted({{"torch", "detectron2", "torchvision", "matplotlib"}} & set(sys.modules)), code)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "usage:" in answer.stdout
    assert answer.stdout.strip().endswith("heavy: [] 0")


@pytest.mark.parametrize("tool", SCRIPTS, ids=lambda p: p.stem)
def test_a_bare_python_has_help_or_a_line_that_says_what_is_missing(tool):
    answer = subprocess.run([sys.executable, "-S", tool, "--help"], capture_output=True, text=True)
    if answer.returncode == 0:
        assert "usage:" in answer.stdout
    else:
        assert answer.returncode == 2
        assert_one_line(answer.stderr, "is not installed for this Python: run make setup")


def test_thingstuff_lists_and_refuses(run_tool):
    code, out, _ = run_tool("main", "--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)
    code, _, err = run_tool("main", "trian_net")
    assert code == 2
    assert_one_line(err, "no command trian_net")
    assert run_tool("main", "train-net", "--help")[0] == 0


def test_dataset_shapes_prints_its_statistics(run_tool, small_shapes):
    code, out, _ = run_tool("dataset", "shapes")
    assert code == 0
    assert "6 images of 160 x 160 px" in out
    assert "partly hidden" in out


# ---- doctor ------------------------------------------------------------------------------------------------------


def test_doctor_is_content_with_this_installation(run_tool):
    code, out, _ = run_tool("doctor")
    assert code == 0, out
    assert "everything works" in out
    assert "detectron2" in out


@pytest.mark.parametrize(
    ("torch", "vision", "state"),
    [("2.14.1", "0.29.1", OK), ("2.11.0", "0.26.0", OK), ("2.14.1", "0.26.0", BAD), ("9.9.0", "0.1.0", "note")],
)
def test_doctor_knows_which_versions_belong_together(torch, vision, state):
    assert pair_finding(torch, vision).state == state


def test_doctor_names_what_is_missing_and_how_to_mend_it(monkeypatch):
    import thingstuff.cli.doctor as doctor

    version = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "hotcoco" else version(name))
    missing = [f for f in examine() if f.state == BAD]
    assert [(f.what, f.mend) for f in missing] == [("hotcoco", "pip install hotcoco")]


def test_a_check_that_fails_is_a_finding(monkeypatch):
    import thingstuff.cli.doctor as doctor

    def broken():
        raise RuntimeError("the driver is on fire")

    monkeypatch.setattr(doctor, "_gpu", broken)
    assert any(f.state == BAD and "on fire" in f.found for f in examine())


# ---- installing Detectron2 ---------------------------------------------------------------------------------------


@pytest.fixture
def source_wheel(tmp_path, monkeypatch):
    """A wheel laid out like the real one, and taken for it."""
    import hashlib

    import thingstuff.cli.install_detectron2 as command

    path = tmp_path / "sal_detectron2-0.7.2-cp310-none-any.whl"
    info = "sal_detectron2-0.7.2.dist-info"
    metadata = (
        "Metadata-Version: 2.1\nName: sal-detectron2\nVersion: 0.7.2\nSummary: other\n"
        "Requires-Dist: numpy<2\nRequires-Dist: tqdm\n"
    )
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("detectron2/__init__.py", "__version__ = '0.7.2'\n")
        wheel.writestr("detectron2/_C.cpython-310-x86_64-linux-gnu.so", "binary")
        wheel.writestr("tools/__init__.py", "")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/LICENSE", "Apache")
        wheel.writestr(f"{info}/WHEEL", "Tag: cp310-cp310-linux_x86_64\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setattr(command, "SOURCE_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_repacked_wheel_holds_detectron2_alone(source_wheel, tmp_path, run_tool):
    code, out, _ = run_tool("install_detectron2", "--wheel", source_wheel, "--output", tmp_path / "out")
    assert code == 0
    (wheel,) = (tmp_path / "out").glob("*.whl")
    assert str(wheel) in out
    assert wheel.name.startswith("detectron2-")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        info = next(n for n in names if n.endswith("METADATA")).rpartition("/")[0]
        metadata = content.read(f"{info}/METADATA").decode()
        record = content.read(f"{info}/RECORD").decode()
    assert [n for n in names if not n.startswith(info)] == ["detectron2/__init__.py"]
    assert "Name: detectron2\n" in metadata
    assert "numpy<2" not in metadata
    assert all(f"{name}," in record for name in names)


def test_repacking_gives_the_same_file_every_time(source_wheel, tmp_path):
    from thingstuff.cli.install_detectron2 import repack

    one, two = repack(source_wheel, tmp_path / "1"), repack(source_wheel, tmp_path / "2")
    assert one.read_bytes() == two.read_bytes()


def test_pip_installs_the_repacked_wheel(source_wheel, tmp_path):
    from thingstuff.cli.install_detectron2 import repack

    wheel = repack(source_wheel, tmp_path / "out")
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(command, check=True, capture_output=True)
    assert (target / "detectron2/__init__.py").is_file()


def test_wrong_hash_is_refused(source_wheel, run_tool):
    with source_wheel.open("ab") as file:
        file.write(b"x")
    code, _, err = run_tool("install_detectron2", "--force", "--wheel", source_wheel)
    assert code == 2
    assert_one_line(err, "SHA-256", source_wheel.name)


def test_missing_wheel_is_named(run_tool):
    code, _, err = run_tool("install_detectron2", "--force", "--wheel", "nowhere.whl")
    assert code == 2
    assert_one_line(err, "no such wheel: nowhere.whl")


def test_no_registry_is_one_line(run_tool, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    code, _, err = run_tool("install_detectron2", "--force")
    assert code == 2
    assert_one_line(err, "could not download sal-detectron2==0.7.2", "registry")


def test_old_python_is_refused():
    from thingstuff.cli.install_detectron2 import _refuse_old_python

    with pytest.raises(SetupError, match=r"Python 3\.10 is too old"):
        _refuse_old_python((3, 10))


def test_a_detectron2_that_imports_is_kept(run_tool):
    code, out, _ = run_tool("install_detectron2")
    assert code == 0
    assert out.startswith("keeping the Detectron2 that is already here: detectron2")


def test_an_installed_wheel_brings_its_recipes(tmp_path):
    """`thingstuff://` must find its files where there is no checkout."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        ROOT,
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(tmp_path / "site")
    code = "from thingstuff.config.locate import config_path; print(config_path('thingstuff://shapes/mask_rcnn.yaml'))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert Path(answer.stdout.strip()) == tmp_path / "site/thingstuff/configs/shapes/mask_rcnn.yaml"
