"""What becomes of the tensors of a file in a model: the table, heads for other classes, and what is refused."""

import logging
import pickle

import pytest
import torch
from torch import nn

from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.engine.weights.fit import Fit
from thingstuff.engine.weights.fit_table import fit_table
from thingstuff.errors import WeightsError

MASK = "thingstuff://shapes/mask_rcnn.yaml"


def tree(shapes, value=0.0):
    """A module whose parameters have these names and shapes."""
    root = nn.Module()
    for name, shape in shapes.items():
        *path, last = name.split(".")
        module = root
        for part in path:
            if part not in module._modules:
                module.add_module(part, nn.Module())
            module = module._modules[part]
        module.register_parameter(last, nn.Parameter(torch.full(shape, value)))
    return root


def detector(classes, things=True, stuff=0, width=4):
    """The names of Detectron2's Mask R-CNN, and of its Panoptic FPN with `stuff`, with few layers."""
    shapes = {
        "backbone.bottom_up.stem.conv1.weight": (width, 3, 7, 7),
        "backbone.bottom_up.res2.0.conv1.weight": (width, width, 1, 1),
        "backbone.fpn_lateral2.weight": (width, width, 1, 1),
        "proposal_generator.rpn_head.conv.weight": (width, width, 3, 3),
    }
    if things:
        shapes |= {
            "roi_heads.box_head.fc1.weight": (8, width),
            "roi_heads.box_predictor.cls_score.weight": (classes + 1, 8),
            "roi_heads.box_predictor.cls_score.bias": (classes + 1,),
            "roi_heads.box_predictor.bbox_pred.weight": (4 * classes, 8),
            "roi_heads.mask_head.deconv.weight": (width, width, 2, 2),
            "roi_heads.mask_head.predictor.weight": (classes, width, 1, 1),
            "roi_heads.mask_head.predictor.bias": (classes,),
        }
    if stuff:
        shapes |= {"sem_seg_head.p2.0.weight": (width, width), "sem_seg_head.predictor.weight": (stuff, width, 1, 1)}
    return shapes


@pytest.fixture
def log(caplog, monkeypatch):
    """Messages, ours and those that Detectron2 and fvcore would show on a terminal."""
    for name in ("thingstuff", "detectron2", "fvcore"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    caplog.set_level(logging.INFO)

    def shown():
        ours = [r for r in caplog.records if r.name.startswith("thingstuff")]
        assert [r for r in caplog.records if r not in ours and r.levelno >= logging.WARNING] == []
        return [r.getMessage() for r in ours]

    return shown


def load(tmp_path, of_file, of_model, name="w.pth", **options):
    """A file full of ones into a model of zeros."""
    torch.save({"model": tree(of_file, 1.0).state_dict()}, tmp_path / name)
    model = tree(of_model)
    Checkpointer(model, **options).load(str(tmp_path / name))
    return model


def filled(model):
    return {name for name, value in model.state_dict().items() if value.eq(1).all()}


def rows_of(table):
    """First column, the four numbers, and the reason."""
    head, _, *lines = table.splitlines()
    edges = [head.index("part"), *(head.index(c) + len(c) for c in ("matched", "other shape", "not in file"))]
    ends = [*edges[1:], head.index("no place") + len("no place")]
    found = {}
    for line in lines:
        part = line.split("  ")[0]
        numbers = []
        for begin, end in zip([len(part), *ends[:-1]], ends, strict=True):
            numbers.append(int(line[begin:end].strip() or 0))
        found[part] = (*numbers, line[ends[-1] :].strip())
    return found


def table_in(messages):
    (message,) = [m for m in messages if m.startswith("weights from")]
    return rows_of(message.partition("\n")[2])


# ---- the table -----------------------------------------------------------------------------------------------------


def test_one_line_when_everything_fits(tmp_path, log):
    model = load(tmp_path, detector(3), detector(3))
    assert log() == [f"all {len(detector(3))} tensors of {tmp_path / 'w.pth'} fit this model"]
    assert filled(model) == set(detector(3))


def test_table_has_a_row_for_each_part(tmp_path, log):
    load(tmp_path, detector(80), detector(3, stuff=5), reinit_heads=True)
    words = "80 classes in the file, 3 in this model: starts anew"
    assert table_in(log()) == {
        "backbone.bottom_up": (2, 0, 0, 0, ""),
        "backbone.fpn": (1, 0, 0, 0, ""),
        "proposal_generator": (1, 0, 0, 0, ""),
        "roi_heads.box_head": (1, 0, 0, 0, ""),
        "roi_heads.box_predictor": (0, 3, 0, 0, words),
        "roi_heads.mask_head": (1, 2, 0, 0, words),
        "sem_seg_head": (0, 0, 2, 0, "not in the file: starts with fresh values"),
    }


def test_table_names_what_has_no_place(tmp_path, log):
    of_file = detector(3) | {"proposal_generator.extra.weight": (2,), "mask_tower.weight": (2,)}
    load(tmp_path, of_file, detector(3))
    rows = table_in(log())
    assert rows["proposal_generator"] == (1, 0, 0, 1, "this model has no proposal_generator.extra.weight")
    assert rows["mask_tower"] == (0, 0, 0, 1, "this model has no mask_tower")


def test_imagenet_weights_by_matching(tmp_path, log):
    """As the model zoo's R-50.pkl: Caffe2's names, a classifier, no head, no FPN."""
    blobs = {
        "conv1_w": torch.ones(4, 3, 7, 7).numpy(),
        "res2_0_branch2a_w": torch.ones(4, 4, 1, 1).numpy(),
        "fc1000_w": torch.ones(1000, 4).numpy(),
        "fc1000_b": torch.ones(1000).numpy(),
    }
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps({"blobs": blobs}))
    model = tree(detector(3))
    Checkpointer(model).load(str(tmp_path / "R-50.pkl"))
    assert filled(model) == {"backbone.bottom_up.stem.conv1.weight", "backbone.bottom_up.res2.0.conv1.weight"}
    rows = table_in(log())
    assert rows["backbone.bottom_up"] == (2, 0, 0, 0, "")
    assert rows["backbone.fpn"] == (0, 0, 1, 0, "not in the file: starts with fresh values")
    assert rows["fc1000"] == (0, 0, 0, 2, "the ImageNet classifier")


