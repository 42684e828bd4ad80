"""Things + stuff as one model: stuff from the head as Detectron2 gives it, from a second model, and from files."""

import cv2
import numpy as np
import pytest
import torch
from detectron2.data.catalog import Metadata

from thingstuff.config import load_config
from thingstuff.engine.panoptic import PanopticOption, _by_name, _joined_categories, rule_from_config
from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.errors import ConfigError, DataError, SetupError, WeightsError
from thingstuff.merge import RULES, Greedy
from thingstuff.modeling.label_space import LabelSpace
from thingstuff.modeling.stuff_sources import STUFF_IMAGE, one_hot
from thingstuff.structures import NOT_STUFF, VOID, PanopticMap

MASK, SEMANTIC, PANOPTIC = (f"thingstuff://shapes/{name}.yaml" for name in ("mask_rcnn", "semantic", "panoptic_fpn"))
LOOSE = ("MODEL.DEVICE", "cpu", "PANOPTIC.INSTANCES_CONFIDENCE_THRESH", "0.2", "PANOPTIC.STUFF_AREA_LIMIT", "50")


def config(recipe, *overrides):
    return load_config(recipe, [*LOOSE, *overrides])


def built(cfg, weights):
    from detectron2.modeling import build_model

    model = build_model(cfg)
    Checkpointer(model, whole_model=True).load(str(weights))
    return model.eval()


def inputs_of(small_shapes, numbers, height=160, width=160):
    images = [cv2.imread(str(small_shapes / "val" / f"{number:06d}.png")) for number in numbers]
    tensors = [torch.from_numpy(image.transpose(2, 0, 1).astype("float32")) for image in images]
    return [{"image": tensor, "height": height, "width": width} for tensor in tensors]


@pytest.fixture(scope="module")
def stable_argsort():
    """Detectron2's order of equal scores is arbitrary; here it is that of the input, as ours."""
    original = torch.argsort
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "argsort", lambda tensor, *args, **kw: original(tensor, *args, **{**kw, "stable": True}))
        yield


@pytest.fixture(scope="module")
def reference(sharp_weights):
    """Detectron2's own Panoptic FPN."""
    return built(config(PANOPTIC), sharp_weights["panoptic"])


class TestHead:
    @pytest.mark.parametrize("size", [(160, 160), (97, 211)])
    def test_equals_detectron2s_panoptic_fpn(self, reference, small_shapes, size, stable_argsort):
        cfg = config(PANOPTIC)
        reference.combine_instances_score_thresh, reference.combine_stuff_area_thresh = 0.2, 50
        inputs = inputs_of(small_shapes, (1, 2, 3), *size)
        with torch.no_grad():
            theirs = reference(inputs)
            ours = PanopticOption.from_config(cfg).wrap(reference)(inputs)
        kinds = set()
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a["panoptic_seg"][0], b["panoptic_seg"][0])
            assert a["panoptic_seg"][1] == b["panoptic_seg"][1]
            kinds |= {segment["isthing"] for segment in b["panoptic_seg"][1]}
            assert torch.equal(a["sem_seg"], b["sem_seg"])
            for field in ("scores", "pred_classes", "pred_masks"):
                assert torch.equal(a["instances"].get(field), b["instances"].get(field))
            assert torch.equal(a["instances"].pred_boxes.tensor, b["instances"].pred_boxes.tensor)
        assert kinds == {True, False}

    def test_its_plain_data_agree_with_each_other(self, reference, small_shapes):
        option = PanopticOption.from_config(config(PANOPTIC))
        with torch.no_grad():
            found = option.wrap(reference).predict(inputs_of(small_shapes, (2,)))[0]
        assert np.array_equal(found.panoptic.ids, PanopticMap(found.panoptic.ids, found.panoptic.segments).ids)
        assert len(found.ledger.instances) == len(found.detections) > 0
        for entry in found.ledger.instances:
            if entry.segment_id is not None:
                assert (found.panoptic.ids == entry.segment_id).sum() == entry.visible_px

    def test_detectron2s_visualizer_draws_the_output(self, reference, small_shapes):
        from detectron2.data import MetadataCatalog
        from detectron2.utils.visualizer import Visualizer

        with torch.no_grad():
            output = PanopticOption.from_config(config(PANOPTIC)).wrap(reference)(inputs_of(small_shapes, (2,)))[0]
        image = np.full((160, 160, 3), 128, np.uint8)
        drawn = Visualizer(image, MetadataCatalog.get("shapes_val")).draw_panoptic_seg(*output["panoptic_seg"])
        assert not np.array_equal(drawn.get_image(), image)

    def test_is_for_inference_alone(self, reference):
        wrapped = PanopticOption.from_config(config(PANOPTIC)).wrap(reference)
        with pytest.raises(RuntimeError, match="eval"):
            wrapped.train()([])
        wrapped.eval()


