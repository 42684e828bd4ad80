"""What the tests of results share: two images, three categories, and how results of them are read."""

import numpy as np

from thingstuff.data.formats.faults import Faults
from thingstuff.data.results import ResultSource, TargetImage, Targets, result_format_of
from thingstuff.structures import Categories, Category

HEIGHT, WIDTH = 10, 20
CATEGORIES = Categories((Category(3, "cat"), Category(7, "dog"), Category(9, "sky", isthing=False)))
TARGETS = Targets(
    "pets_val", CATEGORIES, (TargetImage(11, "a.jpg", HEIGHT, WIDTH), TargetImage(12, "x/b.png", HEIGHT, WIDTH))
)


def square(x0, y0, x1, y1):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def read(path, names=None, lenient=False, folder=None, targets=TARGETS):
    """Key -> predicted image, and the notes."""
    source = ResultSource(path, names or {}, folder, Faults(lenient))
    found = {image.key: image for image in result_format_of("auto", path).read(source, targets)}
    return found, [*source.notes, *source.faults.settle(str(path))]


def names_of(image):
    return [CATEGORIES.by_id(category_id).name for category_id in image.detections.category_ids.tolist()]
