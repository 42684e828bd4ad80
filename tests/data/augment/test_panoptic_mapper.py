"""Panoptic-DeepLab's mapper with jitter, copy-paste and a limit of pixels: targets are made of the changed truth."""

import numpy as np
import pytest
import torch

PASTE = ("INPUT.COPY_PASTE.ENABLED", "True", "INPUT.COPY_PASTE.SHARE", "1.0", "INPUT.COPY_PASTE.PROBABILITY")
JITTER = ("INPUT.JITTER.ENABLED", "True", "INPUT.JITTER.SIZE", "96")
TARGETS = ("sem_seg", "center", "offset", "sem_seg_weights", "center_weights", "offset_weights")


@pytest.fixture
def records(small_shapes):
    from detectron2.data import DatasetCatalog

    from thingstuff.data.catalog import require_datasets

    require_datasets(["shapes_train_standard"])
    return DatasetCatalog.get("shapes_train_standard")


@pytest.fixture
def built(records):
    """A function: overrides -> the mapper, and Detectron2's of the same config."""
    from detectron2.projects.panoptic_deeplab import PanopticDeeplabDatasetMapper

    from thingstuff.config import load_config
    from thingstuff.data.mappers import build_mapper

    def build(*overrides):
        cfg = load_config("thingstuff://shapes/panoptic_deeplab.yaml", list(overrides))
        return build_mapper(cfg, records), PanopticDeeplabDatasetMapper(cfg)

    return build


def seeded(mapper, record, seed):
    np.random.seed(seed)
    return mapper(record)


def thing_classes(mapper):
    return mapper.targets.thing_ids


def test_without_a_paste_the_targets_are_detectron2s(built, records):
    mapper, stock = built(*PASTE, "0.0", "INPUT.MIN_SIZE_TRAIN", "(96, 128)")
    assert type(mapper).__name__ == "PanopticMapper"
    for seed, record in enumerate(records):
        own, theirs = seeded(mapper, record, seed), seeded(stock, record, seed)
        assert own.keys() == theirs.keys()
        assert all(torch.equal(own[key], theirs[key]) for key in (*TARGETS, "image"))
        assert own["center_points"] == theirs["center_points"]
        assert [s["id"] for s in own["segments_info"]] == [s["id"] for s in theirs["segments_info"]], (
            "at these sizes every segment is still seen"
        )


@pytest.mark.parametrize("overrides", [(), JITTER], ids=["resized", "jitter"])
def test_targets_are_those_of_the_pixels(built, records, overrides):
    """Every thing has its centre, its pixels point there, and the numbers of pixels are those that are stated."""
    mapper, _ = built(*PASTE, "1.0", *overrides)
    for seed in range(8):
        result = seeded(mapper, records[0], seed)
        segments, height, width = result["segments_info"], *result["image"].shape[1:]
        assert result["sem_seg"].shape == (height, width)
        classes, areas = np.unique(result["sem_seg"], return_counts=True)
        stated = {}
        for segment in segments:
            stated[segment["category_id"]] = stated.get(segment["category_id"], 0) + segment["area"]
        assert {c: a for c, a in zip(classes.tolist(), areas.tolist(), strict=True) if c != 255} == stated
        things = [segment for segment in segments if segment["isthing"]]
        assert len(result["center_points"]) == len(things)
        assert all(segment["category_id"] in thing_classes(mapper) for segment in things)
        y, x = np.indices((height, width))
        ends = np.stack([y + result["offset"][0].numpy(), x + result["offset"][1].numpy()], axis=-1)
        is_thing = np.isin(result["sem_seg"].numpy(), list(thing_classes(mapper)))
        centres = np.array(result["center_points"]).reshape(-1, 2)
        far = np.linalg.norm(ends[is_thing][:, None] - centres[None], axis=-1).min(axis=1)
        assert far.max(initial=0) < 1e-3


def test_something_is_pasted(built, records):
    mapper, stock = built(*PASTE, "1.0")
    more = 0
    for seed in range(8):
        pasted, alone = seeded(mapper, records[0], seed), seeded(stock, records[0], seed)
        more += len(pasted["center_points"]) > len(alone["center_points"])
        assert len({segment["id"] for segment in pasted["segments_info"]}) == len(pasted["segments_info"])
    assert more > 0


def test_beyond_the_edge_nothing_is_learned(built, records):
    mapper, _ = built(*JITTER, "INPUT.JITTER.MIN_SCALE", "0.5", "INPUT.JITTER.MAX_SCALE", "0.5")
    result = seeded(mapper, records[0], 0)
    assert (result["sem_seg"] == 255).sum() >= 96 * 96 - 48 * 48
    unknown = result["sem_seg"] == 255
    assert not result["center_weights"][0][unknown].any()


def test_the_limit_of_pixels(built, records):
    mapper, _ = built("INPUT.MAX_PIXELS", "6000")
    assert seeded(mapper, records[0], 0)["image"].shape[1:] == (77, 77)


def test_a_record_stays_as_it_was(built, records):
    import copy

    same = copy.deepcopy(records)
    mapper, _ = built(*PASTE, "1.0")
    seeded(mapper, records[0], 0)
    assert records == same
    bare = {key: value for key, value in records[0].items() if key not in ("height", "width")}
    assert seeded(mapper, bare, 0)["width"] == records[0]["width"], "as Detectron2's"
    assert bare.keys() == records[0].keys() - {"height", "width"}