class TestModel:
    @pytest.fixture
    def cfg(self, sharp_weights):
        weights = str(sharp_weights["semantic"])
        stuff = ("PANOPTIC.STUFF", "model", "PANOPTIC.STUFF_CONFIG", SEMANTIC, "PANOPTIC.STUFF_WEIGHTS", weights)
        return config(MASK, "PANOPTIC.ENABLED", "True", *stuff)

    def test_things_and_stuff_are_those_of_the_two_models(self, cfg, sharp_weights, small_shapes):
        inputs = inputs_of(small_shapes, (1, 4), 120, 150)
        things, stuff = built(config(MASK), sharp_weights["mask"]), built(config(SEMANTIC), sharp_weights["semantic"])
        wrapped = PanopticOption.from_config(cfg).wrap(things)
        with torch.no_grad():
            ours, instances, semantic = wrapped(inputs), things(inputs), stuff(inputs)
        for a, b, c in zip(ours, instances, semantic, strict=True):
            assert torch.equal(a["instances"].pred_masks, b["instances"].pred_masks)
            assert torch.equal(a["sem_seg"], c["sem_seg"])
            ids, segments = a["panoptic_seg"]
            labels = c["sem_seg"].argmax(0)
            for segment in segments:
                if not segment["isthing"]:
                    assert set(labels[ids == segment["id"]].tolist()) == {segment["category_id"]}

    def test_a_second_model_of_another_input_size_sees_its_own_image(self, cfg, sharp_weights, small_shapes):
        from thingstuff.engine.predictor import Predictor

        cfg.INPUT.MIN_SIZE_TEST = 100
        cfg.MODEL.WEIGHTS = str(sharp_weights["mask"])
        image = cv2.imread(str(small_shapes / "val" / "000001.png"))
        alone = config(SEMANTIC, "MODEL.WEIGHTS", str(sharp_weights["semantic"]))
        assert np.array_equal(Predictor(cfg)(image).stuff_map, Predictor(alone)(image).stuff_map)
        record = {"file_name": str(small_shapes / "val" / "000001.png"), "height": 160, "width": 160}
        mapped = PanopticOption.from_config(cfg).test_mapper(cfg)(record)
        assert mapped["image"].shape[1:] == (100, 100)
        assert mapped[STUFF_IMAGE].shape[1:] == (160, 160)

    def test_a_panoptic_fpn_serves_as_the_second_model(self, sharp_weights, small_shapes):
        weights = str(sharp_weights["panoptic"])
        stuff = ("PANOPTIC.STUFF", "model", "PANOPTIC.STUFF_CONFIG", PANOPTIC, "PANOPTIC.STUFF_WEIGHTS", weights)
        option = PanopticOption.from_config(config(MASK, "PANOPTIC.ENABLED", "True", *stuff))
        inputs = inputs_of(small_shapes, (1,))
        with torch.no_grad():
            ours = option.wrap(built(config(MASK), sharp_weights["mask"]))(inputs)[0]
            theirs = built(config(PANOPTIC), sharp_weights["panoptic"])(inputs)[0]
        assert torch.equal(ours["sem_seg"], theirs["sem_seg"])

    def test_missing_weights_are_named(self, cfg):
        cfg.PANOPTIC.STUFF_WEIGHTS = ""
        with pytest.raises(ConfigError, match="STUFF_WEIGHTS is empty"):
            PanopticOption.from_config(cfg)
        cfg.PANOPTIC.STUFF_WEIGHTS = "absent.pth"
        with pytest.raises(WeightsError, match=r"absent\.pth: check PANOPTIC\.STUFF_WEIGHTS"):
            PanopticOption.from_config(cfg)

    def test_it_stays_in_inference_while_the_instance_model_trains(self, cfg, sharp_weights):
        things = built(config(MASK), sharp_weights["mask"]).train()
        wrapped = PanopticOption.from_config(cfg).wrap(things)
        assert wrapped.training
        assert not wrapped.stuff.model.training
        assert not wrapped.eval().things.training
        assert wrapped.train().things.training
        assert not wrapped.stuff.model.training