def test_old_files_hold_pixel_means_and_anchors(tmp_path, log):
    more = {
        "pixel_mean": (3, 1, 1),
        "pixel_std": (3, 1, 1),
        "proposal_generator.anchor_generator.cell_anchors.0": (3, 4),
    }
    load(tmp_path, detector(3) | more, detector(3))
    assert log() == [f"all {len(detector(3))} tensors of {tmp_path / 'w.pth'} fit this model"]


def test_weights_of_several_gpus_lose_their_prefix(tmp_path, log):
    load(tmp_path, {f"module.{name}": shape for name, shape in detector(3).items()}, detector(3))
    assert "fit this model" in log()[0]


def test_a_weight_under_two_names_is_there_if_one_is(tmp_path):
    model = tree({"a.weight": (2,), "b.weight": (2,)})
    model.b.weight = model.a.weight
    torch.save({"model": {"a.weight": torch.ones(2)}}, tmp_path / "w.pth")
    Checkpointer(model, whole_model=True).load(str(tmp_path / "w.pth"))
    assert model.b.weight.tolist() == [1, 1]


def test_versions_of_modules_reach_them(tmp_path):
    """Detectron2's layers translate older files by the version that PyTorch keeps beside the names."""

    class Versioned(nn.Linear):
        _version = 7

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
            self.seen = local_metadata.get("version")
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    model = nn.Sequential(Versioned(2, 2))
    torch.save({"model": model.state_dict()}, tmp_path / "w.pth")
    Checkpointer(model).load(str(tmp_path / "w.pth"))
    assert model[0].seen == 7


def test_empty_model_gives_an_empty_table():
    assert len(fit_table(Fit.by_name("w", {}, nn.Module())).splitlines()) == 2


# ---- heads for other classes ---------------------------------------------------------------------------------------


def test_a_head_of_the_same_name_in_another_model_is_told_apart(tmp_path):
    shared = {"backbone.conv.weight": (4, 4), "backbone.other.weight": (4, 4)}
    ours = {**shared, "head.cls_score.weight": (6, 4), "head.kernel.weight": (8, 4)}
    theirs = {**shared, "head.cls_score.weight": (21, 4), "head.mask_coef.weight": (5, 4), "protonet.weight": (5, 4)}
    with pytest.raises(WeightsError) as caught:
        load(tmp_path, theirs, ours)
    assert "has other classes than this model" in str(caught.value)
    assert str(caught.value).endswith(
        ". Or it is of another model: it lacks 1 parameters of this one (head.kernel.weight is absent) "
        "and has 2 that are not in it"
    )


def test_another_number_of_classes_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(WeightsError) as caught:
        load(tmp_path, detector(80), detector(3))
    assert str(caught.value) == (
        f"{tmp_path / 'w.pth'} has other classes than this model: "
        "roi_heads.box_predictor (80 classes in the file, 3 in this model), "
        "roi_heads.mask_head.predictor (80 classes in the file, 3 in this model): "
        "pass MODEL.REINIT_HEADS True (in a Python config train.reinit_heads) to train them anew"
    )


