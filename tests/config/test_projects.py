"""`PROJECT` in a config: a folder of projects/ whose package registers what the config names."""

import sys

import pytest

from thingstuff.config import load_config
from thingstuff.config.projects import project_names
from thingstuff.errors import ConfigError, SetupError


@pytest.fixture
def working_folder(tmp_path, monkeypatch):
    """With a project `Idea` in it; what it imports is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    package = tmp_path / "projects/Idea/idea_of_a_test"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("def add_idea_config(cfg):\n    cfg.MODEL.IDEA = 3\n")
    yield tmp_path
    sys.modules.pop("idea_of_a_test", None)


def test_the_keys_of_a_project_are_known(working_folder):
    (working_folder / "c.yaml").write_text("PROJECT: Idea\nMODEL:\n  IDEA: 5\n")
    cfg = load_config(working_folder / "c.yaml")
    assert (cfg.PROJECT, cfg.MODEL.IDEA) == ("Idea", 5)
    assert load_config(None, ["PROJECT", "Idea"]).MODEL.IDEA == 3
    assert "Idea" in project_names()


def test_a_base_may_name_it(working_folder):
    (working_folder / "base.yaml").write_text("PROJECT: Idea\n")
    (working_folder / "c.yaml").write_text("_BASE_: base.yaml\nMODEL:\n  IDEA: 7\n")
    assert load_config(working_folder / "c.yaml").MODEL.IDEA == 7


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("idea", "there is no PROJECT 'idea': did you mean Idea?"),
        ("Idee", "there is no PROJECT 'Idee': did you mean Idea?"),
        ("../Idea", "there is no PROJECT '../Idea': "),
        ("Xyz", r"there is no PROJECT 'Xyz': there are .*Idea"),
        ("5", "PROJECT is the name of a folder in projects/, got 5"),
    ],
)
def test_a_project_that_is_not_there(working_folder, name, message):
    with pytest.raises(ConfigError, match=message):
        load_config(None, ["PROJECT", name])


def test_the_keys_of_a_project_that_is_not_named_tell_its_name(working_folder):
    (working_folder / "c.yaml").write_text("MODEL:\n  IDEA: 5\n")
    with pytest.raises(ConfigError, match="there is no key MODEL.IDEA: the project of that name .*: add PROJECT: Idea"):
        load_config(working_folder / "c.yaml")


def test_a_folder_with_two_packages_is_refused(working_folder):
    second = working_folder / "projects/Idea/second"
    second.mkdir()
    (second / "__init__.py").write_text("")
    with pytest.raises(ConfigError, match="expected one package in .*Idea, got idea_of_a_test, second"):
        load_config(None, ["PROJECT", "Idea"])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("import no_such_package_anywhere", SetupError, "needs the package no_such_package_anywhere"),
        ("1 / 0", ConfigError, "PROJECT Idea fails when imported: ZeroDivisionError"),
        (
            "from thingstuff.errors import SetupError\nraise SetupError('use the extra x')",
            SetupError,
            "use the extra x",
        ),
    ],
)
def test_a_project_that_cannot_be_imported(working_folder, text, error, message):
    (working_folder / "projects/Idea/idea_of_a_test/__init__.py").write_text(text)
    with pytest.raises(error, match=message):
        load_config(None, ["PROJECT", "Idea"])
