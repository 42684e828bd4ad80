"""Configs: YAML that cannot run code, `_BASE_` from three places, and answers to a misspelt key."""

import pytest
import yaml

from thingstuff.config import config_path, get_cfg, load_config, read_config
from thingstuff.config.safe_yaml import read_yaml
from thingstuff.errors import ConfigError


def write(folder, text, name="a.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_python_tag_is_refused_and_runs_nothing(tmp_path):
    proof = tmp_path / "ran"
    path = write(tmp_path, f'SEED: 1\nX: !!python/object/apply:os.system ["touch {proof}"]\n')
    with pytest.raises(ConfigError, match=r"a\.yaml, line 2: .*python tag"):
        load_config(path)
    assert not proof.exists()


def test_eval_tag_is_refused_unless_it_is_the_one_known_expression(tmp_path):
    path = write(tmp_path, 'X: !!python/object/apply:eval ["1 + 1"]\n')
    with pytest.raises(ConfigError, match="python"):
        read_yaml(path)
    sizes = load_config("model_zoo://Base-RetinaNet.yaml").MODEL.ANCHOR_GENERATOR.SIZES
    assert sizes == [[x, x * 2 ** (1 / 3), x * 2 ** (2 / 3)] for x in (32, 64, 128, 256, 512)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("MODEL: [1, 2\n", "line 2"),
        ("A: 1\nB: 2\nA: 3\n", "line 3: the key A stands twice"),
        ("just words\n", "expected `KEY: value` lines"),
        ("A: 1\n\tB: 2\n", "line 2"),
    ],
)
def test_broken_yaml_is_named_by_file_and_line(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read_yaml(write(tmp_path, text))
    assert "a.yaml" in str(caught.value)


def test_binary_file_and_missing_file_are_named(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a text file"):
        read_yaml(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match=r"no config file .*b\.yaml.*did you mean a\.yaml"):
        load_config(tmp_path / "b.yaml")


def test_base_is_relative_to_its_file_and_may_be_a_list(tmp_path):
    (tmp_path / "sub").mkdir()
    write(tmp_path, "SEED: 1\nSOLVER:\n  MAX_ITER: 5\n", "one.yaml")
    write(tmp_path, "SOLVER:\n  BASE_LR: 0.5\n", "two.yaml")
    top = write(tmp_path / "sub", "_BASE_: [../one.yaml, ../two.yaml]\nSOLVER:\n  MAX_ITER: 7\n")
    assert read_config(top) == {"SEED": 1, "SOLVER": {"MAX_ITER": 7, "BASE_LR": 0.5}}


def test_base_may_name_the_model_zoo(tmp_path):
    path = write(tmp_path, "_BASE_: model_zoo://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml\nSEED: 3\n")
    cfg = load_config(path)
    assert (cfg.MODEL.MASK_ON, cfg.SOLVER.MAX_ITER, cfg.SEED) == (True, 270000, 3)


def test_base_cycle_and_base_type_clash_are_refused(tmp_path):
    write(tmp_path, "_BASE_: b.yaml\n", "a.yaml")
    write(tmp_path, "_BASE_: a.yaml\n", "b.yaml")
    with pytest.raises(ConfigError, match=r"a\.yaml -> b\.yaml -> a\.yaml"):
        load_config(tmp_path / "a.yaml")
    write(tmp_path, "SOLVER: {MAX_ITER: 1}\n", "c.yaml")
    with pytest.raises(ConfigError, match="SOLVER is a group of keys"):
        load_config(write(tmp_path, "_BASE_: c.yaml\nSOLVER: 3\n", "d.yaml"))


def test_zoo_name_is_answered_with_the_nearest_and_cannot_leave_the_zoo():
    with pytest.raises(ConfigError, match="did you mean COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"):
        config_path("model_zoo://COCO-InstanceSegmentation/mask_rcnn_R50_FPN_3x.yaml")
    with pytest.raises(ConfigError, match="outside"):
        config_path("model_zoo://../model_zoo.py")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("MODEL.ROI_HEADS.NUM_CLASES", "MODEL.ROI_HEADS.NUM_CLASSES"),
        ("SOLVER.BASELR", "SOLVER.BASE_LR"),
        ("OUTPUTDIR", "OUTPUT_DIR"),
        ("SOLVER.IMS_PER_BACH", "SOLVER.IMS_PER_BATCH"),
    ],
)
def test_misspelt_key_is_answered_with_the_nearest(tmp_path, key, nearest):
    with pytest.raises(ConfigError, match=f"did you mean {nearest}"):
        load_config(None, [key, "1"])
    *groups, last = key.split(".")
    content = {last: 1}
    for group in reversed(groups):
        content = {group: content}
    with pytest.raises(ConfigError, match=f"a.yaml: there is no key {key}: did you mean {nearest}"):
        load_config(write(tmp_path, yaml.safe_dump(content)))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["SEED"], "no partner"),
        (["SEED", "abc"], "SEED abc"),
        (["MODEL.MASK_ON", "7"], "MODEL.MASK_ON 7"),
        (["--resume", "x"], "must stand before"),
    ],
)
def test_bad_overrides_are_one_clear_message(overrides, said):
    with pytest.raises(ConfigError, match=said):
        load_config(None, overrides)


def test_wrong_type_in_a_file_names_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"a\.yaml: .*MAX_ITER"):
        load_config(write(tmp_path, "SOLVER:\n  MAX_ITER: many\n"))


def test_our_keys_leave_detectron2s_meaning():
    from detectron2.config import get_cfg as original

    assert _common(get_cfg(), original()) == original()


def _common(ours, theirs):
    """`ours` without the keys that `theirs` lacks."""
    nested = isinstance(ours, dict)
    return type(ours)({k: _common(ours[k], theirs[k]) for k in ours if k in theirs}) if nested else ours


def test_imports_load_a_users_module_and_add_its_keys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_registrations.py").write_text(
        "seen = []\ndef add_my_config(cfg):\n    cfg.MY_KEY = 3\n    seen.append(1)\n"
    )
    cfg = load_config(write(tmp_path, "IMPORTS: [my_registrations]\nMY_KEY: 5\n"))
    assert cfg.MY_KEY == 5
    assert list(cfg.IMPORTS) == ["my_registrations"]
    assert load_config(None, ["IMPORTS", "['my_registrations']", "MY_KEY", "8"]).MY_KEY == 8


def test_detectron2_projects_are_imports():
    cfg = load_config(None, ["IMPORTS", "['detectron2.projects.point_rend']"])
    assert "POINT_HEAD" in cfg.MODEL


@pytest.mark.parametrize(("value", "said"), [("[no_such_module_here]", "no_such_module_here"), ("5", "list of module")])
def test_bad_imports_are_one_clear_message(tmp_path, value, said):
    with pytest.raises(ConfigError, match=said):
        load_config(write(tmp_path, f"IMPORTS: {value}\n"))


@pytest.mark.parametrize("body", ["raise RuntimeError('boom')", "def broken(:"])
def test_a_users_module_that_fails_is_named(tmp_path, monkeypatch, body):
    monkeypatch.chdir(tmp_path)
    name = f"failing_{len(body)}"
    (tmp_path / f"{name}.py").write_text(body)
    with pytest.raises(ConfigError, match=f"{name} fails when imported"):
        load_config(write(tmp_path, f"IMPORTS: [{name}]\n"))


def test_config_of_version_1_is_upgraded(tmp_path):
    cfg = load_config(write(tmp_path, 'VERSION: 1\nMODEL:\n  WEIGHT: "x.pkl"\n'))
    assert cfg.MODEL.WEIGHTS == "x.pkl"