class TestFiles:
    def cfg(self, folder, *overrides):
        stuff = ("PANOPTIC.STUFF", "files", "PANOPTIC.STUFF_DIR", str(folder))
        return config(MASK, "PANOPTIC.ENABLED", "True", *stuff, *overrides)

    def predict(self, cfg, sharp_weights, small_shapes, number=1):
        one = inputs_of(small_shapes, (number,))[0] | {"file_name": str(small_shapes / "val" / f"{number:06d}.png")}
        wrapped = PanopticOption.from_config(cfg).wrap(built(config(MASK), sharp_weights["mask"]))
        with torch.no_grad():
            return wrapped.predict([one])[0], wrapped([one])[0]

    def test_the_data_sets_own_stuff_maps(self, sharp_weights, small_shapes):
        folder = small_shapes / "stuff_val"
        found, output = self.predict(self.cfg(folder), sharp_weights, small_shapes)
        labels = cv2.imread(str(folder / "000001.png"), cv2.IMREAD_UNCHANGED).astype(np.uint16)
        assert np.array_equal(found.stuff_map, np.where(labels == 255, VOID, labels))
        known = labels != 255
        assert np.array_equal(output["sem_seg"].argmax(0).numpy()[known], labels[known])

    def test_a_wrong_size_is_named(self, sharp_weights, small_shapes, tmp_path):
        cv2.imwrite(str(tmp_path / "000001.png"), np.zeros((10, 10), np.uint8))
        with pytest.raises(DataError, match=r"000001\.png: expected 160 x 160 pixels .* got 10 x 10"):
            self.predict(self.cfg(tmp_path), sharp_weights, small_shapes)

    def test_an_absent_folder_is_found_before_any_work(self, tmp_path):
        with pytest.raises(SetupError, match="no folder of label maps"):
            PanopticOption.from_config(self.cfg(tmp_path / "absent"))


def test_one_hot_scores_give_the_map_back(small_shapes):
    from thingstuff.data.shapes import CATEGORIES

    stuff_map = np.array([[NOT_STUFF, 1, 4, VOID]], np.uint16)
    scores = one_hot(stuff_map, CATEGORIES)
    assert scores.shape == (5, 1, 4)
    assert scores.argmax(0).tolist() == [[0, 1, 4, 0]]
    assert scores[:, 0, 3].tolist() == [0] * 5


