"""Lists of category ids in the records of images, as LVIS has them: they go along when categories get other ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thingstuff.data.truth import Record

NEGATIVE, UNFINISHED = "neg_category_ids", "not_exhaustive_category_ids"
_LISTS = (NEGATIVE, UNFINISHED, "pos_category_ids")


def with_category_ids(image: Record, new_ids: Mapping[Any, int]) -> Record:
    """The same image with `new_ids` of its own ones in these lists; what has none is left out of them."""
    renamed = {
        key: [new_ids[own] for own in image[key] if isinstance(own, int) and own in new_ids]
        for key in _LISTS
        if isinstance(image.get(key), list)
    }
    return image | renamed if renamed else image