def test_evaluation_refuses_them_in_any_case(tmp_path):
    with pytest.raises(WeightsError, match=r"80 classes in the file, 3 in this model.*config that it was trained with"):
        load(tmp_path, detector(80), detector(3), whole_model=True, reinit_heads=True)


def test_reinit_keeps_fresh_values_and_says_so(tmp_path, log):
    model = load(tmp_path, detector(80), detector(3), reinit_heads=True)
    heads = {name for name in detector(3) if "predictor" in name}
    assert filled(model) == detector(3).keys() - heads
    assert all(model.state_dict()[name].eq(0).all() for name in heads)
    (line,) = [m for m in log() if m.startswith("heads that start anew")]
    assert "roi_heads.box_predictor (80 classes in the file, 3 in this model)" in line


def test_heads_that_fit_are_taken(tmp_path):
    model = load(tmp_path, detector(80, stuff=9), detector(80, stuff=5), reinit_heads=True)
    assert filled(model) == detector(80, stuff=5).keys() - {"sem_seg_head.predictor.weight"}


@pytest.mark.parametrize("reinit", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_a_refusal_leaves_the_model_as_it_was(tmp_path, reinit, whole):
    torch.save({"model": tree(detector(80, width=6), 1.0).state_dict()}, tmp_path / "w.pth")
    model = tree(detector(3))
    with pytest.raises(WeightsError, match="another model"):
        Checkpointer(model, reinit_heads=reinit, whole_model=whole).load(str(tmp_path / "w.pth"))
    assert filled(model) == set()


TORCHVISION_MASKS = (("weight", (8, 1, 1)), ("bias", ()))
HEADS = {
    "cascade": (
        {f"roi_heads.box_predictor.{i}.cls_score.bias": (81,) for i in range(3)},
        {f"roi_heads.box_predictor.{i}.cls_score.bias": (4,) for i in range(3)},
        "roi_heads.box_predictor (80 classes in the file, 3 in this model)",
    ),
    "class-agnostic boxes": (
        {"roi_heads.box_predictor.bbox_pred.weight": (320, 8)},
        {"roi_heads.box_predictor.bbox_pred.weight": (4, 8)},
        "roi_heads.box_predictor (bbox_pred.weight (320, 8) in the file, (4, 8) in this model)",
    ),
    "masks of torchvision": (
        {f"roi_heads.heads.mask_predictor.mask_fcn_logits.{kind}": (91, *rest) for kind, rest in TORCHVISION_MASKS},
        {f"roi_heads.heads.mask_predictor.mask_fcn_logits.{kind}": (4, *rest) for kind, rest in TORCHVISION_MASKS},
        "roi_heads.heads.mask_predictor (90 classes in the file, 3 in this model)",
    ),
    "RetinaNet": (
        {"head.cls_score.weight": (9 * 80, 4, 3, 3), "head.bbox_pred.weight": (9 * 4, 4, 3, 3)},
        {"head.cls_score.weight": (9 * 5, 4, 3, 3), "head.bbox_pred.weight": (9 * 4, 4, 3, 3)},
        "head.cls_score (80 classes in the file, 5 in this model)",
    ),
    "keypoints": (
        {"roi_heads.keypoint_head.score_lowres.weight": (4, 17, 4, 4)},
        {"roi_heads.keypoint_head.score_lowres.weight": (4, 5, 4, 4)},
        "roi_heads.keypoint_head.score_lowres (17 keypoints in the file, 5 in this model)",
    ),
    "semantic": (
        {"sem_seg_head.predictor.weight": (54, 4, 1, 1)},
        {"sem_seg_head.predictor.weight": (3, 4, 1, 1)},
        "sem_seg_head.predictor (54 classes in the file, 3 in this model)",
    ),
    "point head": (
        {
            "roi_heads.mask_head.point_head.fc1.weight": (4, 84, 1),
            "roi_heads.mask_head.point_head.predictor.bias": (80,),
        },
        {"roi_heads.mask_head.point_head.fc1.weight": (4, 7, 1), "roi_heads.mask_head.point_head.predictor.bias": (3,)},
        "roi_heads.mask_head.point_head (80 classes in the file, 3 in this model)",
    ),
    "coarse masks": (
        {"roi_heads.mask_head.coarse_head.prediction.weight": (80 * 49, 4)},
        {"roi_heads.mask_head.coarse_head.prediction.weight": (3 * 49, 4)},
        "coarse_head.prediction (prediction.weight (3920, 4) in the file, (147, 4) in this model)",
    ),
    "transformer": (
        {"sem_seg_head.predictor.class_embed.weight": (81, 4), "criterion.empty_weight": (81,)},
        {"sem_seg_head.predictor.class_embed.weight": (4, 4), "criterion.empty_weight": (4,)},
        "sem_seg_head.predictor.class_embed (80 classes in the file, 3 in this model)",
    ),
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads_of_other_models(tmp_path, kind):
    of_file, of_model, words = HEADS[kind]
    body = detector(0, things=False)
    with pytest.raises(WeightsError) as caught:
        load(tmp_path, body | of_file, body | of_model)
    assert words in str(caught.value)
    load(tmp_path, body | of_file, body | of_model, reinit_heads=True)


NO_HEADS = {
    "another width of the head": ("roi_heads.box_predictor.cls_score.weight", (81, 8), (4, 16)),
    "anchors": ("proposal_generator.rpn_head.objectness_logits.weight", (3, 4, 1, 1), (5, 4, 1, 1)),
    "boxes of RetinaNet": ("head.bbox_pred.weight", (36, 4, 3, 3), (12, 4, 3, 3)),
    "layers of a transformer": ("sem_seg_head.predictor.transformer.weight", (8, 4), (16, 4)),
    "channels of the image": ("backbone.bottom_up.stem.conv1.weight", (4, 3, 7, 7), (4, 1, 7, 7)),
}


@pytest.mark.parametrize("kind", NO_HEADS)
def test_other_shapes_are_always_an_error(tmp_path, kind):
    name, in_file, in_model = NO_HEADS[kind]
    body = detector(3)
    with pytest.raises(WeightsError) as caught:
        load(tmp_path, body | {name: in_file}, body | {name: in_model}, reinit_heads=True)
    assert f"not, for example, {name}, which is {in_file} there and {in_model} here" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "in_file", "said"),
    [
        ("roi_heads.box_predictor.cls_score.bias", (81,), "80 classes in the file, 3 in this model"),
        ("backbone.bottom_up.stem.conv1.weight", (4, 1, 7, 7), "was made for another model"),
    ],
)
def test_shapes_that_the_matching_of_names_drops_are_seen(tmp_path, log, name, in_file, said):
    """Detectron2's matching warns and goes on with random values."""
    of_file = detector(3) | {name: in_file}
    shortened = {n.removeprefix("backbone.bottom_up.").removeprefix("roi_heads."): s for n, s in of_file.items()}
    torch.save({"model": tree(shortened, 1.0).state_dict()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=said):
        Checkpointer(tree(detector(3))).load(f"{tmp_path / 'w.pth'}?matching_heuristics=True")
    assert log() == []


def test_a_like_name_elsewhere_is_no_other_shape(tmp_path, log):
    """The last norm of a Swin backbone is not that of an FPN layer, which is called alike."""
    of_model = detector(3) | {"backbone.fpn_lateral2.norm.weight": (4,)}
    of_file = {"stem.conv1.weight": (4, 3, 7, 7), "res2.0.conv1.weight": (4, 4, 1, 1), "norm.weight": (9,)}
    torch.save({"model": tree(of_file, 1.0).state_dict()}, tmp_path / "w.pth")
    Checkpointer(tree(of_model)).load(f"{tmp_path / 'w.pth'}?matching_heuristics=True")
    assert table_in(log())["norm"] == (0, 0, 0, 1, "this model has no norm")


def test_a_resume_never_starts_heads_anew(tmp_path):
    Checkpointer(tree(detector(80)), str(tmp_path)).save("model_0000009")
    with pytest.raises(WeightsError, match=r"80 classes in the file, 3 in this model.*another OUTPUT_DIR"):
        Checkpointer(tree(detector(3)), str(tmp_path), reinit_heads=True).resume_or_load("", resume=True)


def test_a_real_recipe_for_other_classes(tmp_path, log):
    from detectron2.modeling import build_model

    from thingstuff.config import load_config

    def built(classes):
        return build_model(load_config(MASK, ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", str(classes)]))

    saved, model = built(6), built(2)
    torch.save({"model": saved.state_dict()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="6 classes in the file, 2 in this model"):
        Checkpointer(model).load(str(tmp_path / "w.pth"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Checkpointer(model, reinit_heads=True).load(str(tmp_path / "w.pth"))
    for name, value in model.state_dict().items():
        head = "box_predictor" in name or "mask_head.predictor" in name
        assert torch.equal(value, before[name] if head else saved.state_dict()[name]), name
    assert table_in(log())["roi_heads.box_predictor"][1] == 4
