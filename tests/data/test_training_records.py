"""What is refused before a training, of the records that it would read."""

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from thingstuff.data.records import training_records
from thingstuff.errors import DataError


@pytest.fixture
def registered(request, tiny_cfg):
    """A function: annotations of one image -> the config of a training on a data set of it."""
    names = []

    def register(annotations):
        name = f"one_image_{abs(hash(request.node.nodeid)) % 10**9}"
        record = {"file_name": "a.png", "image_id": 1, "width": 8, "height": 8, "annotations": annotations}
        DatasetCatalog.register(name, lambda: [record])
        MetadataCatalog.get(name).thing_classes = ["a"]
        names.append(name)
        return tiny_cfg("shapes/mask_rcnn.yaml", "DATASETS.TRAIN", f"('{name}',)")

    yield register
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.mark.parametrize("annotations", [[], [{"iscrowd": 1, "category_id": 0, "bbox": [0, 0, 4, 4], "bbox_mode": 1}]])
def test_images_without_objects_are_said(registered, annotations):
    with pytest.raises(DataError, match=r"has an object that could be learnt .*FILTER_EMPTY_ANNOTATIONS False keeps"):
        training_records(registered(annotations))


def test_they_may_be_kept(registered):
    cfg = registered([])
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    assert len(training_records(cfg)) == 1