class TestRule:
    def test_thresholds_fall_back_to_detectron2s_node(self):
        recipe = "thingstuff://coco/mask_rcnn_R_50_FPN_3x.yaml"
        cfg = load_config(recipe, ["PANOPTIC.ENABLED", "True", "PANOPTIC.OVERLAP_THRESH", "0.3"])
        cfg.MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT = 77
        cfg.MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH = 0.6
        assert rule_from_config(cfg) == Greedy(0.3, 77, 0.6)

    def test_an_unknown_rule_is_refused(self):
        cfg = load_config(MASK, ["PANOPTIC.ENABLED", "True", "PANOPTIC.RULE", "greedi"])
        with pytest.raises(ConfigError, match="greedy"):
            rule_from_config(cfg)

    def test_a_rule_of_ones_own_takes_its_thresholds_from_keys_of_its_own(self, tmp_path, monkeypatch):
        (tmp_path / "my_rule.py").write_text(
            "from dataclasses import dataclass\n"
            "from thingstuff.merge import register_rule\n"
            "def add_my_config(cfg):\n"
            "    cfg.PANOPTIC.LEAST_SIDE_PX = 3\n"
            "@register_rule('only_large')\n"
            "@dataclass(frozen=True)\n"
            "class OnlyLarge:\n"
            "    least_side_px: int = 1\n"
            "    overlap_thresh: float = 0.9\n"
            "    def merge(self, inputs): ...\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        named = ["IMPORTS", "['my_rule']", "PANOPTIC.ENABLED", "True", "PANOPTIC.RULE", "only_large"]
        rule = rule_from_config(load_config(MASK, [*named, "PANOPTIC.LEAST_SIDE_PX", "8"]))
        monkeypatch.delitem(RULES, "only_large")
        assert (rule.least_side_px, rule.overlap_thresh) == (8, 0.5)

    def test_an_impossible_threshold_is_refused(self):
        cfg = load_config(MASK, ["PANOPTIC.ENABLED", "True", "PANOPTIC.OVERLAP_THRESH", "1.5"])
        with pytest.raises(ConfigError, match="overlap_thresh"):
            rule_from_config(cfg)


def test_weights_without_a_semantic_head_say_what_to_do(sharp_weights):
    with pytest.raises(WeightsError, match="semantic head is still to be trained; PANOPTIC.STUFF model or files"):
        built(config(MASK, "PANOPTIC.ENABLED", "True"), sharp_weights["mask"])


def test_another_architecture_is_refused_before_it_is_built():
    cfg = config(PANOPTIC)
    cfg.MODEL.META_ARCHITECTURE = "SemanticSegmentor"
    with pytest.raises(ConfigError, match="MODEL.META_ARCHITECTURE is SemanticSegmentor"):
        PanopticOption.from_config(cfg)


def test_a_model_that_is_no_rcnn_is_refused(small_shapes, sharp_weights):
    option = PanopticOption.from_config(config(PANOPTIC))
    with pytest.raises(ConfigError, match="SemanticSegmentor"):
        option.wrap(built(config(SEMANTIC), sharp_weights["semantic"]))


class TestCategories:
    """Things of one data set, stuff of another."""

    def sets(self, things, stuff):
        """Names and ids of the things of data set "a" and of the stuff of data set "b" -> their metadata."""
        first, second = Metadata(name="a"), Metadata(name="b")
        first.set(thing_classes=list(things))
        first.set(thing_dataset_id_to_contiguous_id={number: i for i, number in enumerate(things.values())})
        second.set(stuff_classes=["things", *stuff])
        second.set(stuff_dataset_id_to_contiguous_id={0: 0} | {n: i + 1 for i, n in enumerate(stuff.values())})
        return first, second

    def test_are_joined(self):
        joined = _joined_categories(*self.sets({"cat": 4, "dog": 9}, {"sky": 7, "cat": 30}))
        assert [(c.id, c.name, c.isthing) for c in joined.all] == [
            (4, "cat", True),
            (9, "dog", True),
            (7, "sky", False),
        ]

    def test_that_share_an_id_are_refused(self):
        with pytest.raises(ConfigError, match="data sets a and b, which clash: two categories share the id 4"):
            _joined_categories(*self.sets({"cat": 4}, {"sky": 4}))

    def test_that_share_an_id_within_one_data_set_are_refused(self):
        first, _ = self.sets({"cat": 4}, {})
        first.set(stuff_classes=["things", "sky"], stuff_dataset_id_to_contiguous_id={0: 0, 4: 1})
        with pytest.raises(DataError, match="data set a: two categories share the id 4"):
            _joined_categories(first, first)

    def test_the_second_models_labels_go_by_name(self):
        first, second = self.sets({"cat": 4}, {"sky": 7, "cat": 30})
        joined = _joined_categories(first, second)
        assert _by_name(LabelSpace.from_metadata(second), second, joined).label_ids == (None, 7, 4)

    def test_a_class_that_nobody_knows_is_named(self):
        first, second = self.sets({"cat": 4}, {"sky": 7})
        own = _joined_categories(first, first)
        with pytest.raises(ConfigError, match="'sky'"):
            _by_name(LabelSpace.from_metadata(second), second, own)
